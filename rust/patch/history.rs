//! What a patch brings back that earlier ones took away.

use std::collections::HashMap;

use super::form::{Body, Kind};
use super::read;
use super::refusal::Refusal;

/// Letters that a line needs to be told from any other.
const TELLING: usize = 4;

/// A line that a patch adds and that an earlier one removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reintroduced {
    /// Without the blanks around it.
    pub line: String,
    /// Index of the last patch of the history that removed it.
    pub removed_by: usize,
}

/// Lines that `patch` adds and that the last patch of `history` (oldest first) to touch them removed, in the patch's order.
///
/// Lines are compared without the blanks around them, by file where both patches name one; lines with hardly a letter do not
/// count, nor do those that a patch only moves. Whole files say nothing of what they remove; they and what is no patch count
/// as empty. Refused as in `apply` if `patch` cannot be read.
pub fn reintroduced(patch: &str, history: &[impl AsRef<str>]) -> Result<Vec<Reintroduced>, Refusal> {
    let mut removed: HashMap<&str, Vec<(&str, usize)>> = HashMap::new();
    for (at, earlier) in history.iter().enumerate() {
        let Ok(balances) = balances(earlier.as_ref()) else { continue };
        for Balance { path, line, count, .. } in balances {
            let places = removed.entry(line).or_default();
            places.retain(|(other, _)| !same(other, path));
            if count < 0 {
                places.push((path, at));
            }
        }
    }
    let mut added: Vec<Balance<'_>> = balances(patch)?.into_iter().filter(|balance| balance.count > 0).collect();
    added.sort_by_key(|balance| balance.order);
    let back = added.iter().filter_map(|Balance { path, line, .. }| {
        let (_, at) = removed.get(line)?.iter().rev().find(|(other, _)| same(other, path))?;
        Some(Reintroduced { line: (*line).to_owned(), removed_by: *at })
    });
    Ok(back.collect())
}

/// Whether two paths name one file, or one of them none.
fn same(one: &str, other: &str) -> bool {
    let bare = |path: &'_ str| -> String { path.trim_start_matches("./").to_owned() };
    one.is_empty() || other.is_empty() || bare(one) == bare(other)
}

/// How often more a patch adds a line than it removes it.
struct Balance<'a> {
    path: &'a str,
    line: &'a str,
    count: i64,
    order: usize,
}

fn balances(patch: &str) -> Result<Vec<Balance<'_>>, Refusal> {
    let mut balances: HashMap<(&str, &str), Balance<'_>> = HashMap::new();
    let mut order = 0;
    for change in read::marked_changes(patch)? {
        let Body::Hunks(hunks) = change.body else { continue };
        let path = change.path.strip_prefix("b/").unwrap_or(change.path);
        for row in hunks.iter().flat_map(|hunk| &hunk.rows).filter(|row| row.kind != Kind::Keep) {
            let line = row.text.trim();
            if line.chars().filter(|char| char.is_alphanumeric()).take(TELLING).count() == TELLING {
                order += 1;
                let balance = balances.entry((path, line)).or_insert(Balance { path, line, count: 0, order });
                balance.count += if row.kind == Kind::Add { 1 } else { -1 };
            }
        }
    }
    Ok(balances.into_values().collect())
}

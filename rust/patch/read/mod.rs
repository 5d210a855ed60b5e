//! From the text of a patch in any notation to changes by file.

mod blocks;
mod envelope;
mod layout;
mod paths;
mod unified;
mod whole;

use std::collections::BTreeMap;

use super::form::{add, Body, Change, Hunk};
use super::refusal::Refusal;
use super::{MAX_HUNKS, MAX_LINES};

pub(super) use paths::Paths;

/// Reads a patch. Every change has hunks that change something, or is a whole new text.
pub(super) fn changes<'a>(patch: &'a str, files: &'a BTreeMap<String, String>) -> Result<Vec<Change<'a>>, Refusal> {
    let lines = lines(patch);
    if lines.len() > MAX_LINES {
        return Err(Refusal::TooLarge { what: "the patch".to_owned(), count: lines.len(), unit: "lines", limit: MAX_LINES });
    }
    match marked(&lines, Paths::Known(files))? {
        Some(mut changes) => {
            whole::beside(&lines, files, &mut changes);
            Ok(changes)
        }
        None => whole::read(&lines, files),
    }
}

/// Reads a patch whatever files it names, but whole files: these do not say what they change.
pub(super) fn marked_changes(patch: &str) -> Result<Vec<Change<'_>>, Refusal> {
    marked(&lines(patch), Paths::Any).map(Option::unwrap_or_default)
}

/// Changes in a notation that marks them, if there are any marks: as the lines stand, else as they stand in a list or a quoted block.
fn marked<'a>(lines: &[&'a str], paths: Paths<'a>) -> Result<Option<Vec<Change<'a>>>, Refusal> {
    match notations(lines, paths)? {
        None => notations(&layout::outdented(lines), paths),
        found => Ok(found),
    }
}

fn notations<'a>(lines: &[&'a str], paths: Paths<'a>) -> Result<Option<Vec<Change<'a>>>, Refusal> {
    // What is in no envelope may be in blocks, and what is in no block a diff: nothing must hide behind another notation.
    let (mut changes, rest) = envelope::read(lines, paths)?;
    let (blocks, rest) = blocks::read(&rest, paths)?;
    let found = !changes.is_empty() || !blocks.is_empty();
    let diff = unified::read(&rest, paths)?;
    if !found && diff.is_none() {
        return Ok(None);
    }
    for more in [blocks, diff.unwrap_or_default()] {
        let before = changes.iter().filter_map(Change::last_number).max().unwrap_or(0);
        for change in more {
            let Body::Hunks(hunks) = change.body else { continue };
            let numbered = |hunk: Hunk<'a>| Hunk { number: before + hunk.number, ..hunk };
            hunks.into_iter().for_each(|hunk| add(&mut changes, change.path, numbered(hunk)));
        }
    }
    let mut count = 0;
    for change in &mut changes {
        let Body::Hunks(hunks) = &mut change.body else { continue };
        hunks.retain(Hunk::changes);
        count += hunks.len();
    }
    if count > MAX_HUNKS {
        return Err(Refusal::TooLarge { what: "the patch".to_owned(), count, unit: "hunks", limit: MAX_HUNKS });
    }
    changes.retain(|change| !matches!(&change.body, Body::Hunks(hunks) if hunks.is_empty()));
    if changes.is_empty() {
        return Err(Refusal::Empty);
    }
    Ok(Some(changes))
}

/// The lines of a patch. Carriage returns go where every line ends with one: then they are not of the text it is about.
fn lines(patch: &str) -> Vec<&str> {
    let patch = patch.strip_prefix('\u{feff}').unwrap_or(patch);
    let mut lines: Vec<&str> = patch.strip_suffix('\n').unwrap_or(patch).split('\n').collect();
    let unended = usize::from(!patch.ends_with('\n'));
    if lines.len() > 1 && lines[..lines.len() - unended].iter().all(|line| line.ends_with('\r')) {
        lines.iter_mut().for_each(|line| *line = line.strip_suffix('\r').unwrap_or(line));
    }
    lines.drain(..layout::thoughts(&lines));
    lines
}

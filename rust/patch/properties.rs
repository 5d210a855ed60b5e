//! What holds for every text and every patch. Each is stated here once; tests and fuzz targets look for what breaks it.

use std::collections::{BTreeMap, HashMap};

use super::form::{Body, Hunk, Kind};
use super::{apply, diff, place, read, reintroduced, Refusal};

/// Whatever is read ends in changes or in a refusal of one sentence.
pub fn reads(patch: &str) {
    for result in [read::marked_changes(patch).map(drop), reintroduced(patch, &[patch]).map(drop)] {
        if let Err(refusal) = result {
            is_a_sentence(&refusal);
        }
    }
}

/// A patch is applied with every line of it, and nothing else is lost, or it is refused as a whole.
pub fn applies_wholly(files: &BTreeMap<String, String>, patch: &str) {
    let changed = match apply(files, patch) {
        Ok(changed) => changed,
        Err(refusal) => return is_a_sentence(&refusal),
    };
    assert!(!changed.is_empty() && changed.iter().all(|(path, after)| files[path] != *after));
    for change in read::changes(patch, files).expect("what was applied can be read") {
        let before = &files[change.path];
        let after = changed.get(change.path).unwrap_or(before);
        match change.body {
            Body::Hunks(hunks) => holds_all(before, after, &hunks),
            Body::Whole(lines) => assert!(same_lines(lines.iter().copied(), after), "{after:?}"),
        }
    }
}

/// The diff of two texts leads from one to the other, and one more hunk that fits nowhere keeps all of it from being applied.
pub fn diff_leads(before: &str, after: &str) {
    const NOWHERE: &str = "a line that stands in neither of them 7316";
    let files = BTreeMap::from([("t.py".to_owned(), before.to_owned()), ("a/t.py".to_owned(), before.to_owned())]);
    let patch = diff(before, after, "t.py");
    if before == after {
        return assert_eq!(patch, "");
    }
    match apply(&files, &patch) {
        Ok(changed) => assert!(changed.len() == 1 && changed["t.py"] == after, "{patch}"),
        Err(Refusal::ForbiddenCharacter { character, .. }) => {
            assert!(after.chars().any(|char| u32::from(char) == character), "{patch}");
        }
        Err(Refusal::Encoding { .. } | Refusal::TooCostly { .. } | Refusal::TooLarge { .. }) => {}
        Err(refusal) => panic!("{refusal}: {patch}"),
    }
    if !before.contains(NOWHERE) && !after.contains(NOWHERE) {
        assert!(apply(&files, &format!("{patch}@@\n-{NOWHERE}\n+x\n")).is_err(), "{patch}");
    }
}

fn is_a_sentence(refusal: &Refusal) {
    let (_, _, similarity) = refusal.place();
    assert!((0.0..=1.0).contains(&similarity) && !refusal.to_string().contains('\n'), "{refusal}");
}

/// All lines with content that the hunks add have come, as many have gone as the hunks remove, and the others have kept their bytes.
fn holds_all(before: &str, after: &str, hunks: &[Hunk<'_>]) {
    // Rows behind a cut may be prose.
    let rows = || hunks.iter().flat_map(|hunk| &hunk.rows[..hunk.cut.unwrap_or(hunk.rows.len())]);
    let held = |text: &str| text.split('\n').filter(|line| !line.trim().is_empty()).count();
    let count = |kind| rows().filter(|row| row.kind == kind && !row.text.trim().is_empty()).count();
    // A hunk that is written twice may count once.
    let twice = (1..hunks.len()).any(|at| hunks[..at].iter().any(|other| other.repeats(&hunks[at])));
    if hunks.iter().all(|hunk| hunk.cut.is_none()) {
        let (lost, gained) = (held(before) + count(Kind::Add), held(after) + count(Kind::Remove));
        assert!(gained == lost || twice, "{after:?}");
        let left = counted(after.split('\n'));
        let old = counted(before.split('\n').filter(|line| !line.trim().is_empty()));
        let gone: usize = old.iter().map(|(line, count)| count.saturating_sub(left.get(line).copied().unwrap_or(0))).sum();
        assert!(gone <= count(Kind::Remove), "{after:?}");
    }
    // Quotes of typesetting may have become those of a keyboard.
    let bare = |line: &str| -> String { line.trim().chars().map(place::plain).collect() };
    let mut there: HashMap<String, usize> = HashMap::new();
    after.split('\n').for_each(|line| *there.entry(bare(line)).or_default() += 1);
    // What one block adds, a later one may remove.
    let gone = rows().filter(|row| row.kind == Kind::Remove && hunks.iter().any(|hunk| hunk.in_turn));
    gone.for_each(|row| *there.entry(bare(row.text)).or_default() += 1);
    for row in rows().filter(|row| row.kind == Kind::Add && !row.text.trim().is_empty() && !twice) {
        let left = there.get_mut(&bare(row.text)).filter(|left| **left > 0);
        *left.unwrap_or_else(|| panic!("{:?} is not in {after:?}", row.text)) -= 1;
    }
}

fn counted<'a>(lines: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::new();
    lines.for_each(|line| *counts.entry(line).or_default() += 1);
    counts
}

fn same_lines<'a>(lines: impl Iterator<Item = &'a str>, text: &'a str) -> bool {
    let bare = |line: &'a str| line.trim_end_matches('\r');
    let (lines, text): (Vec<_>, Vec<_>) = (lines.map(bare).collect(), text.split('\n').map(bare).collect());
    text == lines || text.split_last() == Some((&"", &lines))
}

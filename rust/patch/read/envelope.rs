//! The envelope `*** Begin Patch` … `*** End Patch` with `*** Update File: PATH`, `@@ scope` and rows with markers.

use super::super::form::{add, Change, Hunk};
use super::super::refusal::{shown, Refusal, Unsupported};
use super::paths::Paths;
use super::unified::{row, Header};

const UPDATE: &str = "*** Update File:";
const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";

pub(super) fn is_one(lines: &[&str]) -> bool {
    lines.iter().any(|line| line.starts_with(BEGIN) || line.starts_with(UPDATE))
}

pub(super) fn read<'a>(lines: &[&'a str], paths: Paths<'a>) -> Result<Option<Vec<Change<'a>>>, Refusal> {
    let first = lines.iter().position(|line| line.starts_with(BEGIN) || line.starts_with(UPDATE)).unwrap_or(0);
    let begun = lines[first].starts_with(BEGIN);
    let mut reader = Reader { paths, changes: Vec::new(), path: None, hunk: None, count: 0 };
    let mut ended = false;
    for line in &lines[first + usize::from(begun)..] {
        let bare = line.trim_end();
        if bare == END {
            reader.leave();
            ended = true;
        } else if bare.starts_with("*** ") {
            // Also after the end: a second envelope must not hide behind the first one.
            reader.directive(bare)?;
            ended &= bare == BEGIN;
        } else if !ended && bare.starts_with("```") && !begun {
            break;
        } else if !ended {
            reader.row(line)?;
        }
    }
    reader.leave();
    if begun && !ended {
        return Err(Refusal::Truncated { line: BEGIN.to_owned(), missing: END });
    }
    Ok(Some(reader.changes))
}

struct Reader<'a> {
    paths: Paths<'a>,
    changes: Vec<Change<'a>>,
    path: Option<&'a str>,
    hunk: Option<Hunk<'a>>,
    count: usize,
}

impl<'a> Reader<'a> {
    fn directive(&mut self, line: &'a str) -> Result<(), Refusal> {
        let unsupported = |what| Err(Refusal::Unsupported { what, line: shown(line) });
        if line == "*** End of File" {
            if let Some(hunk) = &mut self.hunk {
                hunk.ends_file = true;
            }
            return Ok(());
        }
        self.leave();
        if let Some(path) = line.strip_prefix(UPDATE) {
            self.path = Some(self.paths.one(path.trim())?);
        } else if let Some(path) = line.strip_prefix("*** Add File:") {
            return self.paths.one(path.trim()).and_then(|_| unsupported(Unsupported::Creates));
        } else if let Some(path) = line.strip_prefix("*** Delete File:") {
            return self.paths.one(path.trim()).and_then(|_| unsupported(Unsupported::Deletes));
        } else if line.starts_with("*** Move to:") {
            return unsupported(Unsupported::Renames);
        }
        Ok(())
    }

    fn row(&mut self, line: &'a str) -> Result<(), Refusal> {
        if line.starts_with("@@") {
            self.leave();
            let header = Header::read(line.trim_end())?;
            self.open(header.scope)?.stated = header.stated;
        } else if self.hunk.is_some() || !line.trim().is_empty() {
            if self.hunk.is_none() {
                self.open("")?;
            }
            if let Some(hunk) = &mut self.hunk {
                row(&mut hunk.rows, line);
            }
        }
        Ok(())
    }

    fn open(&mut self, scope: &'a str) -> Result<&mut Hunk<'a>, Refusal> {
        self.count += 1;
        if self.path.is_none() {
            self.path = Some(self.paths.only(self.count)?);
        }
        Ok(self.hunk.insert(Hunk::new(self.count, scope)))
    }

    fn leave(&mut self) {
        let (Some(mut hunk), Some(path)) = (self.hunk.take(), self.path) else { return };
        while hunk.rows.last().is_some_and(|row| row.is_blank_context()) {
            hunk.rows.pop();
        }
        add(&mut self.changes, path, hunk);
    }
}

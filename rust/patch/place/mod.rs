//! Where the hunks of a change stand in the file, and the file after it.
//!
//! First the hunks whose old rows stand in the file one after the other, then the others, between those. A hunk has one place
//! or is refused: the only one, or among several the stated line, the only one in the function that its header names, or
//! the only one between the hunks around it.

mod align;
mod contiguous;
mod fit;
mod fuzzy;
mod indents;
mod lines;

use super::form::{is_blank, Hunk, Kind, Row};
use super::nearest::nearest;
use super::refusal::{shown, Refusal};
use contiguous::Places;
use fit::{Doubt, Edit, Fit, Reading};
use fuzzy::Found;
use lines::{letters, width, Class, Lines};

pub(super) use fuzzy::is_ellipsis;

/// Most work on a file of up to `WORK_LINES` lines, about nanoseconds: keeps the worst case near 50 ms. Longer files get more.
const MAX_WORK: usize = 30_000_000;
const WORK_LINES: usize = 5_000;
/// Old rows by which the nearest place is found.
const NEAREST_ROWS: usize = 200;
/// Places listed in a message.
const LISTED: usize = 6;
/// Lines from the place that the numbers say where nothing is looked for if these are right for the other hunks.
const FAR: usize = 20;
/// Letters that added lines need so that finding them elsewhere says something.
const TELLING: usize = 8;

/// What is left of the work that a patch may make in one file.
struct Work(usize);

/// The old rows of a hunk stand nowhere one after the other.
struct Apart;

/// There is more work than is allowed.
struct Costly;

impl Work {
    fn spend(&mut self, amount: usize) -> Result<(), Costly> {
        self.0 = self.0.checked_sub(amount).ok_or(Costly)?;
        Ok(())
    }
}

/// The text of `before` after its hunks.
pub(super) fn apply(path: &str, hunks: &[Hunk<'_>], before: &str) -> Result<String, Refusal> {
    let lines = Lines::new(before);
    let work = Work(MAX_WORK * lines.all.len().max(WORK_LINES) / WORK_LINES);
    let mut placer = Placer { path, lines, fits: vec![None; hunks.len()], work };
    let mut late = Vec::new();
    for (at, hunk) in hunks.iter().enumerate() {
        match placer.together(hunk).map_err(|Costly| placer.costly(hunk))? {
            Ok(Some(fit)) => placer.fits[at] = Some(fit),
            Ok(None) => late.push((at, true)),
            Err(Apart) => late.push((at, false)),
        }
    }
    for (at, together) in late {
        placer.fits[at] = Some(placer.late(hunks, at, together)?);
    }
    placer.share_indents();
    let mut edits = Vec::with_capacity(hunks.len());
    for (hunk, fit) in hunks.iter().zip(&placer.fits) {
        let Some(fit) = fit else { continue };
        edits.extend(fit.edits(hunk, &placer.lines).map_err(|doubt| placer.doubt(hunk, fit, doubt))?);
    }
    edits.sort_by_key(|edit| (edit.lines.start, edit.lines.end, edit.hunk));
    placer.check_overlaps(&edits)?;
    Ok(placer.after(hunks, edits))
}

struct Placer<'w, 'a> {
    path: &'w str,
    lines: Lines<'a>,
    fits: Vec<Option<Fit<'a>>>,
    work: Work,
}

impl<'a> Placer<'_, 'a> {
    /// A hunk that stands together and needs no other hunk to be placed; an error in it if it stands nowhere together.
    fn together(&mut self, hunk: &Hunk<'a>) -> Result<Result<Option<Fit<'a>>, Apart>, Costly> {
        if self.is_anchorless(hunk) {
            return Ok(Ok(None));
        }
        Ok(match self.contiguous(hunk)? {
            Some(places) => Ok(self.pick(hunk, &places, None)),
            None => Err(Apart),
        })
    }

    fn contiguous(&mut self, hunk: &Hunk<'a>) -> Result<Option<Places>, Costly> {
        let found = contiguous::find(hunk, hunk.rows.len(), &self.lines, &mut self.work)?;
        match hunk.cut {
            Some(cut) if found.is_none() => contiguous::find(hunk, cut, &self.lines, &mut self.work),
            _ => Ok(found),
        }
    }

    /// Where one hunk shows that the patch is indented with tabs and the file is not, that holds for all its hunks.
    fn share_indents(&mut self) {
        let known = self.fits.iter().flatten().filter_map(|fit| fit.indents.as_ref()).find(|indents| indents.untabs()).cloned();
        if let Some(indents) = known {
            self.fits
                .iter_mut()
                .flatten()
                .filter(|fit| fit.indents.is_none())
                .for_each(|fit| fit.indents = Some(indents.only_tabs()));
        }
    }

    /// The one place among several.
    fn pick(&self, hunk: &Hunk<'a>, places: &Places, around: Option<(usize, usize)>) -> Option<Fit<'a>> {
        let fit = |start: &usize| Some(places.fit(hunk, *start, &self.lines));
        let starts = &places.starts;
        if let Some(last) = starts.last().filter(|start| hunk.ends_file && places.end(**start) == self.lines.all.len()) {
            return fit(last);
        }
        if let [only] = starts[..] {
            return fit(&only);
        }
        if let Some(stated) = hunk.stated.filter(|stated| starts.contains(stated)) {
            return fit(&stated);
        }
        // A header whose number is wrong is not to be trusted in the rest either.
        let scope = if hunk.stated.is_none() { self.scope(hunk.scope) } else { None };
        [scope, around].into_iter().flatten().find_map(|(lo, hi)| {
            let mut inside = starts.iter().filter(|start| (lo..hi).contains(start));
            match (inside.next(), inside.next()) {
                (Some(only), None) => fit(only),
                _ => None,
            }
        })
    }

    /// A hunk that no line with content holds.
    fn is_anchorless(&self, hunk: &Hunk<'_>) -> bool {
        hunk.expected().all(|row| is_blank(row.text))
    }

    /// A hunk that needs the others around it.
    fn late(&mut self, hunks: &[Hunk<'a>], at: usize, together: bool) -> Result<Fit<'a>, Refusal> {
        let hunk = &hunks[at];
        let costly = |placer: &Self| placer.costly(hunk);
        if self.is_anchorless(hunk) {
            return self.stated(hunks, at).ok_or_else(|| Refusal::NoAnchor { hunk: hunk.number, path: self.path.to_owned() });
        }
        let (lo, hi) = self.around(at);
        if let Some(places) = together.then(|| self.contiguous(hunk)).transpose().map_err(|Costly| costly(self))?.flatten() {
            return self.pick(hunk, &places, Some((lo, hi))).ok_or_else(|| self.ambiguous(hunk, places.starts));
        }
        if hunk.expected().any(|row| row.kind == Kind::Keep && !is_blank(row.text)) {
            self.refuse_applied(hunk)?;
        }
        let drift = self.drift(hunks);
        let predicted = hunk.stated.zip(drift).and_then(|(stated, drift)| usize::try_from(stated as i64 + drift).ok());
        let mut several = None;
        for count in [Some(hunk.rows.len()), hunk.cut].into_iter().flatten() {
            let found =
                fuzzy::find(hunk, count, &self.lines, (lo, hi), predicted, &mut self.work).map_err(|Costly| costly(self))?;
            match found {
                // The numbers of all other hunks are right: this one is not elsewhere.
                Found::One(fit) if self.agreeing(hunks) > 1 && predicted.is_some_and(|line| line.abs_diff(fit.start) > FAR) => {}
                Found::One(fit) => return Ok(fit),
                Found::Several(places) => several = Some(places),
                Found::None => {}
            }
        }
        match several {
            Some(places) => Err(self.ambiguous(hunk, places)),
            None => Err(self.no_match(hunk)),
        }
    }

    /// The lines between the hunks before and after hunk `at`; all if the hunks are not in order.
    fn around(&self, at: usize) -> (usize, usize) {
        let placed = |fit: &Option<Fit<'a>>| fit.as_ref().and_then(|fit| Some((fit.start, fit.last()? + 1)));
        let lo = self.fits[..at].iter().filter_map(placed).map(|(_, end)| end).max().unwrap_or(0);
        let hi = self.fits[at + 1..].iter().filter_map(placed).map(|(start, _)| start).min().unwrap_or(self.lines.all.len());
        if lo <= hi {
            (lo, hi)
        } else {
            (0, self.lines.all.len())
        }
    }

    /// Hunks with a stated line that are placed.
    fn agreeing(&self, hunks: &[Hunk<'a>]) -> usize {
        hunks.iter().zip(&self.fits).filter(|(hunk, fit)| hunk.stated.is_some() && fit.is_some()).count()
    }

    /// How many lines further down all hunks stand than they say.
    fn drift(&self, hunks: &[Hunk<'a>]) -> Option<i64> {
        let mut drifts =
            hunks.iter().zip(&self.fits).filter_map(|(hunk, fit)| Some(fit.as_ref()?.start as i64 - hunk.stated? as i64));
        let first = drifts.next()?;
        drifts.all(|drift| drift == first).then_some(first)
    }

    /// A hunk without content to hold on to: where it says, if the patch is right about the lines of everything else.
    fn stated(&self, hunks: &[Hunk<'a>], at: usize) -> Option<Fit<'a>> {
        let hunk = &hunks[at];
        let old: Vec<&str> = hunk.expected().map(|row| row.text).collect();
        if self.lines.all.is_empty() && old.is_empty() {
            return Some(Fit {
                reading: Reading::Marked,
                class: Class::Exact,
                rows: hunk.rows.len(),
                lines: Vec::new(),
                indents: None,
                exact: true,
                start: 0,
            });
        }
        let start = hunk.stated.filter(|_| hunk.counted)?;
        let there = self.lines.all.get(start..start + old.len())?;
        let class = [Class::Exact, Class::End]
            .into_iter()
            .find(|class| there.iter().zip(&old).all(|(one, other)| class.same(one, other)))?;
        let trusted = match self.drift(hunks) {
            Some(drift) => drift == 0,
            // Blank lines that stand alone are told from their number only if that is the only hunk.
            None => self.fits.iter().all(Option::is_none) && !old.is_empty(),
        };
        let rows = hunk.rows.len();
        trusted.then(|| Fit {
            reading: Reading::Marked,
            class,
            rows,
            lines: (start..start + old.len()).map(Some).collect(),
            indents: None,
            exact: true,
            start,
        })
    }

    /// The block that starts with the line that a header names, if only one line is it.
    fn scope(&self, name: &str) -> Option<(usize, usize)> {
        let bare = |line: &'_ str| -> String { line.trim().trim_end_matches(':').trim_end().to_owned() };
        let name = bare(name);
        if name.is_empty() {
            return None;
        }
        let all = &self.lines.all;
        let only = |is: &dyn Fn(&str) -> bool| {
            let mut found = (0..all.len()).filter(|line| is(all[*line]));
            (found.next(), found.next())
        };
        let start = match only(&|line| line.len() >= name.len() && bare(line) == name) {
            (Some(start), None) => start,
            (None, _) => match only(&|line| line.trim_start().starts_with(&name)) {
                (Some(start), None) => start,
                _ => return None,
            },
            _ => return None,
        };
        let columns = width(all[start]);
        let inside = |line: &usize| {
            is_blank(all[*line]) || width(all[*line]) > columns || all[*line].trim_start().starts_with([')', ']', '}'])
        };
        Some((start, start + 1 + (start + 1..all.len()).take_while(inside).count()))
    }

    fn costly(&self, hunk: &Hunk<'_>) -> Refusal {
        Refusal::TooCostly { hunk: hunk.number, path: self.path.to_owned() }
    }

    fn ambiguous(&self, hunk: &Hunk<'_>, mut starts: Vec<usize>) -> Refusal {
        starts.truncate(LISTED);
        let lines = starts.iter().map(|start| start + 1).collect();
        Refusal::Ambiguous { hunk: hunk.number, path: self.path.to_owned(), lines }
    }

    fn doubt(&self, hunk: &Hunk<'_>, fit: &Fit<'a>, doubt: Doubt) -> Refusal {
        let (hunk, path) = (hunk.number, self.path.to_owned());
        match doubt {
            Doubt::Repeated(line) => Refusal::AlreadyApplied { hunk, path, line: line + 1 },
            Doubt::Left(line) => Refusal::Unclear { hunk, path, line: line + 1, found: shown(self.lines.all[line].trim()) },
            Doubt::Loose => {
                let found = self.lines.all.get(fit.start).copied().map_or_else(String::new, |line| shown(line.trim()));
                Refusal::Unclear { hunk, path, line: fit.start + 1, found }
            }
        }
    }

    /// Refuses a hunk of which the result stands in the file.
    fn refuse_applied(&mut self, hunk: &Hunk<'a>) -> Result<(), Refusal> {
        if hunk.added().map(|row| letters(row.text, TELLING)).sum::<usize>() < TELLING {
            return Ok(());
        }
        let longest = hunk.added().max_by_key(|row| row.text.len()).map_or("", |row| row.text);
        self.work.spend(self.lines.all.len() / 4).map_err(|Costly| self.costly(hunk))?;
        if !self.lines.keys(Class::Loose).contains(&Class::Loose.key(longest)) {
            return Ok(());
        }
        let mut result = Hunk::new(hunk.number, "");
        result.stated = hunk.stated;
        result.rows = hunk.written().map(|row| Row { kind: Kind::Keep, ..*row }).collect();
        let there = contiguous::find(&result, result.rows.len(), &self.lines, &mut self.work);
        let there = there.map_err(|Costly| self.costly(hunk))?;
        match there.and_then(|places| places.starts.first().copied()) {
            Some(start) => Err(Refusal::AlreadyApplied { hunk: hunk.number, path: self.path.to_owned(), line: start + 1 }),
            None => Ok(()),
        }
    }

    /// Why a hunk stands nowhere: it is already applied, or this is the nearest place.
    fn no_match(&mut self, hunk: &Hunk<'a>) -> Refusal {
        if let Err(refusal) = self.refuse_applied(hunk) {
            return refusal;
        }
        let path = self.path.to_owned();
        let old: Vec<&str> = hunk.expected().map(|row| row.text).collect();
        let near = nearest(&self.lines.all, &old[..old.len().min(NEAREST_ROWS)], hunk.stated);
        let found = self.lines.all.get(near.line).copied().map_or_else(|| "(end of file)".to_owned(), shown);
        let (line, expected) = (near.line + 1, shown(old[near.row]));
        Refusal::NoMatch { hunk: hunk.number, path, line, expected, found, similarity: near.similarity }
    }

    /// Refuses edits of the same lines, and two insertions at one place.
    fn check_overlaps(&self, edits: &[Edit<'_>]) -> Result<(), Refusal> {
        for pair in edits.windows(2) {
            let (one, other) = (&pair[0], &pair[1]);
            let same = one.lines == other.lines && one.lines.is_empty();
            if one.lines.end > other.lines.start || same {
                let (path, line) = (self.path.to_owned(), other.lines.start + 1);
                return Err(Refusal::Overlap { hunk: other.hunk, other: one.hunk, path, line });
            }
        }
        Ok(())
    }

    fn after(&self, hunks: &[Hunk<'_>], edits: Vec<Edit<'_>>) -> String {
        let all = &self.lines.all;
        let mut text = String::new();
        let (mut at, mut count, mut returned) = (0, 0, false);
        let mut push = |line: &str| {
            if count > 0 {
                text.push('\n');
            }
            text.push_str(line);
            count += 1;
        };
        for edit in edits {
            all[at..edit.lines.start].iter().for_each(|line| push(line));
            edit.new.iter().for_each(|line| push(line));
            at = edit.lines.end;
            returned = at == all.len() && edit.new.last().is_some_and(|line| matches!(line, std::borrow::Cow::Owned(_)));
        }
        all[at..].iter().for_each(|line| push(line));
        let terminated = hunks
            .iter()
            .zip(&self.fits)
            .fold(self.lines.terminated, |before, (hunk, fit)| self.ends_terminated(hunk, fit, before));
        if terminated && count > 0 {
            text.push('\n');
        } else if !terminated && returned && text.ends_with('\r') {
            text.pop(); // of a line ending that is not there
        }
        text
    }

    /// Whether the file ends with a line feed after a hunk that says so consistently; else as before.
    fn ends_terminated(&self, hunk: &Hunk<'_>, fit: &Option<Fit<'_>>, before: bool) -> bool {
        let Some(fit) = fit else { return before };
        let old = hunk.expected().any(|row| row.unterminated);
        let new = hunk.written().any(|row| row.unterminated);
        let reaches = fit.last().map_or(0, |last| last + 1) == self.lines.all.len();
        if reaches && old != self.lines.terminated && (old || new) {
            !new
        } else {
            before
        }
    }
}

/// A whole new text with the line endings of the one before.
pub(super) fn replace(lines: &[&str], before: &str) -> String {
    let returns = 2 * before.matches("\r\n").count() > before.matches('\n').count();
    let end = if returns { "\r\n" } else { "\n" };
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        text.push_str(line.strip_suffix('\r').unwrap_or(line));
        if at + 1 < lines.len() || before.is_empty() || before.ends_with('\n') {
            text.push_str(end);
        }
    }
    text
}

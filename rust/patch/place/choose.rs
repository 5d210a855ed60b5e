//! The one place among several: the stated line, the only one in the function that the header names, or between its neighbours.

use super::super::form::{is_blank, Hunk, Kind, Row};
use super::contiguous::Places;
use super::fit::Fit;
use super::lines::{width, Class};
use super::work::Costly;
use super::Placer;

impl<'a> Placer<'_, 'a> {
    /// The one place among several.
    pub(super) fn pick(
        &mut self,
        hunk: &Hunk<'a>,
        places: &Places,
        around: Option<(usize, usize)>,
    ) -> Result<Option<Fit<'a>>, Costly> {
        let start = self.choose(hunk, places, around)?;
        Ok(start.map(|start| places.fit(hunk, start, &self.lines)))
    }

    fn choose(&mut self, hunk: &Hunk<'a>, places: &Places, around: Option<(usize, usize)>) -> Result<Option<usize>, Costly> {
        let starts = &places.starts;
        if let Some(last) = starts.last().filter(|start| hunk.ends_file && places.end(**start) == self.lines.all.len()) {
            return Ok(Some(*last));
        }
        if let [only] = starts[..] {
            let rivals = self.twin(hunk, places).is_some_and(|twin| {
                let inside = |line| around.is_some_and(|(lo, hi)| (lo..hi).contains(&line));
                !inside(only) || inside(twin)
            });
            return Ok(Some(only).filter(|_| !rivals));
        }
        if let Some(stated) = hunk.stated.filter(|stated| starts.contains(stated)) {
            return Ok(Some(stated));
        }
        // A header whose number is wrong is not to be trusted in the rest either.
        let scope = if hunk.stated.is_none() { self.scope(hunk.scope)? } else { None };
        let one = [scope, around].into_iter().flatten().find_map(|(lo, hi)| {
            let mut inside = starts.iter().filter(|start| (lo..hi).contains(start));
            inside.next().filter(|_| inside.next().is_none())
        });
        Ok(one.copied())
    }

    /// The stated line, if a hunk that stands elsewhere stands there as well but for one line of context at its end.
    pub(super) fn twin(&self, hunk: &Hunk<'a>, places: &Places) -> Option<usize> {
        let stated = hunk.stated.filter(|stated| !places.starts.contains(stated))?;
        let old: Vec<&Row<'a>> = hunk.expected().collect();
        let there = self.lines.all.get(stated..stated + old.len())?;
        let mut other = (0..old.len()).filter(|&row| !Class::End.same(old[row].text, there[row]));
        let row = other.next().filter(|&row| row == 0 || row + 1 == old.len())?;
        let told = old.iter().filter(|row| row.kind == Kind::Keep && !is_blank(row.text)).count() > 1;
        (other.next().is_none() && old[row].kind == Kind::Keep && told).then_some(stated)
    }

    /// The block that starts with the line that a header names, if only one line is it.
    fn scope(&mut self, name: &str) -> Result<Option<(usize, usize)>, Costly> {
        let name = bare(name);
        if name.is_empty() {
            return Ok(None);
        }
        let all = &self.lines.all;
        self.work.spend(8 * all.len())?;
        let mut named = (0..all.len()).filter(|line| bare(all[*line]) == name).peekable();
        let mut begun = (0..all.len()).filter(|line| all[*line].trim_start().starts_with(name));
        let found = if named.peek().is_some() { (named.next(), named.next()) } else { (begun.next(), begun.next()) };
        let (Some(start), None) = found else { return Ok(None) };
        let columns = width(all[start]);
        let inside = |line: &usize| {
            is_blank(all[*line]) || width(all[*line]) > columns || all[*line].trim_start().starts_with([')', ']', '}'])
        };
        Ok(Some((start, start + 1 + (start + 1..all.len()).take_while(inside).count())))
    }
}

/// A line without what may be missing of it in a header.
fn bare(line: &str) -> &str {
    line.trim().trim_end_matches(':').trim_end()
}

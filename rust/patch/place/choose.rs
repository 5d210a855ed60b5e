//! The one place among several: the stated line, the only one in the function that the header names, or between its neighbours.

use super::super::form::{is_blank, Hunk, Kind, Row};
use super::contiguous::Places;
use super::fit::Fit;
use super::lines::{width, Class};
use super::Placer;

impl<'a> Placer<'_, 'a> {
    /// The one place among several.
    pub(super) fn pick(&self, hunk: &Hunk<'a>, places: &Places, around: Option<(usize, usize)>) -> Option<Fit<'a>> {
        let fit = |start: &usize| Some(places.fit(hunk, *start, &self.lines));
        let starts = &places.starts;
        if let Some(last) = starts.last().filter(|start| hunk.ends_file && places.end(**start) == self.lines.all.len()) {
            return fit(last);
        }
        if let [only] = starts[..] {
            let rivals = self.twin(hunk, places).is_some_and(|twin| {
                let inside = |line| around.is_some_and(|(lo, hi)| (lo..hi).contains(&line));
                !inside(only) || inside(twin)
            });
            return if rivals { None } else { fit(&only) };
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
}

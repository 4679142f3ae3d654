//! A hunk: lines that replace others, with their context.

/// What a line of a hunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Context,
    Removed,
    Added,
}

/// Where the lines of one side are: the first, from 1 on, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

/// The largest number of a line: sums of several of them are still numbers.
pub(crate) const LARGEST: usize = usize::MAX / 16;

/// A hunk. Lines are bytes with their line end; the last of a file may have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// As it is written in the patch. Of no lines it is the line after which the others come.
    pub(crate) old: Range,
    pub(crate) new: Range,
    pub(crate) lines: Vec<(Mark, Vec<u8>)>,
    /// What follows the ranges of a unified hunk: the function.
    pub(crate) section: Vec<u8>,
}

impl Hunk {
    /// The same the other way round.
    pub(crate) fn reversed(&self) -> Self {
        let mut lines = Vec::with_capacity(self.lines.len());
        let mut added = Vec::new();
        // Within a change the removed lines come first.
        for (mark, line) in &self.lines {
            match mark {
                Mark::Context => {
                    lines.append(&mut added);
                    lines.push((Mark::Context, line.clone()));
                }
                Mark::Removed => added.push((Mark::Added, line.clone())),
                Mark::Added => lines.push((Mark::Removed, line.clone())),
            }
        }
        lines.append(&mut added);
        Self { old: self.new, new: self.old, lines, section: self.section.clone() }
    }

    /// The lines that are looked for.
    pub(crate) fn old_lines(&self) -> Vec<&[u8]> {
        self.lines.iter().filter(|(mark, _)| *mark != Mark::Added).map(|(_, line)| line.as_slice()).collect()
    }

    /// How many lines of context it begins with.
    pub(crate) fn prefix(&self) -> usize {
        self.lines.iter().take_while(|(mark, _)| *mark == Mark::Context).count()
    }

    /// How many lines of context it ends with.
    pub(crate) fn suffix(&self) -> usize {
        self.lines.iter().rev().take_while(|(mark, _)| *mark == Mark::Context).count()
    }

    /// The line that its first line is looked for at.
    pub(crate) fn guess(&self) -> usize {
        self.old.first + usize::from(self.old.count == 0)
    }
}

/// Joins the two sides of a context difference, whose lines are marked with `' '`, `'-'`, `'+'` and `'!'`. A side
/// without changes may be left out. None if the sides do not fit.
pub(crate) fn join(old: Vec<(u8, Vec<u8>)>, new: Vec<(u8, Vec<u8>)>) -> Option<Vec<(Mark, Vec<u8>)>> {
    let context = |side: &[(u8, Vec<u8>)]| -> Vec<(u8, Vec<u8>)> {
        side.iter().filter(|(mark, _)| *mark == b' ').cloned().collect()
    };
    let (old, new) = match (old.is_empty(), new.is_empty()) {
        (true, false) => (context(&new), new),
        (false, true) => {
            let kept = context(&old);
            (old, kept)
        }
        _ => (old, new),
    };
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    let mut lines = Vec::new();
    loop {
        while let Some((_, line)) = old.next_if(|(mark, _)| *mark != b' ') {
            lines.push((Mark::Removed, line));
        }
        while let Some((_, line)) = new.next_if(|(mark, _)| *mark != b' ') {
            lines.push((Mark::Added, line));
        }
        match (old.next(), new.next()) {
            (None, None) => return Some(lines),
            (Some((_, line)), Some((_, other))) if line == other => lines.push((Mark::Context, line)),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(mark: u8, text: &str) -> (u8, Vec<u8>) {
        (mark, text.as_bytes().to_vec())
    }

    #[test]
    fn sides_of_a_context_difference_are_joined() {
        let old = vec![line(b' ', "a"), line(b'!', "b"), line(b' ', "c")];
        let new = vec![line(b' ', "a"), line(b'!', "B"), line(b' ', "c"), line(b'+', "d")];
        let marks = |lines: Vec<(Mark, Vec<u8>)>| -> String {
            lines.iter().map(|(mark, line)| format!("{mark:?} {} ", String::from_utf8_lossy(line))).collect()
        };
        let joined = join(old.clone(), new.clone()).map(marks);
        assert_eq!(joined.as_deref(), Some("Context a Removed b Added B Context c Added d "));
        assert_eq!(
            join(Vec::new(), vec![line(b' ', "a"), line(b'+', "b")]).map(marks).as_deref(),
            Some("Context a Added b ")
        );
        assert_eq!(join(vec![line(b' ', "a")], vec![line(b' ', "b")]), None);
    }

    #[test]
    fn a_reversed_hunk_removes_what_it_added() {
        let lines = [(Mark::Context, "a"), (Mark::Removed, "b"), (Mark::Added, "B"), (Mark::Context, "c")];
        let lines = lines.map(|(mark, line)| (mark, line.as_bytes().to_vec())).to_vec();
        let hunk =
            Hunk { old: Range { first: 1, count: 3 }, new: Range { first: 2, count: 3 }, lines, section: Vec::new() };
        let reversed = hunk.reversed();
        assert_eq!((reversed.old_lines(), reversed.old.first), (vec![&b"a"[..], b"B", b"c"], 2));
        assert_eq!((reversed.prefix(), reversed.suffix()), (1, 1));
        assert_eq!(reversed.reversed(), hunk);
    }
}

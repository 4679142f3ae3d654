//! Where a hunk fits: at its line, at a distance from it, or with some lines of context ignored.

use crate::hunk::Hunk;

/// What is known of the file so far.
pub(crate) struct Text<'a> {
    pub(crate) lines: &'a [Vec<u8>],
    /// How many lines are behind the last hunk that was applied.
    pub(crate) done: usize,
    /// By how much the last hunk was off its line.
    pub(crate) offset: isize,
    pub(crate) ignore_space: bool,
}

impl Text<'_> {
    /// The line, from 1 on, where a hunk fits with `fuzz` lines of context ignored at either end.
    ///
    /// A hunk with less context at one end than at the other begins at the start of the file, or ends at its end, as
    /// far as context is not ignored: diff(1) leaves out context where there is none.
    pub(crate) fn place(&self, hunk: &Hunk, fuzz: usize) -> Option<usize> {
        let old = hunk.old_lines();
        let guess = hunk.guess().checked_add_signed(self.offset)?;
        if old.is_empty() {
            return (guess > 0).then_some(guess);
        }
        let (prefix, suffix) = (hunk.prefix(), hunk.suffix());
        let context = prefix.max(suffix);
        let prefix_fuzz = (fuzz + prefix).checked_sub(context);
        let suffix_fuzz = (fuzz + suffix).checked_sub(context);
        let fits = |at: usize| {
            at > self.done && self.fits(&old, at, prefix_fuzz.unwrap_or_default(), suffix_fuzz.unwrap_or_default())
        };
        let at_start = prefix_fuzz.is_none() && hunk.guess() <= 1;
        if at_start {
            let whole = suffix_fuzz.is_some() || old.len() == self.lines.len();
            return (whole && fits(1)).then_some(1);
        }
        if suffix_fuzz.is_none() {
            let at = (self.lines.len() + 1).checked_sub(old.len())?;
            return fits(at).then_some(at);
        }
        // Only places in the file are tried, however far the guess is from it.
        let nearest = guess.saturating_sub(self.lines.len() + 1);
        let farthest = self.lines.len().max(guess);
        (nearest..=farthest).find_map(|distance| {
            let (after, before) = (guess + distance, guess.checked_sub(distance).filter(|_| distance > 0));
            [Some(after), before].into_iter().flatten().find(|at| fits(*at))
        })
    }

    /// Whether lines are at a line, but for the first and the last ones.
    fn fits(&self, old: &[&[u8]], at: usize, prefix_fuzz: usize, suffix_fuzz: usize) -> bool {
        let wanted = old.get(prefix_fuzz..old.len().saturating_sub(suffix_fuzz)).unwrap_or_default();
        let start = at - 1 + prefix_fuzz;
        let there = self.lines.get(start..start + wanted.len());
        there.is_some_and(|there| {
            there.iter().zip(wanted).all(|(there, wanted)| {
                there == wanted || (self.ignore_space && without_space(there).eq(without_space(wanted)))
            })
        })
    }
}

/// A line with its runs of white space as one space, and without those at its end.
fn without_space(line: &[u8]) -> impl Iterator<Item = u8> {
    let line = line.trim_ascii_end();
    let space = |byte: u8| byte.is_ascii_whitespace();
    let kept = move |(index, byte): (usize, &u8)| match (space(*byte), index.checked_sub(1).map(|last| line[last])) {
        (true, Some(last)) if space(last) => None,
        (true, _) => Some(b' '),
        (false, _) => Some(*byte),
    };
    line.iter().enumerate().filter_map(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunk::{self, Mark, Range};

    fn hunk(first: usize, lines: &[(Mark, &str)]) -> Hunk {
        let lines: Vec<_> = lines.iter().map(|(mark, line)| (*mark, line.as_bytes().to_vec())).collect();
        let range = Range { first, count: lines.len() };
        Hunk { old: range, new: range, lines, section: Vec::new() }
    }

    #[test]
    fn the_nearest_place_counts_and_context_may_be_ignored() {
        let lines: Vec<Vec<u8>> = "xaabxaabz".bytes().map(|letter| vec![letter]).collect();
        let text = |done, offset| Text { lines: &lines, done, offset, ignore_space: false };
        let pattern = [(Mark::Context, "a"), (Mark::Removed, "a"), (Mark::Context, "b")];
        assert_eq!(text(0, 0).place(&hunk(2, &pattern), 0), Some(2));
        assert_eq!(text(0, 0).place(&hunk(5, &pattern), 0), Some(6));
        assert_eq!(text(3, 0).place(&hunk(2, &pattern), 0), Some(6));
        assert_eq!(text(0, 4).place(&hunk(2, &pattern), 0), Some(6));
        let pattern = [(Mark::Context, "q"), (Mark::Removed, "a"), (Mark::Context, "b")];
        assert_eq!((text(0, 0).place(&hunk(2, &pattern), 0), text(0, 0).place(&hunk(2, &pattern), 1)), (None, Some(2)));
    }

    #[test]
    fn less_context_at_an_end_is_the_end_of_the_file() {
        let lines: Vec<Vec<u8>> = "abcab".bytes().map(|letter| vec![letter]).collect();
        let text = Text { lines: &lines, done: 0, offset: 0, ignore_space: false };
        assert_eq!(text.place(&hunk(1, &[(Mark::Context, "a"), (Mark::Removed, "b")]), 0), Some(4));
        assert_eq!(text.place(&hunk(1, &[(Mark::Removed, "b"), (Mark::Context, "c")]), 0), None);
        assert_eq!(text.place(&hunk(1, &[(Mark::Removed, "a"), (Mark::Context, "b")]), 0), Some(1));
    }

    #[test]
    fn a_guess_far_from_the_file_is_no_work() {
        let lines: Vec<Vec<u8>> = "abc".bytes().map(|letter| vec![letter]).collect();
        let text = |offset| Text { lines: &lines, done: 0, offset, ignore_space: false };
        let far = hunk::LARGEST;
        let pattern = [(Mark::Context, "a"), (Mark::Removed, "b"), (Mark::Context, "c")];
        assert_eq!(text(0).place(&hunk(far, &pattern), 0), Some(1));
        let pattern = [(Mark::Context, "a"), (Mark::Removed, "x"), (Mark::Context, "c")];
        assert_eq!(text(0).place(&hunk(far, &pattern), 0), None);
        let mut insertion = hunk(1, &[(Mark::Added, "x")]);
        insertion.old.count = 0;
        assert_eq!((text(-1).place(&insertion, 0), text(-2).place(&insertion, 0)), (Some(1), None));
    }

    #[test]
    fn runs_of_space_are_equal() {
        assert!(without_space(b"a \t b \n").eq(without_space(b"a b")));
        assert!(!without_space(b"a b").eq(without_space(b"ab")));
    }
}

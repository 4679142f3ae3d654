//! The hunks of a patch in its three forms.

use crate::error::PatchError;
use crate::hunk::{self, Hunk, Mark, Range};
use crate::input::{Input, text};
use crate::settings::Form;

/// How many lines may be missing at the end of a patch: mailers cut empty lines there.
const CUT: usize = 2;

/// The form of the hunk that a line begins, the second line of a context hunk.
pub(crate) fn form_at(input: &Input, at: usize, forced: Option<Form>) -> Option<Form> {
    let line = input.line(at)?;
    let allowed = |form: Form| forced.is_none_or(|forced| forced == form).then_some(form);
    if unified_ranges(line).is_some() {
        return allowed(Form::Unified);
    }
    let stars =
        at.checked_sub(1).and_then(|before| input.line(before)).is_some_and(|line| line.starts_with(b"********"));
    if stars && context_range(line, "*** ").is_some() {
        return allowed(Form::Context);
    }
    let marked = input.line(at + 1).is_some_and(|next| next.starts_with(b"< ") || next.starts_with(b"> "));
    (marked && normal_command(line).is_some()).then(|| allowed(Form::Normal)).flatten()
}

/// Whether a line is a command of ed(1), in whose language diff(1) writes, too.
pub(crate) fn is_ed_command(line: &[u8]) -> bool {
    normal_ranges(&text(line), &['a', 'c', 'd', 'i']).is_some_and(|(_, _, rest)| rest.is_empty())
}

/// Reads the next hunk. None where there is no further one.
pub(crate) fn next(input: &mut Input, form: Form) -> Result<Option<Hunk>, PatchError> {
    match form {
        Form::Unified => unified(input),
        Form::Context => context(input),
        Form::Normal => normal(input),
    }
}

fn malformed(input: &Input, at: usize) -> PatchError {
    let line = input.line(at).map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default();
    PatchError(format!("malformed patch at line {}: {line}", at + 1))
}

/// `FIRST,COUNT` or `FIRST`, and what follows.
fn counted(text: &str) -> Option<(Range, &str)> {
    let (first, rest) = number(text)?;
    match rest.strip_prefix(',') {
        Some(rest) => number(rest).map(|(count, rest)| (Range { first, count }, rest)),
        None => Some((Range { first, count: 1 }, rest)),
    }
}

fn number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    // What is larger is refused as soon as the hunk is read.
    let number = text[..end]
        .bytes()
        .fold(0_usize, |number, digit| number.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
    (end > 0).then_some((number, &text[end..]))
}

/// Refuses numbers above the largest.
fn check(input: &Input, at: usize, ranges: [Range; 2]) -> Result<(), PatchError> {
    if ranges.iter().all(|range| range.first <= hunk::LARGEST && range.count <= hunk::LARGEST) {
        return Ok(());
    }
    let line = input.line(at).map(text).unwrap_or_default();
    let most = hunk::LARGEST;
    Err(PatchError(format!("line number is too large at line {} (the largest is {most}): {line}\n", at + 1)))
}

/// `@@ -1,7 +1,7 @@ function`.
fn unified_ranges(line: &[u8]) -> Option<(Range, Range, Vec<u8>)> {
    let line = text(line);
    let (old, rest) = counted(line.strip_prefix("@@ -")?)?;
    let (new, rest) = counted(rest.strip_prefix(" +")?)?;
    let section = rest.strip_prefix(" @@")?;
    Some((old, new, section.as_bytes().to_vec()))
}

fn unified(input: &mut Input) -> Result<Option<Hunk>, PatchError> {
    let Some((old, new, section)) = input.peek().and_then(unified_ranges) else { return Ok(None) };
    check(input, input.at, [old, new])?;
    input.at += 1;
    let mut lines: Vec<(Mark, Vec<u8>)> = Vec::new();
    let (mut old_left, mut new_left) = (old.count, new.count);
    while old_left > 0 || new_left > 0 {
        let at = input.at;
        let line = match input.take() {
            Some(line) => line,
            None if new_left <= CUT => b" \n".to_vec(),
            None => return Err(PatchError("unexpected end of file in patch".to_owned())),
        };
        let (mark, rest) = match line.split_first() {
            Some((b' ', rest)) => (Mark::Context, rest),
            // Editors remove spaces at the ends of lines.
            Some((b'\t' | b'\n', _)) => (Mark::Context, line.as_slice()),
            Some((b'-', rest)) => (Mark::Removed, rest),
            Some((b'+', rest)) => (Mark::Added, rest),
            Some((b'\\', _)) => {
                without_end(&mut lines);
                continue;
            }
            _ => return Err(malformed(input, at)),
        };
        let (from_old, from_new) = (usize::from(mark != Mark::Added), usize::from(mark != Mark::Removed));
        let (Some(old), Some(new)) = (old_left.checked_sub(from_old), new_left.checked_sub(from_new)) else {
            return Err(malformed(input, at));
        };
        (old_left, new_left) = (old, new);
        lines.push((mark, rest.to_vec()));
    }
    if input.peek().is_some_and(|line| line.starts_with(b"\\ ")) {
        input.at += 1;
        without_end(&mut lines);
    }
    Ok(Some(Hunk { old, new, lines, section }))
}

/// `\ No newline at end of file`.
fn without_end(lines: &mut [(Mark, Vec<u8>)]) {
    if let Some((_, line)) = lines.last_mut()
        && line.ends_with(b"\n")
    {
        line.pop();
    }
}

/// `*** 1,7 ****` or `--- 3 ----`: the first line, and the last if it is another.
fn context_range(line: &[u8], start: &str) -> Option<(usize, Option<usize>)> {
    let line = text(line);
    let (first, rest) = number(line.strip_prefix(start)?)?;
    match rest.strip_prefix(',') {
        Some(rest) => number(rest).map(|(last, _)| (first, Some(last))),
        None => Some((first, None)),
    }
}

fn context(input: &mut Input) -> Result<Option<Hunk>, PatchError> {
    let is_start = |line: Option<&[u8]>| line.is_some_and(|line| line.starts_with(b"********"));
    if !is_start(input.peek()) {
        return Ok(None);
    }
    let Some(old) = input.line(input.at + 1).and_then(|line| context_range(line, "*** ")) else { return Ok(None) };
    input.at += 2;
    let old_lines = context_side(input, b'-');
    let at = input.at;
    let Some(new) = input.peek().and_then(|line| context_range(line, "--- ")) else {
        return Err(match input.peek() {
            Some(_) => malformed(input, at),
            None => PatchError("unexpected end of file in patch".to_owned()),
        });
    };
    input.at += 1;
    let new_lines = context_side(input, b'+');
    let count = |side: &[(u8, Vec<u8>)], other: &[(u8, Vec<u8>)]| match side.len() {
        0 => other.iter().filter(|(mark, _)| *mark == b' ').count(),
        count => count,
    };
    let (old_count, new_count) = (count(&old_lines, &new_lines), count(&new_lines, &old_lines));
    let is_wrong = |(first, last): (usize, Option<usize>), count: usize| {
        last.is_some_and(|last| last.saturating_add(1).checked_sub(first) != Some(count))
    };
    check(input, at, [old, new].map(|(first, last)| Range { first, count: last.unwrap_or_default() }))?;
    if is_wrong(old, old_count) || is_wrong(new, new_count) {
        return Err(malformed(input, input.at.saturating_sub(1)));
    }
    let lines = hunk::join(old_lines, new_lines).ok_or_else(|| malformed(input, at))?;
    let range = |(first, _): (usize, Option<usize>), count| Range { first, count };
    Ok(Some(Hunk { old: range(old, old_count), new: range(new, new_count), lines, section: Vec::new() }))
}

/// The lines of one side of a context hunk.
fn context_side(input: &mut Input, changed: u8) -> Vec<(u8, Vec<u8>)> {
    let mut lines: Vec<(u8, Vec<u8>)> = Vec::new();
    while let Some(line) = input.peek() {
        match line {
            [mark, b' ' | b'\t', rest @ ..] if [b' ', b'!', changed].contains(mark) => {
                lines.push((*mark, rest.to_vec()))
            }
            [b'\\', b' ', ..] => {
                if let Some((_, last)) = lines.last_mut() {
                    last.pop();
                }
            }
            [b'\n'] | [b' ', b'\n'] | [b'\t', ..] => lines.push((b' ', b"\n".to_vec())),
            _ => break,
        }
        input.at += 1;
    }
    lines
}

/// `2,3c4,5`, `2a3` or `2,3d1`: the ranges, the letter, and what follows.
fn normal_ranges<'a>(line: &'a str, letters: &[char]) -> Option<((usize, usize), char, &'a str)> {
    let (old, rest) = last_of(line)?;
    let letter = rest.chars().next().filter(|letter| letters.contains(letter))?;
    Some((old, letter, &rest[1..]))
}

fn last_of(text: &str) -> Option<((usize, usize), &str)> {
    let (first, rest) = number(text)?;
    match rest.strip_prefix(',') {
        Some(rest) => number(rest).map(|(last, rest)| ((first, last), rest)),
        None => Some(((first, first), rest)),
    }
}

fn normal_command(line: &[u8]) -> Option<(Range, Range)> {
    let line = text(line);
    let (old, letter, rest) = normal_ranges(line.trim_end(), &['a', 'c', 'd'])?;
    let (new, rest) = last_of(rest)?;
    let range =
        |(first, last): (usize, usize)| Some(Range { first, count: last.saturating_add(1).checked_sub(first)? });
    let empty = |(first, _): (usize, usize)| Range { first, count: 0 };
    let old = if letter == 'a' { empty(old) } else { range(old)? };
    let new = if letter == 'd' { empty(new) } else { range(new)? };
    rest.is_empty().then_some((old, new))
}

fn normal(input: &mut Input) -> Result<Option<Hunk>, PatchError> {
    let Some((old, new)) = input.peek().and_then(normal_command) else { return Ok(None) };
    check(input, input.at, [old, new])?;
    input.at += 1;
    let mut lines = Vec::new();
    for (range, mark, letter) in [(old, Mark::Removed, b'<'), (new, Mark::Added, b'>')] {
        if mark == Mark::Added && old.count > 0 && new.count > 0 {
            let at = input.at + 1;
            if input.take().is_none_or(|line| !line.starts_with(b"---")) {
                return Err(PatchError(format!("'---' expected at line {at} of patch")));
            }
        }
        for _ in 0..range.count {
            let at = input.at + 1;
            let line = input.take().ok_or_else(|| PatchError("unexpected end of file in patch".to_owned()))?;
            let [first, b' ' | b'\t', rest @ ..] = line.as_slice() else {
                return Err(unmarked(letter, at));
            };
            if *first != letter {
                return Err(unmarked(letter, at));
            }
            lines.push((mark, rest.to_vec()));
            if input.peek().is_some_and(|line| line.starts_with(b"\\ ")) {
                input.at += 1;
                without_end(&mut lines);
            }
        }
    }
    Ok(Some(Hunk { old, new, lines, section: Vec::new() }))
}

fn unmarked(letter: u8, at: usize) -> PatchError {
    PatchError(format!("'{}' followed by space or tab expected at line {at} of patch", char::from(letter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunks(patch: &str, form: Form) -> Result<Vec<String>, String> {
        let mut input = Input::new(patch.as_bytes());
        let mut found = Vec::new();
        while let Some(hunk) = next(&mut input, form).map_err(|PatchError(message)| message)? {
            let lines = hunk.lines.iter().map(|(mark, line)| format!("{mark:?}:{}", String::from_utf8_lossy(line)));
            found.push(format!("{} {} {}", hunk.old.first, hunk.new.first, lines.collect::<String>()));
        }
        Ok(found)
    }

    #[test]
    fn the_three_forms_say_the_same() {
        let expected = Ok(vec!["2 2 Removed:b\nAdded:B".to_owned()]);
        assert_eq!(hunks("@@ -2 +2 @@ f\n-b\n+B\n\\ No newline at end of file\n", Form::Unified), expected);
        assert_eq!(hunks("2c2\n< b\n---\n> B\n\\ No newline at end of file\n", Form::Normal), expected);
        let context = "***************\n*** 2 ****\n! b\n--- 2 ----\n! B\n\\ No newline at end of file\n";
        assert_eq!(hunks(context, Form::Context), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert_eq!(hunks("@@ -1 +1 @@\nx\n", Form::Unified), Err("malformed patch at line 2: x\n".to_owned()));
        assert_eq!(hunks("@@ -1,9 +1,9 @@\n x\n", Form::Unified), Err("unexpected end of file in patch".to_owned()));
        assert_eq!(hunks("1c1\n< a\n> b\n", Form::Normal), Err("'---' expected at line 3 of patch".to_owned()));
    }

    #[test]
    fn numbers_that_are_too_large_are_refused() {
        for (patch, form) in [
            ("@@ -99999999999999999999,1 +1 @@\n-a\n+b\n", Form::Unified),
            ("@@ -1 +1,99999999999999999999 @@\n-a\n+b\n", Form::Unified),
            ("***************\n*** 99999999999999999999 ****\n! a\n--- 1 ----\n! b\n", Form::Context),
            ("1,99999999999999999999c1\n< a\n---\n> b\n", Form::Normal),
        ] {
            let error = hunks(patch, form).expect_err("a number is too large");
            assert!(error.starts_with("line number is too large at line "), "{error}");
        }
    }

    #[test]
    fn empty_lines_may_be_cut_at_the_end() {
        let expected = Ok(vec!["1 1 Added:a\nContext:\nContext:\n".to_owned()]);
        assert_eq!(hunks("@@ -1,2 +1,3 @@\n+a\n", Form::Unified), expected);
    }
}

//! Text objects: words and paragraphs.

use crate::text::{Position, Text, char_at, class, is_blank_line, next, previous};

/// `iw`, `aw`, `iW`, `aW`: where it begins and ends, the end excluded. All in one line.
pub(crate) fn word_object(text: &Text, at: Position, count: usize, around: bool, big: bool) -> Option<(usize, usize)> {
    let line = text.line(at.line);
    let class_of = |column| class(char_at(line, column), big);
    let begin = |mut column: usize| {
        while let Some(before) = previous(line, column).filter(|before| class_of(*before) == class_of(column)) {
            column = before;
        }
        column
    };
    let end = |from: usize| {
        let mut column = from;
        while column < line.len() && class_of(column) == class_of(from) {
            column = next(line, column);
        }
        column
    };
    let mut start = begin(at.column);
    let mut stop = start;
    let on_blank = class_of(start) == 0;
    let mut ends_in_blank = true;
    for turn in 0..count.max(1) {
        if stop >= line.len() && turn > 0 {
            return None;
        }
        stop = end(stop);
        if around && stop < line.len() && (on_blank || class_of(stop) == 0) {
            stop = end(stop);
        } else if around && !on_blank {
            ends_in_blank = false;
        }
    }
    if around && !on_blank && !ends_in_blank && start > 0 {
        // Without blanks behind it, those before it go, unless they are the indent.
        let blanks = previous(line, start).filter(|before| class_of(*before) == 0).map(begin);
        start = blanks.filter(|blanks| *blanks > 0).unwrap_or(start);
    }
    Some((start, stop))
}

/// `ip`, `ap`: the first and the last line.
pub(crate) fn paragraph_object(text: &Text, at: usize, count: usize, around: bool) -> Option<(usize, usize)> {
    let blank = |line: usize| is_blank_line(text.line(line));
    let last = text.last();
    let on_blank = blank(at);
    let mut start = at;
    while start > 0 && blank(start - 1) == on_blank {
        start -= 1;
    }
    // One behind the last line so far.
    let mut end = start;
    while end <= last && blank(end) {
        end += 1;
    }
    let mut left = count.max(1) - usize::from(!around && on_blank);
    while left > 0 {
        left -= 1;
        if end > last {
            return None;
        }
        let blanks = !around && blank(end);
        if !blanks {
            end += 1;
            while end <= last && !blank(end) {
                end += 1;
            }
        }
        if left == 0 && on_blank && around {
            break;
        }
        if around || blanks {
            while end <= last && blank(end) {
                end += 1;
            }
        }
    }
    if around && !on_blank && !blank(end - 1) {
        while start > 0 && blank(start - 1) {
            start -= 1;
        }
    }
    Some((start, end - 1))
}

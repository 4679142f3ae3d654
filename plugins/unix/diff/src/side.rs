//! Two columns, with the tabs of GNU's diff.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

use crate::changes::Change;
use crate::lines::Lines;
use crate::settings::Settings;

const TAB: usize = 8;

/// Prints both files beside each other.
pub(crate) fn print(
    settings: &Settings,
    files: [&Lines<'_>; 2],
    changes: &[Change],
    out: &mut impl Write,
) -> io::Result<()> {
    let offset = (settings.width + TAB + 3) / (2 * TAB) * TAB;
    let half = offset.saturating_sub(3).min(settings.width.saturating_sub(offset));
    let columns = Columns { half, offset: if half > 0 { offset } else { settings.width } };
    let common = |from: (usize, usize), to: usize, out: &mut _| {
        if settings.suppress_common {
            return Ok(());
        }
        (from.0..to)
            .zip(from.1..)
            .try_for_each(|(old, new)| columns.line(Some((files[0], old)), ' ', Some((files[1], new)), out))
    };
    let mut at = (0, 0);
    for Change { old, new } in changes {
        common(at, old.0, out)?;
        let (mut left, mut right) = (old.0, new.0);
        while left < old.1 || right < new.1 {
            let (has_left, has_right) = (left < old.1, right < new.1);
            let sign = match (has_left, has_right) {
                (true, true) => '|',
                (true, false) => '<',
                _ => '>',
            };
            let first = has_left.then_some((files[0], left));
            columns.line(first, sign, has_right.then_some((files[1], right)), out)?;
            left += usize::from(has_left);
            right += usize::from(has_right);
        }
        at = (old.1, new.1);
    }
    common(at, files[0].lines.len(), out)
}

struct Columns {
    /// The width of a column.
    half: usize,
    /// Where the second begins.
    offset: usize,
}

/// A line of a file, by its number.
type Place<'a> = Option<(&'a Lines<'a>, usize)>;

impl Columns {
    fn line(&self, left: Place<'_>, sign: char, right: Place<'_>, out: &mut impl Write) -> io::Result<()> {
        let ended = |(file, number): (&Lines<'_>, usize)| file.ended || number + 1 < file.lines.len();
        let mut column = 0;
        let mut newline = left.is_some_and(ended);
        if let Some((file, number)) = left {
            column = self.half_line(file.lines[number], 0, out)?;
        }
        if sign != ' ' {
            column = tab(column, usize::midpoint(self.half, self.offset - 1), out)? + 1;
            let sign = match right {
                Some(right) if sign == '|' && newline != ended(right) => {
                    if newline {
                        '/'
                    } else {
                        '\\'
                    }
                }
                _ => sign,
            };
            write!(out, "{sign}")?;
        }
        if let Some((file, number)) = right {
            newline |= ended((file, number));
            if !file.lines[number].is_empty() {
                column = tab(column, self.offset, out)?;
                self.half_line(file.lines[number], column, out)?;
            }
        }
        if newline { writeln!(out) } else { Ok(()) }
    }

    /// Prints what fits of a line, and returns the column after it.
    fn half_line(&self, line: &[u8], indent: usize, out: &mut impl Write) -> io::Result<usize> {
        let (mut wanted, mut column) = (0, 0);
        for character in String::from_utf8_lossy(line).chars() {
            if character == '\t' {
                let next = wanted + TAB - wanted % TAB;
                if wanted == column && next < self.half {
                    column = next;
                    write!(out, "\t")?;
                }
                wanted = next;
                continue;
            }
            wanted += character.width().unwrap_or_default();
            if wanted <= self.half {
                column = wanted;
                write!(out, "{character}")?;
            }
        }
        Ok(indent + column)
    }
}

/// Goes from a column to another with tabs and blanks.
fn tab(from: usize, to: usize, out: &mut impl Write) -> io::Result<usize> {
    let mut at = from;
    while at + TAB - at % TAB <= to {
        write!(out, "\t")?;
        at += TAB - at % TAB;
    }
    while at < to {
        write!(out, " ")?;
        at += 1;
    }
    Ok(to)
}

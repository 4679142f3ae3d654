//! The styles in which changes are printed.

use std::io::{self, Write};

use crate::changes::{Change, grouped};
use crate::lines::Lines;
use crate::settings::{Settings, Style};
use crate::side;

/// Two files, and what changes between them.
pub(crate) struct Comparison<'a> {
    pub(crate) files: [&'a Lines<'a>; 2],
    pub(crate) changes: &'a [Change],
    /// The names and times of the files, or their labels.
    pub(crate) heads: [String; 2],
}

impl Comparison<'_> {
    /// Prints the changes.
    pub(crate) fn print(&self, settings: &Settings, out: &mut impl Write) -> io::Result<()> {
        match settings.style {
            Style::Normal => self.normal(out),
            Style::Ed => self.ed(out),
            Style::Unified => self.unified(settings.context, out),
            Style::Context => self.context(settings.context, out),
            Style::SideBySide => side::print(settings, self.files, self.changes, out),
        }
    }

    fn lines(&self, file: usize, (from, to): (usize, usize), mark: &str, out: &mut impl Write) -> io::Result<()> {
        for number in from..to {
            out.write_all(mark.as_bytes())?;
            out.write_all(&self.files[file].with_end(number))?;
        }
        Ok(())
    }

    fn normal(&self, out: &mut impl Write) -> io::Result<()> {
        for Change { old, new } in self.changes {
            let letter = match (old.0 == old.1, new.0 == new.1) {
                (true, _) => 'a',
                (_, true) => 'd',
                _ => 'c',
            };
            writeln!(out, "{}{letter}{}", range(*old), range(*new))?;
            self.lines(0, *old, "< ", out)?;
            if letter == 'c' {
                writeln!(out, "---")?;
            }
            self.lines(1, *new, "> ", out)?;
        }
        Ok(())
    }

    fn ed(&self, out: &mut impl Write) -> io::Result<()> {
        for Change { old, new } in self.changes.iter().rev() {
            let letter = match (old.0 == old.1, new.0 == new.1) {
                (true, _) => 'a',
                (_, true) => 'd',
                _ => 'c',
            };
            writeln!(out, "{}{letter}", range(*old))?;
            if letter == 'd' {
                continue;
            }
            let mut open = true;
            for line in &self.files[1].lines[new.0..new.1] {
                if !std::mem::replace(&mut open, true) {
                    writeln!(out, "a")?;
                }
                // A lone dot would end the text: it is written as two, of which one is removed.
                let dot = *line == b".";
                out.write_all(if dot { b".." } else { line })?;
                writeln!(out)?;
                if dot {
                    writeln!(out, ".\ns/.//")?;
                    open = false;
                }
            }
            if open {
                writeln!(out, ".")?;
            }
        }
        Ok(())
    }

    /// The lines around changes: from and to which lines of both files.
    fn around(&self, group: &[Change], context: usize) -> ((usize, usize), (usize, usize)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return ((0, 0), (0, 0));
        };
        let before = context.min(first.old.0).min(first.new.0);
        let after = context.min(self.files[0].lines.len() - last.old.1).min(self.files[1].lines.len() - last.new.1);
        ((first.old.0 - before, last.old.1 + after), (first.new.0 - before, last.new.1 + after))
    }

    fn unified(&self, context: usize, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "--- {}\n+++ {}", self.heads[0], self.heads[1])?;
        for group in grouped(self.changes, context) {
            let (old, new) = self.around(&group, context);
            writeln!(out, "@@ -{} +{} @@", unified_range(old), unified_range(new))?;
            let mut at = old.0;
            for change in &group {
                self.lines(0, (at, change.old.0), " ", out)?;
                self.lines(0, change.old, "-", out)?;
                self.lines(1, change.new, "+", out)?;
                at = change.old.1;
            }
            self.lines(0, (at, old.1), " ", out)?;
        }
        Ok(())
    }

    fn context(&self, context: usize, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "*** {}\n--- {}", self.heads[0], self.heads[1])?;
        for group in grouped(self.changes, context) {
            let (old, new) = self.around(&group, context);
            writeln!(out, "***************\n*** {} ****", range(old))?;
            let mark = |change: &Change, own: &'static str| {
                if change.old.0 == change.old.1 || change.new.0 == change.new.1 { own } else { "! " }
            };
            if group.iter().any(|change| change.old.0 < change.old.1) {
                let mut at = old.0;
                for change in &group {
                    self.lines(0, (at, change.old.0), "  ", out)?;
                    self.lines(0, change.old, mark(change, "- "), out)?;
                    at = change.old.1;
                }
                self.lines(0, (at, old.1), "  ", out)?;
            }
            writeln!(out, "--- {} ----", range(new))?;
            if group.iter().any(|change| change.new.0 < change.new.1) {
                let mut at = new.0;
                for change in &group {
                    self.lines(1, (at, change.new.0), "  ", out)?;
                    self.lines(1, change.new, mark(change, "+ "), out)?;
                    at = change.new.1;
                }
                self.lines(1, (at, new.1), "  ", out)?;
            }
        }
        Ok(())
    }
}

/// Lines from 1 on: one or two numbers; of none the line before them.
fn range((from, to): (usize, usize)) -> String {
    if to <= from + 1 { to.to_string() } else { format!("{},{to}", from + 1) }
}

fn unified_range((from, to): (usize, usize)) -> String {
    match to - from {
        0 => format!("{from},0"),
        1 => to.to_string(),
        count => format!("{},{count}", from + 1),
    }
}

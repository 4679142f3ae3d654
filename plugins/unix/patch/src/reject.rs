//! Hunks that were not applied, as they are kept in a file.

use crate::header::{Header, Name};
use crate::hunk::{Hunk, Mark, Range};
use crate::settings::Form;

/// The rejected hunks of one file.
pub(crate) struct Rejects {
    form: Form,
    /// The form of the ranges: those of normal differences are others.
    is_normal: bool,
    pub(crate) text: Vec<u8>,
}

impl Rejects {
    pub(crate) fn new(patch: Form, wanted: Option<Form>) -> Self {
        let own = if patch == Form::Unified { Form::Unified } else { Form::Context };
        Self { form: wanted.unwrap_or(own), is_normal: patch == Form::Normal, text: Vec::new() }
    }

    /// Adds a hunk as it was to be applied. `moved`: by how many lines those before it have moved it.
    pub(crate) fn add(&mut self, header: &Header, reversed: bool, hunk: &Hunk, moved: isize) {
        if self.text.is_empty() {
            let shown = |name: &Option<Name>| name.as_ref().map_or("/dev/null".to_owned(), |name| name.shown.clone());
            let (old, new) = (shown(&header.old), shown(&header.new));
            let (old, new) = if reversed { (new, old) } else { (old, new) };
            let (first, second) = if self.form == Form::Unified { ("---", "+++") } else { ("***", "---") };
            self.text.extend(format!("{first} {old}\n{second} {new}\n").bytes());
        }
        let shifted = |range: Range| Range { first: range.first.saturating_add_signed(moved), ..range };
        let (old, new) = (shifted(hunk.old), shifted(hunk.new));
        if self.form == Form::Unified {
            self.unified(hunk, old, new);
        } else {
            self.context(hunk, old, new);
        }
    }

    fn unified(&mut self, hunk: &Hunk, old: Range, new: Range) {
        let range = |Range { first, count }: Range| match count {
            1 => first.to_string(),
            _ => format!("{first},{count}"),
        };
        self.text.extend(format!("@@ -{} +{} @@", range(old), range(new)).bytes());
        self.text.extend(&hunk.section);
        self.text.push(b'\n');
        for (mark, line) in &hunk.lines {
            self.line(if *mark == Mark::Context { " " } else { sign(*mark) }, line);
        }
    }

    fn context(&mut self, hunk: &Hunk, old: Range, new: Range) {
        let (stars, dashes) = if self.is_normal { ("", " -----") } else { (" ****", " ----") };
        let range = |Range { first, count }: Range| match count {
            0 | 1 => first.to_string(),
            _ => format!("{first},{}", first + count - 1),
        };
        self.text.extend(format!("***************\n*** {}{stars}\n", range(old)).bytes());
        let marks = self.marks(hunk);
        let sides = [(Mark::Added, Mark::Removed), (Mark::Removed, Mark::Added)];
        for (place, (other, own)) in sides.into_iter().enumerate() {
            if place == 1 {
                self.text.extend(format!("--- {}{dashes}\n", range(new)).bytes());
            }
            // A side without changes is left out.
            if hunk.lines.iter().any(|(mark, _)| *mark == own) {
                for ((mark, line), sign) in hunk.lines.iter().zip(&marks).filter(|((mark, _), _)| *mark != other) {
                    self.line(if *mark == Mark::Context { "  " } else { sign }, line);
                }
            }
        }
    }

    /// The mark of each line of a context hunk: `!` where lines are changed to others.
    fn marks(&self, hunk: &Hunk) -> Vec<&'static str> {
        let mut marks = Vec::new();
        for change in hunk.lines.chunk_by(|(one, _), (other, _)| (*one == Mark::Context) == (*other == Mark::Context)) {
            let has = |wanted: Mark| change.iter().any(|(mark, _)| *mark == wanted);
            let both = has(Mark::Removed) && has(Mark::Added) && !self.is_normal;
            marks.extend(change.iter().map(|(mark, _)| match mark {
                Mark::Context => "  ",
                _ if both => "! ",
                Mark::Removed => "- ",
                Mark::Added => "+ ",
            }));
        }
        marks
    }

    fn line(&mut self, mark: &str, line: &[u8]) {
        self.text.extend(mark.bytes());
        self.text.extend(line);
        if !line.ends_with(b"\n") {
            self.text.extend(b"\n\\ No newline at end of file\n");
        }
    }
}

fn sign(mark: Mark) -> &'static str {
    match mark {
        Mark::Context => " ",
        Mark::Removed => "-",
        Mark::Added => "+",
    }
}

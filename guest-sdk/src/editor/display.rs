//! How a line looks on a terminal, and the bytes that make it look so.

mod glyph;
mod layout;
mod plain;
mod prompt;
mod screen;

pub(super) use glyph::{visible, width};
pub(super) use layout::View;
pub(super) use plain::PlainRow;
pub(super) use prompt::{Sequences, ShownPrompt};
pub(super) use screen::Screen;

/// The terminal, by what it can do.
#[derive(Debug)]
pub(super) enum Display {
    Screen(Screen),
    Row(PlainRow),
}

impl Display {
    /// Shows a view, with the colours of its prompt.
    pub(super) fn draw(&mut self, view: View<'_>, styles: &[String], out: &mut Vec<u8>) {
        match self {
            Self::Screen(screen) => screen.draw(view, styles, out),
            Self::Row(row) => row.draw(view, out),
        }
    }

    /// Leaves what is shown, with the cursor at the beginning of an empty row below. The cursor has to be at the end of
    /// the text; `mark` is written there first.
    pub(super) fn leave(&mut self, mark: &str, out: &mut Vec<u8>) {
        match self {
            Self::Screen(screen) => screen.leave(mark, out),
            Self::Row(row) => row.leave(mark, out),
        }
    }

    /// Removes what is shown.
    pub(super) fn erase(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Screen(screen) => screen.erase(out),
            Self::Row(row) => row.erase(out),
        }
    }

    /// Removes everything from the screen, if the terminal can. A terminal that cannot begins a new row.
    pub(super) fn clear_screen(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Screen(screen) => screen.clear_screen(out),
            Self::Row(row) => row.leave("", out),
        }
    }

    /// The terminal has another size: removes what is shown, which is the view.
    pub(super) fn resize(&mut self, view: View<'_>, columns: usize, rows: usize, out: &mut Vec<u8>) {
        match self {
            Self::Screen(screen) => screen.resize(view, columns, rows, out),
            Self::Row(row) => row.resize(columns, out),
        }
    }
}

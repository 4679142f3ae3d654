//! A terminal with cursor movement: writes what differs from what it shows.
//!
//! Rows are counted from the first row of the prompt on. All movement is relative, since nobody knows where on the
//! screen the prompt is. Going down is a newline, which scrolls at the bottom, and the wrap of a full row is left to
//! the terminal, which then knows that both rows are one line.

use super::glyph::is_uncertain;
use super::layout::{Cell, Frame, Position, View, cursor_row};
use std::io::Write as _;

const RESET: &[u8] = b"\x1b[0m";
const CLEAR_TO_ROW_END: &[u8] = b"\x1b[K";
const CLEAR_BELOW: &[u8] = b"\x1b[J";
/// Clears this row, and those below from the next on. tmux keeps what is cleared from the first column of the screen
/// on, and lays it out again with the rest.
const CLEAR_ROW_AND_BELOW: &[u8] = b"\x1b[K\x1b7\x1b[B\x1b[J\x1b8";
const CLEAR_SCREEN: &[u8] = b"\x1b[H\x1b[2J";

/// What the terminal shows, and where its cursor is.
#[derive(Debug)]
pub(in crate::editor) struct Screen {
    columns: usize,
    rows: usize,
    shown: Frame,
    at: Position,
    style: usize,
    /// Nothing is shown: the cursor is where the prompt begins.
    fresh: bool,
}

impl Screen {
    pub(in crate::editor) fn new(columns: usize, rows: usize) -> Self {
        Self { columns, rows, shown: Frame::default(), at: Position::default(), style: 0, fresh: true }
    }

    /// Shows a view.
    pub(in crate::editor) fn draw(&mut self, view: View<'_>, styles: &[String], out: &mut Vec<u8>) {
        let frame = Frame::new(view, self.columns, self.rows, self.shown.top);
        if std::mem::take(&mut self.fresh) {
            out.extend_from_slice(CLEAR_BELOW);
            self.shown.renumber(frame.top);
            self.at = Position { row: frame.top, column: 0 };
        } else if frame.top != self.shown.top && !self.scrolls_to(&frame) {
            // The same rows of the screen show other rows of the text.
            self.at.row = self.at.row + frame.top - self.shown.top;
            self.shown.renumber(frame.top);
        }
        for row in frame.top..frame.bottom() {
            self.draw_row(&frame, row, styles, out);
        }
        if frame.bottom() < self.shown.bottom() {
            self.reset_style(out);
            self.go(Position { row: frame.bottom() - 1, column: frame.width(frame.bottom() - 1) }, out);
            out.extend_from_slice(CLEAR_BELOW);
        }
        self.reset_style(out);
        self.go(frame.cursor, out);
        self.shown = frame;
    }

    /// Whether the rows of a frame that begins further down are on the screen already, so that it comes to them by
    /// scrolling.
    fn scrolls_to(&self, frame: &Frame) -> bool {
        frame.top > self.shown.top
            && frame.top < self.shown.bottom()
            && self.shown.cells(frame.top).eq(frame.cells(frame.top))
    }

    fn draw_row(&mut self, frame: &Frame, row: usize, styles: &[String], out: &mut Vec<u8>) {
        let (old, new) = (self.shown.cells(row), frame.cells(row));
        let same = old.zip(new).take_while(|(old, new)| old == new);
        let (mut kept, column) = same.fold((0, 0), |(kept, column), (_, cell)| (kept + 1, column + cell.width));
        let (old_cells, new_cells) = (self.shown.cells(row).len(), frame.cells(row).len());
        // The row before is full, and the cursor behind it: what is written next begins this one.
        let pending =
            self.at == Position { row: row.wrapping_sub(1), column: self.columns } && frame.wraps(self.at.row);
        let has_wrapped = row < self.shown.bottom() && row > 0 && self.shown.wraps(row - 1);
        if kept == old_cells && kept == new_cells && (has_wrapped || !pending) {
            return;
        }
        if pending && (kept == 0 || !has_wrapped) {
            if new_cells == 0 {
                self.reset_style(out);
                out.extend_from_slice(b" \r");
                self.at = Position { row, column: 0 };
                if self.shown.width(row) > 0 {
                    out.extend_from_slice(CLEAR_TO_ROW_END);
                }
                return;
            }
            kept = 0;
        } else {
            self.go(Position { row, column }, out);
        }
        let last = new_cells - self.same_at_end(frame, row, kept);
        for cell in frame.cells(row).skip(kept).take(last - kept) {
            self.put(row, cell, styles, out);
        }
        if frame.width(row) < self.shown.width(row) {
            self.reset_style(out);
            out.extend_from_slice(CLEAR_TO_ROW_END);
        }
    }

    /// How many cells at the end of a row are what is shown there already, if at least `kept` ones before are.
    fn same_at_end(&self, frame: &Frame, row: usize, kept: usize) -> usize {
        if frame.width(row) != self.shown.width(row) {
            return 0;
        }
        let (old, new) = (self.shown.cells(row), frame.cells(row));
        let most = old.len().min(new.len()).saturating_sub(kept.max(1));
        old.rev().zip(new.rev()).take(most).take_while(|(old, new)| old == new).count()
    }

    fn put(&mut self, row: usize, cell: Cell<'_>, styles: &[String], out: &mut Vec<u8>) {
        if cell.width > 0 {
            self.set_style(cell.style, styles, out);
        }
        out.extend_from_slice(cell.text.as_bytes());
        if self.at.row != row {
            self.at = Position { row, column: 0 };
        }
        self.at.column += cell.width;
        if self.at.column < self.columns && is_uncertain(cell.text) {
            self.write(format_args!("\x1b[{}G", self.at.column + 1), out);
        }
    }

    fn set_style(&mut self, style: usize, styles: &[String], out: &mut Vec<u8>) {
        if style != self.style {
            self.reset_style(out);
            if let Some(sequence) = style.checked_sub(1).and_then(|index| styles.get(index)) {
                out.extend_from_slice(sequence.as_bytes());
                self.style = style;
            }
        }
    }

    fn reset_style(&mut self, out: &mut Vec<u8>) {
        if self.style != 0 {
            out.extend_from_slice(RESET);
            self.style = 0;
        }
    }

    /// Moves the cursor.
    fn go(&mut self, to: Position, out: &mut Vec<u8>) {
        if to == self.at {
            return;
        }
        // Terminals differ on where a cursor is that has filled a row.
        if self.at.column >= self.columns {
            out.push(b'\r');
            self.at.column = 0;
        }
        if to.row < self.at.row {
            match self.at.row - to.row {
                1 => out.extend_from_slice(b"\x1b[A"),
                rows => self.write(format_args!("\x1b[{rows}A"), out),
            }
        } else if to.row > self.at.row {
            out.push(b'\r');
            out.extend(std::iter::repeat_n(b'\n', to.row - self.at.row));
            self.at.column = 0;
        }
        let column = self.at.column;
        match to.column {
            0 if column > 0 => out.push(b'\r'),
            left if left < column && column - left <= 4 => out.extend(std::iter::repeat_n(8, column - left)),
            left if left < column => self.write(format_args!("\x1b[{}D", column - left), out),
            right if right == column + 1 => out.extend_from_slice(b"\x1b[C"),
            right if right > column => self.write(format_args!("\x1b[{}C", right - column), out),
            _ => {}
        }
        self.at = to;
    }

    fn write(&self, what: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = out.write_fmt(what);
    }

    /// Leaves what is shown, with the cursor at the beginning of an empty row below.
    pub(in crate::editor) fn leave(&mut self, mark: &str, out: &mut Vec<u8>) {
        if !mark.is_empty() {
            out.extend_from_slice(mark.as_bytes());
            out.extend_from_slice(b"\r\n");
        } else if !self.fresh {
            let last = self.shown.bottom() - 1;
            // A full row has made an empty one already.
            let is_made = last > 0 && self.shown.wraps(last - 1) && self.shown.cells(last).len() == 0;
            let row = if is_made { last } else { last + 1 };
            self.go(Position { row, column: 0 }, out);
        }
        self.forget();
    }

    /// Removes what is shown.
    pub(in crate::editor) fn erase(&mut self, out: &mut Vec<u8>) {
        if !self.fresh {
            self.go(Position { row: self.shown.top, column: 0 }, out);
            out.extend_from_slice(CLEAR_BELOW);
        }
        self.forget();
    }

    pub(in crate::editor) fn clear_screen(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(CLEAR_SCREEN);
        self.forget();
    }

    /// The terminal has another size. Removes what is shown; the next view is drawn in its place.
    ///
    /// Some terminals lay long lines out anew, and some do not. What is above the prompt is never removed: where both
    /// differ, rows of the old prompt may stay.
    pub(in crate::editor) fn resize(&mut self, view: View<'_>, columns: usize, rows: usize, out: &mut Vec<u8>) {
        if !self.fresh {
            let above = self.at.row - self.shown.top;
            self.at.row = above.min(cursor_row(view, columns)).min(rows - 1);
            self.at.column = self.at.column.min(columns);
            self.go(Position { row: 0, column: 0 }, out);
            // Without a column to the left the terminal may have kept another cursor.
            out.extend_from_slice(b"\r");
            out.extend_from_slice(CLEAR_ROW_AND_BELOW);
        }
        (self.columns, self.rows) = (columns, rows);
        self.forget();
    }

    fn forget(&mut self) {
        self.shown = Frame::default();
        self.at = Position::default();
        self.fresh = true;
    }
}

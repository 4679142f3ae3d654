//! The rows that a prompt and a text take on a terminal of some columns.
//!
//! A row that is full is followed by another, even if nothing is on it: the cursor behind the text has a place there.

use super::glyph::{Glyph, first_glyph, plain_length, tab_width};
use super::prompt::PromptCell;
use std::ops::Range;

/// What is to be seen.
#[derive(Debug, Clone, Copy)]
pub(in crate::editor) struct View<'a> {
    pub(in crate::editor) prompt: &'a [PromptCell],
    /// The prompt of the second and later lines of the text.
    pub(in crate::editor) next_prompt: &'a [PromptCell],
    pub(in crate::editor) text: &'a str,
    /// The cursor, as a byte of the text.
    pub(in crate::editor) cursor: usize,
}

/// A row and a column, from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    pub(super) row: usize,
    pub(super) column: usize,
}

/// What is drawn in one or two columns, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell<'a> {
    pub(super) text: &'a str,
    pub(super) width: usize,
    pub(super) style: usize,
}

/// Puts cells one after the other, and goes to the next row where one is full.
struct Flow<'f> {
    columns: usize,
    at: Position,
    /// The rows whose cells are of interest.
    rows: Range<usize>,
    /// Takes such a cell and its row. `None`: the row goes on in the next.
    sink: &'f mut dyn FnMut(usize, Option<Cell<'_>>),
}

impl Flow<'_> {
    /// Fills the row up if what comes is wider than what is left of it.
    fn make_room(&mut self, width: usize) {
        if self.at.column > 0 && self.at.column + width > self.columns {
            while self.at.column > 0 {
                self.put(" ", 1, 0);
            }
        }
    }

    fn put(&mut self, text: &str, width: usize, style: usize) {
        self.make_room(width);
        // In one column there is no room for more than a sign that something is there.
        let (text, width) = if width > self.columns { ("?", 1) } else { (text, width) };
        if self.rows.contains(&self.at.row) {
            (self.sink)(self.at.row, Some(Cell { text, width, style }));
        }
        self.advance(width);
    }

    fn advance(&mut self, width: usize) {
        self.at.column += width;
        if self.at.column >= self.columns {
            if self.rows.contains(&self.at.row) {
                (self.sink)(self.at.row, None);
            }
            self.newline();
        }
    }

    /// Puts characters of one column and one byte each.
    fn put_plain(&mut self, mut text: &str) {
        while !text.is_empty() {
            let (now, later) = text.split_at(text.len().min(self.columns - self.at.column));
            text = later;
            if self.rows.contains(&self.at.row) {
                for at in 0..now.len() {
                    (self.sink)(self.at.row, Some(Cell { text: &now[at..=at], width: 1, style: 0 }));
                }
            }
            self.advance(now.len());
        }
    }

    fn newline(&mut self) {
        self.at = Position { row: self.at.row + 1, column: 0 };
    }

    fn prompt(&mut self, cells: &[PromptCell]) {
        let mut wrapped = false;
        for cell in cells {
            let before = self.at.row;
            if cell.text != "\n" {
                self.put(&cell.text, cell.width, cell.style);
                wrapped = self.at.row > before || (wrapped && cell.width == 0);
            } else if !std::mem::take(&mut wrapped) {
                // A row of a prompt that is just full needs no empty one after it: no cursor goes there.
                self.newline();
            }
        }
    }
}

/// Puts the cells of some rows of a view into a sink. Returns the place of the cursor, and the last row.
fn flow(
    view: View<'_>,
    columns: usize,
    rows: Range<usize>,
    sink: &mut dyn FnMut(usize, Option<Cell<'_>>),
) -> (Position, usize) {
    let mut flow = Flow { columns, at: Position::default(), rows, sink };
    flow.prompt(view.prompt);
    let (mut cursor, mut at) = (None, 0);
    loop {
        let plain = plain_length(&view.text[at..]);
        // Between a character and its marks is where the next one is.
        if plain > 0 && view.cursor < at {
            cursor = cursor.or(Some(flow.at));
        }
        if at <= view.cursor && view.cursor < at + plain {
            flow.put_plain(&view.text[at..view.cursor]);
            cursor = Some(flow.at);
            flow.put_plain(&view.text[view.cursor..at + plain]);
        } else {
            flow.put_plain(&view.text[at..at + plain]);
        }
        at += plain;
        let Some((glyph, length)) = first_glyph(&view.text[at..]) else { break };
        if let Glyph::Text { width, .. } = glyph {
            flow.make_room(width);
        }
        if at >= view.cursor && cursor.is_none() {
            cursor = Some(flow.at);
        }
        match glyph {
            Glyph::Text { drawn, width } => flow.put(drawn, width, 0),
            Glyph::Escaped(escaped) => {
                flow.put_plain(escaped.as_str());
            }
            Glyph::Tab => {
                // It ends at the margin at the latest.
                let end = flow.at.column + tab_width(flow.at.column);
                (flow.at.column..end.min(columns)).for_each(|_| flow.put(" ", 1, 0));
            }
            Glyph::Newline => {
                flow.newline();
                flow.prompt(view.next_prompt);
            }
        }
        at += length;
    }
    (cursor.unwrap_or(flow.at), flow.at.row)
}

/// One row of a frame.
#[derive(Debug, Clone, Default)]
struct Row {
    cells: Range<usize>,
    width: usize,
    wraps: bool,
}

#[derive(Debug, Clone)]
struct Placed {
    text: Range<usize>,
    width: usize,
    style: usize,
}

/// The rows of a view that are on the screen.
#[derive(Debug, Clone, Default)]
pub(super) struct Frame {
    text: String,
    cells: Vec<Placed>,
    rows: Vec<Row>,
    /// The first of them, counted from the prompt's.
    pub(super) top: usize,
    pub(super) cursor: Position,
}

impl Frame {
    /// Lays out a view. Of more rows than the screen has, those around the cursor are seen, and of these the ones from
    /// `top` on if the cursor is among them.
    pub(super) fn new(view: View<'_>, columns: usize, height: usize, top: usize) -> Self {
        let (cursor, last) = flow(view, columns, 0..0, &mut |_, _| {});
        let lowest = (last + 1).saturating_sub(height);
        let top = top.min(lowest).clamp((cursor.row + 1).saturating_sub(height), cursor.row);
        let shown = (last + 1 - top).min(height);
        let mut frame = Self { rows: vec![Row::default(); shown], top, cursor, ..Self::default() };
        flow(view, columns, top..top + shown, &mut |row, cell| frame.add(row, cell));
        frame
    }

    fn add(&mut self, row: usize, cell: Option<Cell<'_>>) {
        let Some(row) = row.checked_sub(self.top).and_then(|row| self.rows.get_mut(row)) else { return };
        let Some(cell) = cell else {
            row.wraps = true;
            return;
        };
        if row.cells.is_empty() {
            row.cells = self.cells.len()..self.cells.len();
        }
        let start = self.text.len();
        self.text.push_str(cell.text);
        self.cells.push(Placed { text: start..self.text.len(), width: cell.width, style: cell.style });
        row.cells.end += 1;
        row.width += cell.width;
    }

    /// The row below the last.
    pub(super) fn bottom(&self) -> usize {
        self.top + self.rows.len()
    }

    /// Counts the rows from another first one on, as if the view had begun elsewhere.
    pub(super) fn renumber(&mut self, top: usize) {
        self.top = top;
    }

    fn row(&self, row: usize) -> Option<&Row> {
        self.rows.get(row.checked_sub(self.top)?)
    }

    /// The cells of a row, which may be outside the frame.
    pub(super) fn cells(&self, row: usize) -> impl DoubleEndedIterator<Item = Cell<'_>> + ExactSizeIterator {
        let cells = self.row(row).map_or(0..0, |row| row.cells.clone());
        let cell = |placed: &Placed| (placed.text.clone(), placed.width, placed.style);
        self.cells[cells].iter().map(move |placed| {
            let (text, width, style) = cell(placed);
            Cell { text: &self.text[text], width, style }
        })
    }

    /// How many columns of a row are taken.
    pub(super) fn width(&self, row: usize) -> usize {
        self.row(row).map_or(0, |row| row.width)
    }

    /// Whether a row is full and goes on in the next.
    pub(super) fn wraps(&self, row: usize) -> bool {
        self.row(row).is_some_and(|row| row.wraps)
    }
}

/// The row of the cursor, if the view is laid out for some columns.
pub(super) fn cursor_row(view: View<'_>, columns: usize) -> usize {
    flow(view, columns, 0..0, &mut |_, _| {}).0.row
}

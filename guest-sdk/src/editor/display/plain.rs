//! A terminal without escape sequences: one row, which goes left and right with the cursor. It is written with
//! characters, blanks and backspaces alone.

use super::glyph::{Glyph, first_glyph, tab_width};
use super::layout::View;

/// What the row shows, and where the cursor is in it.
#[derive(Debug)]
pub(in crate::editor) struct PlainRow {
    /// One less than the terminal has, so that it never wraps.
    columns: usize,
    shown: Vec<Piece>,
    /// The first cell of the line that is shown.
    left: usize,
    at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    text: String,
    width: usize,
}

impl Piece {
    fn new(text: &str, width: usize) -> Self {
        Self { text: text.to_owned(), width }
    }
}

fn width(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.width).sum()
}

impl PlainRow {
    pub(in crate::editor) fn new(columns: usize) -> Self {
        Self { columns: columns.saturating_sub(1).max(1), shown: Vec::new(), left: 0, at: 0 }
    }

    /// Shows a view: the last line of its prompt and the whole text, `^J` between its lines.
    pub(in crate::editor) fn draw(&mut self, view: View<'_>, out: &mut Vec<u8>) {
        let last = view.prompt.iter().rposition(|cell| cell.text == "\n").map_or(0, |at| at + 1);
        if self.shown.is_empty() && self.at == 0 {
            for cell in &view.prompt[..last] {
                out.extend_from_slice(if cell.text == "\n" { b"\r\n" } else { cell.text.as_bytes() });
            }
        }
        let mut line: Vec<Piece> = view.prompt[last..].iter().map(|cell| Piece::new(&cell.text, cell.width)).collect();
        let cursor = add_text(&mut line, view);
        let (shown, cursor) = self.part(&line, cursor);
        self.write(shown, cursor, out);
    }

    /// The cells of a line that fit into the row, and the cursor's among them.
    fn part(&mut self, line: &[Piece], cursor: usize) -> (Vec<Piece>, usize) {
        self.left = self.left.min(cursor);
        // The cursor needs a cell of its own, and the character there its columns.
        let through = line.get(self.left..=cursor).map_or_else(|| width(&line[self.left..]) + 1, width);
        if through > self.columns || self.left == cursor {
            // A third of the row before the cursor.
            let mut left = cursor;
            let room = (self.columns / 3).min(self.columns.saturating_sub(line.get(cursor).map_or(1, |at| at.width)));
            while left > 0 && width(&line[left - 1..cursor]) <= room {
                left -= 1;
            }
            self.left = left;
        }
        if width(line) < self.columns {
            self.left = 0;
        }
        let mut taken = 0;
        let fits = line[self.left..].iter().take_while(|piece| {
            taken += piece.width;
            taken <= self.columns
        });
        (fits.cloned().collect(), cursor - self.left)
    }

    fn write(&mut self, shown: Vec<Piece>, cursor: usize, out: &mut Vec<u8>) {
        let same = self.shown.iter().zip(&shown).take_while(|(old, new)| old == new).count();
        if same < self.shown.len() || same < shown.len() {
            self.go(same, out);
            for piece in &shown[same..] {
                out.extend_from_slice(piece.text.as_bytes());
            }
            let blanks = width(&self.shown[same..]).saturating_sub(width(&shown[same..]));
            out.extend(std::iter::repeat_n(b' ', blanks));
            out.extend(std::iter::repeat_n(8, blanks));
            self.at = shown.len();
            self.shown = shown;
        }
        self.go(cursor, out);
    }

    fn go(&mut self, to: usize, out: &mut Vec<u8>) {
        if to < self.at {
            out.extend(std::iter::repeat_n(8, width(&self.shown[to..self.at])));
        }
        for piece in self.shown.get(self.at..to).unwrap_or_default() {
            out.extend_from_slice(piece.text.as_bytes());
        }
        self.at = to;
    }

    /// Leaves what is shown.
    pub(in crate::editor) fn leave(&mut self, mark: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(mark.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.forget();
    }

    /// Removes what is shown.
    pub(in crate::editor) fn erase(&mut self, out: &mut Vec<u8>) {
        self.write(Vec::new(), 0, out);
        self.forget();
    }

    pub(in crate::editor) fn resize(&mut self, columns: usize, out: &mut Vec<u8>) {
        self.erase(out);
        self.columns = columns.saturating_sub(1).max(1);
    }

    fn forget(&mut self) {
        self.shown.clear();
        (self.left, self.at) = (0, 0);
    }
}

/// Adds the pieces of a text to a line. Returns the place of the cursor in the line.
fn add_text(line: &mut Vec<Piece>, view: View<'_>) -> usize {
    let (mut cursor, mut at, mut column) = (None, 0, width(line));
    while let Some((glyph, length)) = first_glyph(&view.text[at..]) {
        if at >= view.cursor && cursor.is_none() {
            cursor = Some(line.len());
        }
        let before = line.len();
        match glyph {
            Glyph::Text { drawn, width } => line.push(Piece::new(drawn, width)),
            Glyph::Escaped(escaped) => {
                line.extend(escaped.as_str().chars().map(|sign| Piece::new(&sign.to_string(), 1)))
            }
            Glyph::Tab => line.extend((0..tab_width(column)).map(|_| Piece::new(" ", 1))),
            Glyph::Newline => line.extend(["^", "J"].map(|sign| Piece::new(sign, 1))),
        }
        column += width(&line[before..]);
        at += length;
    }
    cursor.unwrap_or(line.len())
}

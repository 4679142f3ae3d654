//! The cells of the terminal, and the bytes that change them. Only what differs is written.

use std::fmt::Write as _;

/// How a cell looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Style {
    #[default]
    Plain,
    /// Selections, matches.
    Reverse,
    /// What is no part of the text: numbers of lines, `~`.
    Faint,
    /// Messages of errors.
    Bold,
}

/// A cell: a character with its marks. The right half of a wide one is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    pub(crate) text: Option<char>,
    pub(crate) marks: String,
    pub(crate) style: Style,
}

impl Cell {
    pub(crate) fn new(text: char, style: Style) -> Self {
        Self { text: Some(text), marks: String::new(), style }
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.text == Some(' ') && self.marks.is_empty() && self.style == Style::Plain
    }
}

/// A row of cells.
pub(crate) type Row = Vec<Cell>;

/// What the terminal shows.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    rows: Vec<Row>,
    /// Where its cursor is, if that is known.
    cursor: Option<(usize, usize)>,
    style: Style,
    valid: bool,
    out: String,
}

impl Screen {
    /// Nobody knows what the terminal shows.
    pub(crate) fn invalidate(&mut self) {
        self.valid = false;
    }

    /// Draws rows of equal length: the bytes for the terminal. The last row never scrolls.
    pub(crate) fn draw(&mut self, rows: Vec<Row>, cursor: (usize, usize)) -> String {
        let columns = rows.first().map_or(0, Vec::len);
        let same_size = self.rows.len() == rows.len() && self.rows.first().map_or(0, Vec::len) == columns;
        if !self.valid || !same_size {
            self.out.push_str("\x1b[0m\x1b[H\x1b[2J");
            self.rows = vec![vec![Cell::new(' ', Style::Plain); columns]; rows.len()];
            (self.cursor, self.style, self.valid) = (Some((0, 0)), Style::Plain, true);
        } else {
            self.scroll(&rows);
        }
        for (number, row) in rows.iter().enumerate() {
            if self.rows[number] != *row {
                self.draw_row(number, row);
            }
        }
        self.rows = rows;
        self.set_style(Style::Plain);
        self.go_to(cursor.0, cursor.1);
        std::mem::take(&mut self.out)
    }

    /// Moves rows up or down, if most of them only moved.
    fn scroll(&mut self, rows: &[Row]) {
        let count = rows.len() - 1;
        let kept = |by: usize, up: bool| {
            let (old, new) = if up { (by, 0) } else { (0, by) };
            (0..count - by)
                .filter(|row| self.rows[old + row] == rows[new + row] && !rows[new + row].iter().all(Cell::is_blank))
                .count()
        };
        let still = kept(0, true);
        let best = (1..count.min(self.rows.len()))
            .flat_map(|by| [(by, true), (by, false)])
            .max_by_key(|(by, up)| kept(*by, *up));
        let Some((by, up)) = best.filter(|(by, up)| kept(*by, *up) > still + 2) else { return };
        self.set_style(Style::Plain);
        let _ = write!(self.out, "\x1b[1;{count}r\x1b[{by}{}\x1b[r", if up { 'S' } else { 'T' });
        self.cursor = None;
        let columns = rows[0].len();
        let blank = vec![Cell::new(' ', Style::Plain); columns];
        if up {
            self.rows[..count].rotate_left(by);
            self.rows[count - by..count].fill(blank);
        } else {
            self.rows[..count].rotate_right(by);
            self.rows[..by].fill(blank);
        }
    }

    fn draw_row(&mut self, number: usize, row: &Row) {
        /// Fewer equal cells are written rather than skipped.
        const GAP: usize = 6;
        let old = std::mem::take(&mut self.rows[number]);
        let end = row.iter().rposition(|cell| !cell.is_blank()).map_or(0, |last| last + 1);
        let old_end = old.iter().rposition(|cell| !cell.is_blank()).map_or(0, |last| last + 1);
        let mut column = 0;
        while column < end {
            if row[column] == old[column] {
                column += 1;
                continue;
            }
            // A wide character is written as a whole.
            while column > 0 && row[column].text.is_none() {
                column -= 1;
            }
            self.go_to(number, column);
            // Equal cells are written if others follow soon.
            while column < end && (column..(column + GAP).min(end)).any(|near| row[near] != old[near]) {
                self.put(&row[column]);
                column += 1;
                while column < row.len() && row[column].text.is_none() {
                    column += 1;
                }
                // Behind the last column nobody knows where the cursor is.
                self.cursor = (column < row.len()).then_some((number, column));
            }
        }
        if old_end > end {
            self.set_style(Style::Plain);
            self.go_to(number, end);
            self.out.push_str("\x1b[K");
        }
    }

    fn put(&mut self, cell: &Cell) {
        self.set_style(cell.style);
        self.out.extend(cell.text);
        self.out.push_str(&cell.marks);
    }

    fn set_style(&mut self, style: Style) {
        if style == self.style {
            return;
        }
        self.out.push_str(match style {
            Style::Plain => "\x1b[m",
            Style::Reverse => "\x1b[0;7m",
            Style::Faint => "\x1b[0;2m",
            Style::Bold => "\x1b[0;1m",
        });
        self.style = style;
    }

    fn go_to(&mut self, row: usize, column: usize) {
        if self.cursor == Some((row, column)) {
            return;
        }
        match self.cursor {
            Some((at, _)) if at == row && column == 0 => self.out.push('\r'),
            Some((at, from)) if at == row && from == column + 1 => self.out.push('\x08'),
            _ => {
                let _ = write!(self.out, "\x1b[{};{}H", row + 1, column + 1);
            }
        }
        self.cursor = Some((row, column));
    }
}

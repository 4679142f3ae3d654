//! A window as text: rows without the blanks at their ends, `‸` where the cursor is, and styles in guillemets.
//!
//! `«bold green»user«»` is a word in another style, and `«»` ends it. Rows below the last text and the cursor are left
//! out.

use crate::terminal::Window;

/// A character and its style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: char,
    pub(super) style: Style,
}

/// How a character is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) bold: bool,
    pub(super) dim: bool,
    pub(super) italic: bool,
    pub(super) underlined: bool,
    pub(super) reversed: bool,
    /// A colour of the palette of 256.
    pub(super) foreground: Option<u8>,
    pub(super) background: Option<u8>,
}

/// The names of the first colours.
const COLORS: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

impl Style {
    /// Takes the parameters of an escape sequence (ECMA-48, 8.3.117).
    fn take(&mut self, parameters: &str) {
        let mut numbers = parameters.split(';').map(|number| number.parse::<u8>().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                7 => self.reversed = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                27 => self.reversed = false,
                30..=37 => self.foreground = Some(number - 30),
                38 => self.foreground = numbers.nth(1),
                39 => self.foreground = None,
                40..=47 => self.background = Some(number - 40),
                48 => self.background = numbers.nth(1),
                49 => self.background = None,
                90..=97 => self.foreground = Some(number - 90 + 8),
                100..=107 => self.background = Some(number - 100 + 8),
                _ => panic!("{parameters:?}: no style has the number {number}"),
            }
        }
    }

    fn name(self) -> String {
        let color = |number: u8| match COLORS.get(usize::from(number)) {
            Some(name) => (*name).to_owned(),
            None => format!("colour {number}"),
        };
        let flags = [
            (self.bold, "bold"),
            (self.dim, "dim"),
            (self.italic, "italic"),
            (self.underlined, "underlined"),
            (self.reversed, "reversed"),
        ];
        let flags = flags.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned());
        let background = self.background.map(|number| format!("on {}", color(number)));
        flags.chain(self.foreground.map(color)).chain(background).collect::<Vec<_>>().join(" ")
    }
}

/// The columns of a character, for those that the sessions show.
pub(super) fn width(text: char) -> usize {
    match u32::from(text) {
        0x300..=0x36f => 0,
        0x1100..=0x115f | 0x2e80..=0x9fff | 0xac00..=0xd7a3 | 0xff00..=0xff60 | 0x1f300..=0x1f64f => 2,
        _ => 1,
    }
}

/// The rows of a window.
pub(super) fn cells(window: &Window) -> Vec<Vec<Cell>> {
    let mut style = Style::default();
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for line in window.text.split('\n') {
        let mut row = Vec::new();
        let mut rest = line;
        while let Some(text) = rest.chars().next() {
            rest = &rest[text.len_utf8()..];
            if let Some((parameters, after)) = rest.strip_prefix('[').filter(|_| text == '\x1b').and_then(|sequence| {
                let end = sequence.find(|sign: char| sign.is_ascii_alphabetic())?;
                Some((&sequence[..end], &sequence[end + 1..]))
            }) {
                style.take(parameters);
                rest = after;
            } else {
                row.push(Cell { text, style });
            }
        }
        rows.push(row);
    }
    let used = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
    rows.truncate(used.max(window.cursor.map_or(0, |(_, row)| row + 1)));
    rows
}

/// The rows of a window as text.
pub(super) fn rows(window: &Window) -> Vec<String> {
    let one = |(number, row): (usize, &Vec<Cell>)| {
        let cursor = window.cursor.filter(|(_, row)| *row == number).map(|(column, _)| column);
        with_marks(row, cursor)
    };
    cells(window).iter().enumerate().map(one).collect()
}

fn with_marks(row: &[Cell], cursor: Option<usize>) -> String {
    let mut text = String::new();
    let (mut column, mut style) = (0, Style::default());
    let mut cursor = cursor;
    for cell in row {
        if cell.style != style {
            text += &format!("«{}»", cell.style.name());
            style = cell.style;
        }
        if cursor.is_some_and(|at| at < column + width(cell.text)) {
            text.push('‸');
            cursor = None;
        }
        text.push(cell.text);
        column += width(cell.text);
    }
    if style != Style::default() {
        text += "«»";
    }
    if let Some(at) = cursor {
        text.extend(std::iter::repeat_n(' ', at - column));
        text.push('‸');
    }
    text
}

#[test]
fn styles_and_the_cursor_are_marked() {
    let window = |text: &str, cursor| Window { text: text.to_owned(), cursor };
    let colors = "\x1b[1m\x1b[32muser\x1b[0m:\x1b[38;5;208;7mx\n\x1b[my\n";
    assert_eq!(rows(&window(colors, Some((2, 1)))), ["«bold green»user«»:«reversed colour 208»x«»", "y ‸"]);
    assert_eq!(rows(&window("漢字a", Some((4, 0)))), ["漢字‸a"]);
    assert_eq!(rows(&window("a\n\n", Some((0, 1)))), ["a", "‸"]);
    assert_eq!(rows(&window("a\n\n", None)), ["a"]);
}

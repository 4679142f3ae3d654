//! What the screen has to show: a simple drawing of a text into cells, to be compared with.

use unicode_width::UnicodeWidthChar;

/// A cell: the character that begins in it, or none.
pub(crate) type Drawn = Vec<Vec<Option<char>>>;

pub(crate) struct Expected {
    pub(crate) rows: Drawn,
    pub(crate) cursor: (usize, usize),
}

/// Draws a prompt and a text. `next` is the prompt of further lines.
pub(crate) fn draw(prompt: &str, next: &str, text: &str, cursor: usize, columns: usize) -> Expected {
    let mut canvas = Canvas { rows: vec![vec![]], columns };
    prompt.chars().for_each(|character| canvas.put(character));
    let mut place = None;
    for (at, character) in text.char_indices() {
        // A mark belongs to the character before it, and so does a cursor before it.
        let width = character.width();
        if width != Some(0) || is_escaped(text, at) {
            if width == Some(2) && columns > 1 {
                canvas.room_for_two();
            }
            if at >= cursor && place.is_none() {
                place = Some(canvas.position());
            }
        }
        match character {
            '\n' => {
                canvas.rows.push(vec![]);
                next.chars().for_each(|character| canvas.put(character));
            }
            '\t' => {
                let column = canvas.rows.last().map_or(0, Vec::len);
                let stop = (column / 8 + 1) * 8;
                (column..stop.min(columns)).for_each(|_| canvas.put(' '));
            }
            _ if character < ' ' => {
                canvas.put('^');
                canvas.put(char::from(u8::try_from(u32::from(character)).expect("a control character") + 64));
            }
            _ if is_escaped(text, at) => {
                format!("<{:04x}>", u32::from(character)).chars().for_each(|sign| canvas.put(sign));
            }
            _ if width == Some(0) => {}
            _ => canvas.put(character),
        }
    }
    let cursor = place.unwrap_or_else(|| canvas.position());
    Expected { rows: canvas.rows, cursor }
}

/// Whether a mark has no character that it is drawn upon.
fn is_escaped(text: &str, at: usize) -> bool {
    let character = text[at..].chars().next().expect("a character");
    let before = text[..at].chars().rev().find(|before| before.width() != Some(0));
    character.width() == Some(0) && character != '\n' && before.is_none_or(|before| before < ' ')
}

struct Canvas {
    rows: Drawn,
    columns: usize,
}

impl Canvas {
    fn position(&self) -> (usize, usize) {
        (self.rows.len() - 1, self.rows.last().map_or(0, Vec::len))
    }

    fn room_for_two(&mut self) {
        if self.position().1 + 2 > self.columns {
            self.put(' ');
        }
    }

    fn put(&mut self, character: char) {
        let wide = character.width() == Some(2);
        if wide && self.columns > 1 {
            self.room_for_two();
        }
        let row = self.rows.last_mut().expect("there is a row");
        match (wide, self.columns) {
            (true, 1) => row.push(Some('?')),
            (true, _) => row.extend([Some(character), None]),
            (false, _) => row.push(Some(character)),
        }
        if row.len() >= self.columns {
            self.rows.push(vec![]);
        }
    }
}

//! The screen and the keys.

use std::io::{self, Write};

use unix_common::regex::{Options, Regex};
use unix_common::tty::{self, Key, Raw};

use crate::rows::{Style, rows};
use crate::settings::Settings;
use crate::text::Text;

/// A row of the text: its line and which of the line's rows it is.
type Place = (usize, usize);

/// Shows texts.
pub(crate) struct Pager<'a> {
    settings: &'a Settings,
    texts: Vec<Text>,
    current: usize,
    top: Place,
    columns: usize,
    rows: usize,
    pattern: Option<Regex>,
    backwards: bool,
    /// What the last row says once.
    message: String,
    /// Whether the name of the text was shown.
    named: bool,
    at_end: bool,
}

impl<'a> Pager<'a> {
    pub(crate) fn new(texts: Vec<Text>, settings: &'a Settings) -> Self {
        let (columns, rows) = tty::size().unwrap_or((80, 24));
        Self {
            settings,
            texts,
            current: 0,
            top: (0, 0),
            columns: columns.max(2),
            rows: rows.max(2),
            pattern: None,
            backwards: false,
            message: String::new(),
            named: false,
            at_end: false,
        }
    }

    fn style(&self) -> Style {
        let Settings { raw, numbers, chop, .. } = *self.settings;
        Style { raw, numbers, chop, columns: self.columns }
    }

    /// The rows of a line of the text. None after the last.
    fn line_rows(&mut self, number: usize) -> io::Result<Option<Vec<String>>> {
        let style = self.style();
        let line = self.texts[self.current].line(number)?;
        Ok(line.map(|line| rows(line, number, style, self.pattern.as_ref())))
    }

    /// Whether the only text has fewer rows than the screen.
    pub(crate) fn fits(&mut self) -> io::Result<bool> {
        if self.texts.len() > 1 {
            return Ok(false);
        }
        let (mut count, mut number) = (0, 0);
        while let Some(rows) = self.line_rows(number)? {
            count += rows.len();
            number += 1;
            if count >= self.rows {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Prints the text as it is shown.
    pub(crate) fn print_all(&mut self) -> io::Result<()> {
        let mut number = 0;
        while let Some(rows) = self.line_rows(number)? {
            rows.iter().for_each(|row| println!("{row}"));
            number += 1;
        }
        io::stdout().flush()
    }

    /// Shows the texts until a key ends it.
    pub(crate) fn run(&mut self, keys: &mut Raw) -> io::Result<()> {
        match self.settings.line {
            Some(0) => self.go_to_end()?,
            Some(line) => self.top = (line - 1, 0),
            None => {}
        }
        if let Some(pattern) = self.settings.pattern.clone() {
            self.search(&pattern, false, true)?;
        }
        let mut count = String::new();
        loop {
            self.draw(&count)?;
            let key = keys.next_key()?;
            self.message.clear();
            if let Key::Character(digit @ '0'..='9') = key {
                count.push(digit);
                continue;
            }
            let number = std::mem::take(&mut count).parse().ok();
            if !self.act(key, number, keys)? {
                return Ok(());
            }
        }
    }

    /// Does what a key says. False for the end.
    fn act(&mut self, key: Key, number: Option<usize>, keys: &mut Raw) -> io::Result<bool> {
        let (page, times) = (self.rows - 1, number.unwrap_or(1));
        let forward = matches!(
            key,
            Key::Character(' ' | 'f' | '\x06' | '\x16' | 'j' | 'e' | '\x0e' | '\x05' | 'd' | '\x04')
                | Key::PageDown
                | Key::Down
                | Key::Enter
        );
        if forward && self.at_end && self.settings.quit_at_end {
            if self.current + 1 == self.texts.len() {
                return Ok(false);
            }
            self.change_text(self.current + 1);
            return Ok(true);
        }
        match key {
            Key::Character('q' | 'Q' | '\x03') => return Ok(false),
            Key::Character(' ' | 'f' | '\x06' | '\x16') | Key::PageDown => self.down(number.unwrap_or(page))?,
            Key::Character('j' | 'e' | '\x0e' | '\x05') | Key::Down | Key::Enter => self.down(times)?,
            Key::Character('d' | '\x04') => self.down(number.unwrap_or(page / 2))?,
            Key::Character('b' | '\x02') | Key::PageUp => self.up(number.unwrap_or(page))?,
            Key::Character('k' | 'y' | '\x10' | '\x19' | '\x0b') | Key::Up => self.up(times)?,
            Key::Character('u' | '\x15') => self.up(number.unwrap_or(page / 2))?,
            Key::Character('g' | '<') | Key::Home => self.top = (number.unwrap_or(1).max(1) - 1, 0),
            Key::Character('G' | '>') | Key::End => match number {
                Some(line) => self.top = (line.max(1) - 1, 0),
                None => self.go_to_end()?,
            },
            Key::Character(sign @ ('/' | '?')) => {
                if let Some(pattern) = self.ask(sign, keys)? {
                    self.search(&pattern, sign == '?', false)?;
                }
            }
            Key::Character('n') => self.search_again(self.backwards, false)?,
            Key::Character('N') => self.search_again(!self.backwards, false)?,
            Key::Character(':') => return self.colon(keys),
            Key::Character('=' | '\x07') => self.tell_place()?,
            Key::Character('h' | 'H') => {
                "j k: a line, space b: a page, / n: search, g G: begin, end, q: quit".clone_into(&mut self.message)
            }
            Key::Resized => {
                let (columns, rows) = tty::size().unwrap_or((self.columns, self.rows));
                (self.columns, self.rows, self.top.1) = (columns.max(2), rows.max(2), 0);
            }
            _ => {}
        }
        Ok(true)
    }

    fn change_text(&mut self, to: usize) {
        if to < self.texts.len() {
            (self.current, self.top, self.named) = (to, (0, 0), false);
        } else {
            "No next file".clone_into(&mut self.message);
        }
    }

    fn colon(&mut self, keys: &mut Raw) -> io::Result<bool> {
        ":".clone_into(&mut self.message);
        self.draw("")?;
        self.message.clear();
        match keys.next_key()? {
            Key::Character('n') => self.change_text(self.current + 1),
            Key::Character('p') if self.current == 0 => "No previous file".clone_into(&mut self.message),
            Key::Character('p') => self.change_text(self.current - 1),
            Key::Character('q' | 'Q') => return Ok(false),
            _ => {}
        }
        Ok(true)
    }

    fn tell_place(&mut self) -> io::Result<()> {
        let count = self.texts[self.current].count()?;
        let name = &self.texts[self.current].name;
        let name = if name.is_empty() { "standard input" } else { name };
        self.message = format!("{name} line {} of {count}", self.top.0 + 1);
        Ok(())
    }

    fn down(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            if self.at_end {
                break;
            }
            let Some(rows) = self.line_rows(self.top.0)? else { break };
            self.top = if self.top.1 + 1 < rows.len() { (self.top.0, self.top.1 + 1) } else { (self.top.0 + 1, 0) };
            self.at_end = self.visible()?.1;
        }
        Ok(())
    }

    fn up(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            self.top = match self.top {
                (0, 0) => break,
                (line, 0) => {
                    let rows = self.line_rows(line - 1)?.map_or(1, |rows| rows.len());
                    (line - 1, rows.saturating_sub(1))
                }
                (line, row) => (line, row - 1),
            };
        }
        Ok(())
    }

    /// Puts the last line at the end of the screen.
    fn go_to_end(&mut self) -> io::Result<()> {
        self.top = (self.texts[self.current].count()?, 0);
        self.up(self.rows - 1)
    }

    /// The rows that are shown, and whether the text ends in them.
    fn visible(&mut self) -> io::Result<(Vec<String>, bool)> {
        let (mut shown, mut line, mut skip) = (Vec::new(), self.top.0, self.top.1);
        while shown.len() < self.rows - 1 {
            let Some(rows) = self.line_rows(line)? else {
                return Ok((shown, true));
            };
            shown.extend(rows.into_iter().skip(std::mem::take(&mut skip)));
            line += 1;
        }
        let cut = shown.len() > self.rows - 1;
        shown.truncate(self.rows - 1);
        Ok((shown, !cut && self.line_rows(line)?.is_none()))
    }

    fn draw(&mut self, count: &str) -> io::Result<()> {
        let (shown, at_end) = self.visible()?;
        self.at_end = at_end;
        let mut screen = String::from("\x1b[?25l\x1b[H");
        for row in &shown {
            screen.push_str(row);
            screen.push_str("\x1b[K\n");
        }
        for _ in shown.len()..self.rows - 1 {
            screen.push_str("~\x1b[K\n");
        }
        let reversed = |text: &str| format!("\x1b[7m{text}\x1b[27m");
        let name = self.texts[self.current].name.clone();
        let prompt = match (self.message.as_str(), count) {
            (":", _) => " :".to_owned(),
            ("", "") if at_end => reversed("(END)"),
            ("", "") if !self.named && !name.is_empty() => reversed(&name),
            ("", count) => format!(":{count}"),
            (message, _) => reversed(message),
        };
        self.named = true;
        screen.push_str(&prompt);
        screen.push_str("\x1b[K\x1b[?25h");
        let mut out = io::stdout();
        out.write_all(screen.as_bytes())?;
        out.flush()
    }

    /// Asks for a pattern in the last row. None if it is given up.
    fn ask(&mut self, sign: char, keys: &mut Raw) -> io::Result<Option<String>> {
        let mut text = String::new();
        let mut out = io::stdout();
        loop {
            write!(out, "\r{sign}{text}\x1b[K")?;
            out.flush()?;
            match keys.next_key()? {
                Key::Enter => return Ok(Some(text)),
                Key::Escape | Key::Character('\x03') => return Ok(None),
                Key::Backspace if text.is_empty() => return Ok(None),
                Key::Backspace => {
                    text.pop();
                }
                Key::Character(letter) if !letter.is_control() => text.push(letter),
                _ => {}
            }
        }
    }

    fn search(&mut self, pattern: &str, backwards: bool, from_here: bool) -> io::Result<()> {
        self.backwards = backwards;
        if !pattern.is_empty() {
            let lower = !pattern.chars().any(char::is_uppercase);
            let ignore_case = self.settings.always_ignore_case || self.settings.ignore_case && lower;
            match Regex::new(pattern, Options { extended: true, ignore_case, ..Options::default() }) {
                Ok(regex) => self.pattern = Some(regex),
                Err(error) => {
                    self.message = error.to_string();
                    return Ok(());
                }
            }
        }
        self.search_again(backwards, from_here)
    }

    fn search_again(&mut self, backwards: bool, from_here: bool) -> io::Result<()> {
        let Some(pattern) = self.pattern.take() else {
            "No previous regular expression".clone_into(&mut self.message);
            return Ok(());
        };
        let text = &mut self.texts[self.current];
        let mut next = match (from_here, backwards) {
            (true, _) => Some(self.top.0),
            (false, true) => self.top.0.checked_sub(1),
            (false, false) => Some(self.top.0 + 1),
        };
        let mut found = None;
        while let Some(line) = next
            && let Some(bytes) = text.line(line)?
        {
            if pattern.is_match(bytes) {
                found = Some(line);
                break;
            }
            next = if backwards { line.checked_sub(1) } else { Some(line + 1) };
        }
        self.pattern = Some(pattern);
        if let Some(line) = found {
            self.top = (line, 0);
        } else {
            "Pattern not found  (press RETURN)".clone_into(&mut self.message);
        }
        Ok(())
    }
}

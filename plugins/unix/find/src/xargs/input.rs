//! The items of the input.

use std::io::{BufRead, BufReader, Read};

use unix_common::report;

/// What separates items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// Blanks and newlines; quotes and backslashes keep them.
    Blanks,
    Byte(u8),
}

/// Reads items.
pub(crate) struct Items {
    reader: BufReader<Box<dyn Read>>,
    separator: Separator,
    /// The item that ends the input.
    end: Option<String>,
    ended: bool,
}

/// An item, and whether it is the last of its line.
type Item = (String, bool);

impl Items {
    pub(crate) fn new(reader: BufReader<Box<dyn Read>>, separator: Separator, end: Option<String>) -> Self {
        Self { reader, separator, end, ended: false }
    }

    /// The next item. The error is a message.
    pub(crate) fn next_item(&mut self) -> Result<Option<Item>, String> {
        if self.ended {
            return Ok(None);
        }
        let item = match self.separator {
            Separator::Blanks => self.word()?,
            Separator::Byte(byte) => self.until(byte)?.map(|text| (text, true)),
        };
        let item = item.filter(|(text, _)| self.end.as_ref() != Some(text) || self.separator != Separator::Blanks);
        self.ended = item.is_none();
        Ok(item)
    }

    /// The next line without the blanks before it, as one item; with another separator the next item. Lines of nothing
    /// but blanks are none.
    pub(crate) fn next_line(&mut self) -> Result<Option<String>, String> {
        if let Separator::Byte(byte) = self.separator {
            return self.until(byte);
        }
        loop {
            let mut bytes = Vec::new();
            let (mut quote, mut begun, mut any) = (None, false, false);
            while let Some(byte) = self.byte()? {
                any = true;
                match (quote, byte) {
                    (None, b'\n') => break,
                    (None, b' ' | b'\t') if !begun => continue,
                    _ => self.take(byte, &mut quote, &mut bytes)?,
                }
                begun = true;
            }
            if quote.is_some() {
                return Err(unmatched(quote));
            }
            if begun {
                let text = text(bytes)?;
                return Ok(Some(text).filter(|text| self.end.as_ref() != Some(text)));
            }
            if !any {
                return Ok(None);
            }
        }
    }

    /// Adds a byte to an item that is read: quotes and backslashes keep what follows them.
    fn take(&mut self, byte: u8, quote: &mut Option<u8>, bytes: &mut Vec<u8>) -> Result<(), String> {
        match (*quote, byte) {
            (None, b'\'' | b'"') => *quote = Some(byte),
            (None, b'\\') => bytes.extend(self.byte()?),
            (Some(_), b'\n') => return Err(unmatched(*quote)),
            (Some(open), _) if open == byte => *quote = None,
            _ => bytes.push(byte),
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<Option<u8>, String> {
        let byte = self.reader.fill_buf().map_err(|error| report::words(&error))?.first().copied();
        self.reader.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    fn until(&mut self, byte: u8) -> Result<Option<String>, String> {
        let mut bytes = Vec::new();
        let length = self.reader.read_until(byte, &mut bytes).map_err(|error| report::words(&error))?;
        if length == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&byte) {
            bytes.pop();
        }
        text(bytes).map(Some)
    }

    fn word(&mut self) -> Result<Option<Item>, String> {
        let mut bytes = Vec::new();
        let (mut quote, mut begun) = (None, false);
        while let Some(byte) = self.byte()? {
            match (quote, byte) {
                (None, b' ' | b'\t' | b'\n' | b'\r' | 0xb | 0xc) => {
                    if begun {
                        // A blank at the end of a line joins it to the next.
                        return text(bytes).map(|text| Some((text, byte == b'\n')));
                    }
                    continue;
                }
                _ => self.take(byte, &mut quote, &mut bytes)?,
            }
            begun = true;
        }
        if quote.is_some() {
            return Err(unmatched(quote));
        }
        if begun { text(bytes).map(|text| Some((text, true))) } else { Ok(None) }
    }
}

fn unmatched(quote: Option<u8>) -> String {
    let kind = if quote == Some(b'"') { "double" } else { "single" };
    format!("unmatched {kind} quote; by default quotes are special to xargs unless you use the -0 option")
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "an item is not UTF-8: arguments are text here".to_owned())
}

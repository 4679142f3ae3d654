//! The text of a script, character by character.

/// One piece of a script: what `-e` or `-f` gave.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// The file, or none for an expression of the command line.
    pub(crate) file: Option<String>,
}

/// What is wrong with a script, and where, in GNU's words.
#[derive(Debug)]
pub(crate) struct ScriptError {
    pub(crate) message: String,
    /// It is a label that does not exist.
    pub(crate) in_label: bool,
}

impl ScriptError {
    fn new(message: String) -> Self {
        Self { message, in_label: false }
    }
}

/// Reads the pieces one after another; a newline comes between them.
pub(crate) struct Reader {
    text: Vec<char>,
    at: usize,
    /// Where each piece begins, and what to call it.
    starts: Vec<(usize, Option<String>)>,
}

impl Reader {
    pub(crate) fn new(pieces: &[Piece]) -> Self {
        let (mut text, mut starts) = (Vec::new(), Vec::new());
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            starts.push((text.len(), piece.file.clone()));
            text.extend(piece.text.strip_suffix('\n').filter(|_| piece.file.is_some()).unwrap_or(&piece.text).chars());
        }
        Self { text, at: 0, starts }
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    /// Unreads the last character.
    pub(crate) fn back(&mut self) {
        self.at -= 1;
    }

    pub(crate) fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let next = self.peek().filter(|character| wanted(*character))?;
        self.at += 1;
        Some(next)
    }

    pub(crate) fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.next_if(&wanted).is_some() {}
    }

    /// Blanks, but no newline.
    pub(crate) fn skip_blanks(&mut self) {
        self.skip(|character| character.is_whitespace() && character != '\n');
    }

    /// A number, if one comes next. One that is too large is the largest.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut digits = String::new();
        while let Some(digit) = self.next_if(|character| character.is_ascii_digit()) {
            digits.push(digit);
        }
        (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))
    }

    /// The rest of the line, without its newline, which is taken.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        while let Some(character) = self.next().filter(|character| *character != '\n') {
            line.push(character);
        }
        line
    }

    /// An error at the character that was read last.
    pub(crate) fn error(&self, message: &str) -> ScriptError {
        let piece = self.starts.iter().rposition(|(start, _)| *start < self.at.max(1)).unwrap_or_default();
        let Some((start, file)) = self.starts.get(piece) else {
            return ScriptError::new(message.to_owned());
        };
        ScriptError::new(match file {
            Some(file) => {
                let lines = self.text[*start..self.at].iter().filter(|character| **character == '\n').count();
                let ended = self.at > *start && self.text.get(self.at - 1) == Some(&'\n');
                format!("file {file} line {}: {message}", lines + usize::from(!ended))
            }
            None => {
                let number = self.starts[..=piece].iter().filter(|(_, file)| file.is_none()).count();
                format!("-e expression #{number}, char {}: {message}", self.at - start)
            }
        })
    }

    /// An error of the script as a whole, at no character.
    pub(crate) fn error_at_end(&self, message: &str) -> ScriptError {
        match self.starts.last() {
            Some((_, Some(file))) => ScriptError::new(format!("file {file}: {message}")),
            _ => ScriptError::new(format!("-e expression #{}, char 0: {message}", self.starts.len())),
        }
    }
}

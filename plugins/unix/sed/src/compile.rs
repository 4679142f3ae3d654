//! From the text of a script to its commands.

use std::collections::HashMap;
use std::rc::Rc;

use unix_common::regex::{Options, Regex, Stray};

use crate::delimited::{self, Delimited};
use crate::reader::{Piece, Reader, ScriptError};
use crate::script::{Action, Address, Command, End, Mode, Pattern, Range, Script, Substitution};

/// Compiles a script.
pub(crate) fn compile(pieces: &[Piece], mode: Mode) -> Result<Script, ScriptError> {
    let mut compiler = Compiler {
        reader: Reader::new(pieces),
        mode,
        script: Script::default(),
        blocks: Vec::new(),
        labels: HashMap::new(),
        jumps: Vec::new(),
    };
    if pieces.first().is_some_and(|piece| piece.text == "#n" || piece.text.starts_with("#n\n")) {
        compiler.script.silent = true;
    }
    while compiler.command()? {}
    if !compiler.blocks.is_empty() {
        return Err(compiler.reader.error_at_end("unmatched `{'"));
    }
    for (index, label) in std::mem::take(&mut compiler.jumps) {
        let place = match label.as_str() {
            "" => compiler.script.commands.len(),
            label => *compiler.labels.get(label).ok_or_else(|| ScriptError {
                message: format!("can't find label for jump to `{label}'"),
                in_label: true,
            })?,
        };
        match &mut compiler.script.commands[index].action {
            Action::Branch(to) | Action::BranchIfReplaced(to) | Action::BranchUnlessReplaced(to) => *to = place,
            _ => {}
        }
    }
    Ok(compiler.script)
}

struct Compiler {
    reader: Reader,
    mode: Mode,
    script: Script,
    /// Where blocks that are open begin.
    blocks: Vec<usize>,
    labels: HashMap<String, usize>,
    /// Commands that jump, and their labels.
    jumps: Vec<(usize, String)>,
}

impl Compiler {
    /// Compiles the next command. False at the end.
    fn command(&mut self) -> Result<bool, ScriptError> {
        self.reader.skip(|character| character.is_whitespace() || character == ';');
        if self.reader.peek().is_none() {
            return Ok(false);
        }
        let start = self.address()?;
        self.reader.skip_blanks();
        let mut end = None;
        if start.is_some() && self.reader.next_if(|character| character == ',').is_some() {
            self.reader.skip_blanks();
            end = Some(self.end()?);
        }
        self.reader.skip_blanks();
        let negated = self.reader.next_if(|character| character == '!').is_some();
        if negated {
            self.reader.skip(|character| character.is_whitespace());
            if self.reader.next_if(|character| character == '!').is_some() {
                return Err(self.reader.error("multiple `!'s"));
            }
        }
        let Some(letter) = self.reader.next() else {
            return Err(self.reader.error("missing command"));
        };
        if matches!(start, Some(Address::Zero)) && !matches!(end, Some(End::Match(_))) {
            return Err(self.reader.error("invalid usage of line address 0"));
        }
        let addresses = usize::from(start.is_some()) + usize::from(end.is_some());
        let action = self.action(letter, addresses)?;
        let range = if matches!(start, Some(Address::Zero)) { Range::Open } else { Range::Closed };
        self.script.commands.push(Command { start, end, negated, range, action });
        Ok(true)
    }

    fn address(&mut self) -> Result<Option<Address>, ScriptError> {
        Ok(match self.reader.peek() {
            Some('$') => {
                self.reader.next();
                Some(Address::Last)
            }
            Some('/' | '\\') => Some(Address::Match(self.address_pattern()?)),
            Some('0'..='9') => {
                let first = self.reader.number().unwrap_or_default();
                self.reader.skip_blanks();
                if self.reader.next_if(|character| character == '~').is_some() {
                    self.reader.skip_blanks();
                    Some(Address::Step(first, self.reader.number().unwrap_or_default()))
                } else if first == 0 {
                    Some(Address::Zero)
                } else {
                    Some(Address::Line(first))
                }
            }
            _ => None,
        })
    }

    fn end(&mut self) -> Result<End, ScriptError> {
        match self.reader.peek() {
            Some(sign @ ('+' | '~')) => {
                self.reader.next();
                let number = self.reader.number().ok_or_else(|| self.reader.error("expected number"))?;
                Ok(if sign == '+' { End::After(number) } else { End::Multiple(number) })
            }
            _ => match self.address()? {
                Some(Address::Line(line)) => Ok(End::Line(line)),
                Some(Address::Step(first, _)) => Ok(End::Line(first)),
                Some(Address::Zero) => Ok(End::Line(0)),
                Some(Address::Last) => Ok(End::Last),
                Some(Address::Match(pattern)) => Ok(End::Match(pattern)),
                None => {
                    self.reader.next();
                    Err(self.reader.error("unexpected `,'"))
                }
            },
        }
    }

    fn address_pattern(&mut self) -> Result<Pattern, ScriptError> {
        let mut delimiter = self.reader.next();
        if delimiter == Some('\\') {
            delimiter = self.reader.next();
        }
        let unterminated = "unterminated address regex";
        let delimiter = delimiter.ok_or_else(|| self.reader.error(unterminated))?;
        let text = delimited::read(&mut self.reader, delimiter, Delimited::Pattern);
        let text = text.ok_or_else(|| self.reader.error(unterminated))?;
        let mut options = self.options();
        loop {
            match self.reader.peek() {
                Some('I') => options.ignore_case = true,
                Some('M') => options.multi_line = true,
                _ => break,
            }
            self.reader.next();
        }
        self.pattern(&text, options)
    }

    fn options(&self) -> Options {
        Options { extended: self.mode.extended, escapes: true, stray: Stray::Refused, ..Options::default() }
    }

    fn pattern(&self, text: &str, options: Options) -> Result<Pattern, ScriptError> {
        if text.is_empty() {
            if options.ignore_case || options.multi_line {
                return Err(self.reader.error("cannot specify modifiers on empty regexp"));
            }
            return Ok(None);
        }
        let text = delimited::numeric_escapes(text);
        let regex = Regex::new(&text, options).map_err(|error| self.reader.error(&error.to_string()))?;
        Ok(Some(Rc::new(regex)))
    }

    fn action(&mut self, letter: char, addresses: usize) -> Result<Action, ScriptError> {
        if matches!(letter, '=' | 'a' | 'i' | 'q' | 'Q' | 'r' | 'R') && addresses > 1 && self.mode.posix
            || matches!(letter, 'q' | 'Q') && addresses > 1
        {
            return Err(self.reader.error("command only uses one address"));
        }
        Ok(match letter {
            '#' if addresses > 0 => return Err(self.reader.error("comments don't accept any addresses")),
            '#' => {
                self.reader.line();
                Action::Nothing
            }
            ':' if addresses > 0 => return Err(self.reader.error(": doesn't want any addresses")),
            ':' => self.label()?,
            '{' => {
                self.blocks.push(self.script.commands.len());
                Action::Block(0)
            }
            '}' => self.close(addresses)?,
            'a' => Action::Append(self.text()?),
            'i' => Action::Insert(self.text()?),
            'c' => Action::Change(self.text()?),
            'b' | 't' | 'T' => self.jump(letter)?,
            'e' => {
                self.refuse_in_sandbox()?;
                self.reader.skip_blanks();
                Action::Execute(self.reader.line())
            }
            'l' | 'q' | 'Q' | 'L' => self.numbered(letter)?,
            'r' => Action::Read(self.file_name()?),
            'R' => Action::ReadLine(self.file_name()?),
            'w' => Action::Write(self.output()?),
            'W' => Action::WriteFirst(self.output()?),
            's' => Action::Substitute(Box::new(self.substitution()?)),
            'y' => self.translation()?,
            'v' => {
                self.reader.line();
                Action::Nothing
            }
            letter => {
                let action = plain(letter).ok_or_else(|| match letter {
                    ';' | '\n' => self.reader.error("missing command"),
                    other => self.reader.error(&format!("unknown command: `{other}'")),
                })?;
                self.finish()?;
                action
            }
        })
    }

    fn close(&mut self, addresses: usize) -> Result<Action, ScriptError> {
        let Some(open) = self.blocks.pop() else {
            return Err(self.reader.error("unexpected `}'"));
        };
        if addresses > 0 {
            return Err(self.reader.error("} doesn't want any addresses"));
        }
        let after = self.script.commands.len();
        self.script.commands[open].action = Action::Block(after);
        self.finish()?;
        Ok(Action::Nothing)
    }

    fn label(&mut self) -> Result<Action, ScriptError> {
        self.reader.skip_blanks();
        let mut label = String::new();
        while let Some(character) = self.reader.next_if(|character| !character.is_whitespace() && character != ';') {
            label.push(character);
        }
        if label.is_empty() {
            return Err(self.reader.error("\":\" lacks a label"));
        }
        self.labels.insert(label, self.script.commands.len());
        Ok(Action::Nothing)
    }

    fn jump(&mut self, letter: char) -> Result<Action, ScriptError> {
        self.reader.skip_blanks();
        let mut label = String::new();
        let ends = |character: char| character.is_whitespace() || matches!(character, ';' | '}');
        while let Some(character) = self.reader.next_if(|character| !ends(character)) {
            label.push(character);
        }
        self.jumps.push((self.script.commands.len(), label));
        self.finish()?;
        Ok(match letter {
            'b' => Action::Branch(0),
            't' => Action::BranchIfReplaced(0),
            _ => Action::BranchUnlessReplaced(0),
        })
    }

    fn numbered(&mut self, letter: char) -> Result<Action, ScriptError> {
        self.reader.skip_blanks();
        let number = self.reader.number();
        self.finish()?;
        let status = number.unwrap_or_default().to_le_bytes()[0];
        Ok(match letter {
            'q' => Action::Quit(status),
            'Q' => Action::QuitSilently(status),
            _ => Action::List(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX))),
        })
    }

    /// The end of a command: nothing but a separator or the end of a block may follow.
    fn finish(&mut self) -> Result<(), ScriptError> {
        self.reader.skip_blanks();
        match self.reader.peek() {
            None | Some('}' | '#') => Ok(()),
            Some('\n' | ';') => {
                self.reader.next();
                Ok(())
            }
            Some(_) => {
                self.reader.next();
                Err(self.reader.error("extra characters after command"))
            }
        }
    }

    /// The text of `a`, `i` and `c`, with its newline.
    fn text(&mut self) -> Result<Vec<u8>, ScriptError> {
        self.reader.skip_blanks();
        let expected = "expected \\ after `a', `c' or `i'";
        if self.reader.peek().is_none() {
            return Err(self.reader.error(expected));
        }
        let mut text = String::new();
        if self.reader.next_if(|character| character == '\\').is_some() {
            let mut blanks = String::new();
            while let Some(blank) = self.reader.next_if(|character| matches!(character, ' ' | '\t')) {
                blanks.push(blank);
            }
            if self.reader.peek().is_none() {
                return Ok(Vec::new());
            }
            // In the same line the backslash keeps the blanks, and the character after it as it is.
            if self.reader.next_if(|character| character == '\n').is_none() {
                text = blanks;
                text.extend(self.reader.next());
            }
        }
        let mut escaped = false;
        while let Some(character) = self.reader.next().filter(|character| escaped || *character != '\n') {
            if escaped || character == '\\' {
                escaped = !escaped;
            }
            text.push(character);
        }
        let mut text = delimited::text(&text);
        text.push('\n');
        Ok(text.into_bytes())
    }

    fn refuse_in_sandbox(&self) -> Result<(), ScriptError> {
        if self.mode.sandbox {
            return Err(self.reader.error("e/r/w commands disabled in sandbox mode"));
        }
        Ok(())
    }

    fn file_name(&mut self) -> Result<String, ScriptError> {
        self.refuse_in_sandbox()?;
        self.reader.skip_blanks();
        let name = self.reader.line();
        if name.is_empty() {
            return Err(self.reader.error("missing filename in r/R/w/W commands"));
        }
        Ok(name)
    }

    fn output(&mut self) -> Result<usize, ScriptError> {
        let name = self.file_name()?;
        let outputs = &mut self.script.outputs;
        Ok(outputs.iter().position(|known| *known == name).unwrap_or_else(|| {
            outputs.push(name);
            outputs.len() - 1
        }))
    }

    fn substitution(&mut self) -> Result<Substitution, ScriptError> {
        let unterminated = "unterminated `s' command";
        let delimiter = self.delimiter(unterminated)?;
        let pattern = delimited::read(&mut self.reader, delimiter, Delimited::Pattern);
        let pattern = pattern.ok_or_else(|| self.reader.error(unterminated))?;
        let replacement = delimited::read(&mut self.reader, delimiter, Delimited::Replacement);
        let replacement = replacement.ok_or_else(|| self.reader.error(unterminated))?;
        let mut options = self.options();
        let mut substitution = Substitution {
            pattern: None,
            replacement: delimited::replacement(&replacement),
            global: false,
            number: 0,
            print: 0,
            evaluate: false,
            write: None,
        };
        self.flags(&mut substitution, &mut options)?;
        substitution.pattern = self.pattern(&pattern, options)?;
        if let (Some(regex), Some(group)) = (&substitution.pattern, delimited::largest_group(&substitution.replacement))
            && group > regex.groups()
        {
            return Err(self.reader.error(&format!("invalid reference \\{group} on `s' command's RHS")));
        }
        substitution.number = substitution.number.max(1);
        Ok(substitution)
    }

    fn delimiter(&mut self, unterminated: &str) -> Result<char, ScriptError> {
        let delimiter = self.reader.next().filter(|delimiter| !matches!(delimiter, '\n' | '\\'));
        delimiter.ok_or_else(|| self.reader.error(unterminated))
    }

    fn flags(&mut self, substitution: &mut Substitution, options: &mut Options) -> Result<(), ScriptError> {
        loop {
            let flag = self.reader.peek();
            if let Some('0'..='9') = flag {
                let number = self.reader.number().unwrap_or_default();
                if number == 0 {
                    return Err(self.reader.error("number option to `s' command may not be zero"));
                }
                if substitution.number != 0 {
                    return Err(self.reader.error("multiple number options to `s' command"));
                }
                substitution.number = usize::try_from(number).unwrap_or(usize::MAX);
                continue;
            }
            self.reader.next();
            match flag {
                Some('g') if substitution.global => {
                    return Err(self.reader.error("multiple `g' options to `s' command"));
                }
                Some('p') if substitution.print > 0 => {
                    return Err(self.reader.error("multiple `p' options to `s' command"));
                }
                Some('g') => substitution.global = true,
                // Printing comes before or after the evaluation.
                Some('p') => substitution.print = if substitution.evaluate { 2 } else { 1 },
                Some('i' | 'I') => options.ignore_case = true,
                Some('m' | 'M') => options.multi_line = true,
                Some('e') => {
                    self.refuse_in_sandbox()?;
                    substitution.evaluate = true;
                }
                Some('w') => {
                    substitution.write = Some(self.output()?);
                    return Ok(());
                }
                Some('}' | '#') => {
                    self.reader.back();
                    return Ok(());
                }
                None | Some('\n' | ';') => return Ok(()),
                Some(blank) if blank.is_whitespace() => {}
                Some(_) => return Err(self.reader.error("unknown option to `s'")),
            }
        }
    }

    fn translation(&mut self) -> Result<Action, ScriptError> {
        let unterminated = "unterminated `y' command";
        let delimiter = self.delimiter(unterminated)?;
        let mut sides = Vec::new();
        for _ in 0..2 {
            let text = delimited::read(&mut self.reader, delimiter, Delimited::Replacement);
            let text = text.ok_or_else(|| self.reader.error(unterminated))?;
            sides.push(delimited::characters(&text));
        }
        let different = "strings for `y' command are different lengths";
        let (to, from) = (sides.pop().unwrap_or_default(), sides.pop().unwrap_or_default());
        if from.len() != to.len() {
            return Err(self.reader.error(different));
        }
        self.finish()?;
        Ok(Action::Translate(from.into_iter().zip(to).collect()))
    }
}

/// A command that is one letter.
fn plain(letter: char) -> Option<Action> {
    Some(match letter {
        'd' => Action::Delete,
        'D' => Action::DeleteFirst,
        'F' => Action::FileName,
        'g' => Action::Get,
        'G' => Action::GetAppend,
        'h' => Action::Hold,
        'H' => Action::HoldAppend,
        'x' => Action::Exchange,
        'n' => Action::Next,
        'N' => Action::NextAppend,
        'p' => Action::Print,
        'P' => Action::PrintFirst,
        '=' => Action::LineNumber,
        'z' => Action::Zap,
        _ => return None,
    })
}

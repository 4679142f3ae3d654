//! The stack, the registers, and the commands.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use crate::number::{Impossible, Number};
use crate::output::Output;

/// What the stack holds.
#[derive(Debug, Clone)]
enum Value {
    Number(Number),
    Text(Rc<str>),
}

/// One level of a register.
#[derive(Debug, Default)]
struct Level {
    value: Option<Value>,
    array: HashMap<usize, Value>,
}

/// A text that runs.
struct Frame {
    code: Rc<str>,
    at: usize,
    /// How many macros it stands for: one that another one ends with takes its place.
    levels: usize,
}

type Done<T = ()> = Result<T, String>;

/// The calculator.
pub(super) struct Machine {
    stack: Vec<Value>,
    registers: HashMap<char, Vec<Level>>,
    frames: Vec<Frame>,
    scale: usize,
    input_base: usize,
    output_base: usize,
    output: Output,
    ended: bool,
}

/// What an error of the stack says.
const EMPTY: &str = "stack empty";

impl Machine {
    pub(super) fn new() -> Self {
        Self {
            stack: Vec::new(),
            registers: HashMap::new(),
            frames: Vec::new(),
            scale: 0,
            input_base: 10,
            output_base: 10,
            output: Output::new("DC_LINE_LENGTH", 0),
            ended: false,
        }
    }

    /// Runs a text. Whether the program goes on.
    pub(super) fn run(&mut self, text: &str) -> bool {
        self.frames = vec![Frame { code: text.into(), at: 0, levels: 1 }];
        while let Some(letter) = self.next() {
            if let Err(message) = self.command(letter) {
                self.output.flush();
                eprintln!("dc: {message}");
            }
            if self.ended {
                break;
            }
        }
        self.output.flush();
        !self.ended
    }

    /// The next letter of what runs. None at the end of all.
    fn next(&mut self) -> Option<char> {
        loop {
            let frame = self.frames.last_mut()?;
            if let Some(letter) = frame.code[frame.at..].chars().next() {
                frame.at += letter.len_utf8();
                return Some(letter);
            }
            self.frames.pop();
        }
    }

    /// The next letter of the same text, if it is one of some.
    fn next_if(&mut self, is: impl Fn(char) -> bool) -> Option<char> {
        let frame = self.frames.last_mut()?;
        let letter = frame.code[frame.at..].chars().next().filter(|letter| is(*letter))?;
        frame.at += letter.len_utf8();
        Some(letter)
    }

    fn name(&mut self) -> Done<char> {
        self.next_if(|_| true).ok_or_else(|| "unexpected end of text where the name of a register is due".to_owned())
    }

    fn command(&mut self, letter: char) -> Done {
        match letter {
            _ if letter.is_whitespace() => Ok(()),
            '0'..='9' | 'A'..='F' | '.' | '_' => self.number(letter),
            '[' => self.text(),
            '#' => {
                while self.next_if(|letter| letter != '\n').is_some() {}
                Ok(())
            }
            '+' | '-' | '*' | '/' | '%' | '^' => self.binary(letter),
            '~' | '|' | 'v' => self.other_arithmetic(letter),
            'p' | 'n' | 'P' | 'f' => self.print(letter),
            'c' | 'd' | 'r' | 'R' | 'z' => self.arrange(letter),
            'Z' | 'X' | 'a' => self.measure(letter),
            'k' | 'i' | 'o' | 'K' | 'I' | 'O' => self.parameter(letter),
            's' | 'S' | 'l' | 'L' | ':' | ';' => self.register(letter),
            'x' => match self.pop()? {
                Value::Text(text) => self.call(text),
                number @ Value::Number(_) => {
                    self.stack.push(number);
                    Ok(())
                }
            },
            '<' | '>' | '=' => self.compare(letter, false),
            '!' => match self.next_if(|next| "<>=".contains(next)) {
                Some(operator) => self.compare(operator, true),
                None => {
                    while self.next_if(|letter| letter != '\n').is_some() {}
                    Err("commands of the system are not run here".to_owned())
                }
            },
            '?' => {
                self.output.flush();
                let mut line = String::new();
                io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
                self.call(line.into())
            }
            'q' => {
                self.leave(2);
                Ok(())
            }
            'Q' => {
                let levels = self.pop_number()?.to_usize().filter(|levels| *levels > 0);
                self.unwind(levels.ok_or("Q command requires a number >= 1")?);
                Ok(())
            }
            _ => Err(format!("'{letter}' (0{:o}) unimplemented", u32::from(letter))),
        }
    }

    /// Commands for the order and the number of values.
    fn arrange(&mut self, letter: char) -> Done {
        match letter {
            'c' => {
                self.stack.clear();
                Ok(())
            }
            'd' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            'r' => self.rotate(2),
            'R' => {
                let count = self.pop_number()?;
                let down = count.is_negative();
                let size = if down { count.negated() } else { count }.to_usize().unwrap_or(usize::MAX);
                self.rotate_many(size, down)
            }
            _ => {
                self.stack.push(Value::Number(self.stack.len().into()));
                Ok(())
            }
        }
    }

    fn top(&self) -> Done<Value> {
        self.stack.last().cloned().ok_or_else(|| EMPTY.to_owned())
    }

    fn pop(&mut self) -> Done<Value> {
        self.stack.pop().ok_or_else(|| EMPTY.to_owned())
    }

    fn pop_number(&mut self) -> Done<Number> {
        match self.top()? {
            Value::Number(number) => {
                self.stack.pop();
                Ok(number)
            }
            Value::Text(_) => Err("non-numeric value".to_owned()),
        }
    }

    /// The two topmost numbers, the lower one first. Both stay where one is none.
    fn pop_two(&mut self) -> Done<(Number, Number)> {
        let count = self.stack.len();
        match count.checked_sub(2).and_then(|from| self.stack.get(from..)) {
            None => Err(EMPTY.to_owned()),
            Some([Value::Number(first), Value::Number(second)]) => {
                let both = (first.clone(), second.clone());
                self.stack.truncate(count - 2);
                Ok(both)
            }
            Some(_) => Err("non-numeric value".to_owned()),
        }
    }

    fn number(&mut self, first: char) -> Done {
        let negative = first == '_';
        let mut digits = if negative { String::new() } else { first.to_string() };
        loop {
            let point = !digits.contains('.');
            let next = self.next_if(|c| c.is_ascii_digit() || ('A'..='F').contains(&c) || (c == '.' && point));
            let Some(next) = next else { break };
            digits.push(next);
        }
        let number = Number::parse_plain(&digits, self.input_base);
        self.stack.push(Value::Number(if negative { number.negated() } else { number }));
        Ok(())
    }

    fn text(&mut self) -> Done {
        let (mut text, mut depth) = (String::new(), 1);
        while let Some(letter) = self.next_if(|_| true) {
            depth += match letter {
                '[' => 1,
                ']' => -1,
                _ => 0,
            };
            if depth == 0 {
                break;
            }
            text.push(letter);
        }
        self.stack.push(Value::Text(text.into()));
        Ok(())
    }

    fn binary(&mut self, operator: char) -> Done {
        let (one, two) = self.pop_two()?;
        let scale = self.scale;
        let result = match operator {
            '+' => Ok(one.add(&two)),
            '-' => Ok(one.subtract(&two)),
            '*' => Ok(one.multiply(&two, scale)),
            '/' => one.divide(&two, scale),
            '%' => one.remainder(&two, scale),
            _ => {
                if two.scale() > 0 {
                    self.output.flush();
                    eprintln!("Runtime warning: non-zero scale in exponent");
                }
                one.raise(&two, scale)
            }
        };
        match result {
            Ok(result) => {
                self.stack.push(Value::Number(result));
                Ok(())
            }
            Err(impossible) => {
                self.stack.extend([one, two].map(Value::Number));
                Err(words(impossible).to_owned())
            }
        }
    }

    fn other_arithmetic(&mut self, operator: char) -> Done {
        match operator {
            'v' => {
                let number = self.pop_number()?;
                let root = number.square_root(self.scale).map_err(|impossible| words(impossible).to_owned())?;
                self.stack.push(Value::Number(root));
            }
            '~' => {
                let (one, two) = self.pop_two()?;
                match (one.divide(&two, self.scale), one.remainder(&two, self.scale)) {
                    (Ok(quotient), Ok(rest)) => self.stack.extend([quotient, rest].map(Value::Number)),
                    _ => {
                        self.stack.extend([one, two].map(Value::Number));
                        return Err(words(Impossible::DivideByZero).to_owned());
                    }
                }
            }
            _ => {
                let modulus = self.pop_number()?;
                let (base, exponent) = self.pop_two()?;
                match base.raise_modulo(&exponent, &modulus) {
                    Some(result) => self.stack.push(Value::Number(result)),
                    None if modulus.is_zero() => return Err("remainder by zero".to_owned()),
                    None => return Err("exponent is negative".to_owned()),
                }
            }
        }
        Ok(())
    }

    fn print(&mut self, how: char) -> Done {
        if how == 'f' {
            for value in self.stack.clone().iter().rev() {
                self.show(value);
                self.output.write("\n");
            }
            return Ok(());
        }
        let value = if how == 'p' { self.top()? } else { self.pop()? };
        match (&value, how) {
            (Value::Number(number), 'P') => self.output.bytes(&number.bytes()),
            _ => self.show(&value),
        }
        if how == 'p' {
            self.output.write("\n");
        }
        Ok(())
    }

    fn show(&mut self, value: &Value) {
        match value {
            Value::Number(number) => self.output.write(&number.format(self.output_base)),
            Value::Text(text) => self.output.raw(text),
        }
    }

    fn rotate(&mut self, count: usize) -> Done {
        if self.stack.len() < count {
            return Err(EMPTY.to_owned());
        }
        self.rotate_many(count, false)
    }

    /// Rotates the topmost values: the lowest of them comes to the top, or the top one goes below them.
    fn rotate_many(&mut self, count: usize, down: bool) -> Done {
        let count = count.min(self.stack.len());
        let from = self.stack.len() - count;
        let top = self.stack.get_mut(from..).unwrap_or_default();
        if count > 1 {
            if down { top.rotate_right(1) } else { top.rotate_left(1) }
        }
        Ok(())
    }

    fn measure(&mut self, how: char) -> Done {
        let value = self.pop()?;
        self.stack.push(match (how, value) {
            ('Z', Value::Number(number)) => Value::Number(number.digits().into()),
            ('Z', Value::Text(text)) => Value::Number(text.chars().count().into()),
            ('X', Value::Number(number)) => Value::Number(number.scale().into()),
            ('X', Value::Text(_)) => Value::Number(Number::zero()),
            (_, Value::Number(number)) => {
                let last = number.bytes().last().copied().unwrap_or_default();
                Value::Text(char::from(last).to_string().into())
            }
            (_, Value::Text(text)) => Value::Text(text.chars().take(1).collect::<String>().into()),
        });
        Ok(())
    }

    fn parameter(&mut self, which: char) -> Done {
        let pushed = match which {
            'K' => self.scale,
            'I' => self.input_base,
            'O' => self.output_base,
            _ => {
                let number = self.pop_number()?;
                let value = number.to_usize().filter(|_| !number.is_negative());
                match (which, value) {
                    ('k', Some(scale)) => self.scale = scale,
                    ('k', None) => return Err("scale must be a nonnegative number".to_owned()),
                    ('i', Some(base @ 2..=16)) => self.input_base = base,
                    ('i', _) => return Err("input base must be a number between 2 and 16 (inclusive)".to_owned()),
                    (_, Some(base @ 2..)) => self.output_base = base,
                    _ => return Err("output base must be a number greater than 1".to_owned()),
                }
                return Ok(());
            }
        };
        self.stack.push(Value::Number(pushed.into()));
        Ok(())
    }

    fn register(&mut self, how: char) -> Done {
        let name = self.name()?;
        match how {
            's' | 'S' => {
                let value = Some(self.pop()?);
                let levels = self.registers.entry(name).or_default();
                match levels.last_mut().filter(|_| how == 's') {
                    Some(level) => level.value = value,
                    None => levels.push(Level { value, array: HashMap::new() }),
                }
            }
            'l' => {
                let value = self.read(name);
                self.stack.push(value);
            }
            'L' => {
                let level = self.registers.get_mut(&name).and_then(Vec::pop);
                let value = level.and_then(|level| level.value);
                self.stack
                    .push(value.ok_or_else(|| format!("stack register '{name}' (0{:o}) is empty", u32::from(name)))?);
            }
            _ => {
                let index = self.pop_number()?;
                let index = index.to_usize().filter(|_| !index.is_negative());
                let index = index.ok_or("array index must be a nonnegative integer")?;
                if how == ':' {
                    let value = self.pop()?;
                    let levels = self.registers.entry(name).or_default();
                    if levels.is_empty() {
                        levels.push(Level::default());
                    }
                    if let Some(level) = levels.last_mut() {
                        level.array.insert(index, value);
                    }
                } else {
                    let level = self.registers.get(&name).and_then(|levels| levels.last());
                    let value = level.and_then(|level| level.array.get(&index)).cloned();
                    self.stack.push(value.unwrap_or_else(|| Value::Number(Number::zero())));
                }
            }
        }
        Ok(())
    }

    /// Runs a register if the top of the stack is so compared with what is below it.
    fn compare(&mut self, operator: char, not: bool) -> Done {
        let name = self.name()?;
        let (below, top) = self.pop_two()?;
        let wanted = match operator {
            '<' => Ordering::Less,
            '>' => Ordering::Greater,
            _ => Ordering::Equal,
        };
        if (top.compare(&below) == wanted) == not {
            return Ok(());
        }
        match self.read(name) {
            Value::Text(text) => self.call(text),
            number @ Value::Number(_) => {
                self.stack.push(number);
                Ok(())
            }
        }
    }

    /// The value of a register; 0 of an empty one.
    fn read(&self, name: char) -> Value {
        let level = self.registers.get(&name).and_then(|levels| levels.last());
        level.and_then(|level| level.value.clone()).unwrap_or_else(|| Value::Number(Number::zero()))
    }

    /// Runs a text. A macro that ends with it leaves its place to it, so that loops need no memory.
    fn call(&mut self, code: Rc<str>) -> Done {
        let mut levels = 1;
        if self.frames.len() > 1
            && let Some(last) = self.frames.pop_if(|last| last.at == last.code.len())
        {
            levels += last.levels;
        }
        self.frames.push(Frame { code, at: 0, levels });
        Ok(())
    }

    /// `q`: leaves so many macros, and the program where there are fewer.
    fn leave(&mut self, count: usize) {
        let depth: usize = self.frames.iter().skip(1).map(|frame| frame.levels).sum();
        if depth < count {
            self.ended = true;
        } else {
            self.unwind(count);
        }
    }

    fn unwind(&mut self, mut count: usize) {
        while count > 0
            && let Some(frame) = self.frames.pop_if(|_| true)
        {
            // What a macro has left its place to is at its end.
            count = count.saturating_sub(frame.levels);
        }
    }
}

fn words(impossible: Impossible) -> &'static str {
    match impossible {
        Impossible::DivideByZero | Impossible::InverseOfZero => "divide by zero",
        Impossible::ModuloByZero => "remainder by zero",
        Impossible::NegativeRoot => "square root of negative number",
        Impossible::ExponentTooLarge => "exponent too large in raise",
    }
}

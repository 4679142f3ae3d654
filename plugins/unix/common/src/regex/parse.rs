//! The grammar of POSIX patterns (XBD 9.3 and 9.4) with GNU's extensions.

use std::iter::Peekable;
use std::str::Chars;

use super::options::{Error, Options, Stray};

/// A pattern, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// It matches no character, anywhere.
    Empty,
    Literal(char),
    /// `.`
    Any,
    Class(Class),
    Place(Place),
    /// A group and its number, from 1 on.
    Group(Box<Node>, usize),
    Back(usize),
    Repeat(Box<Node>, u32, Option<u32>),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
}

/// What matches no character, but in certain places alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    LineStart,
    LineEnd,
    TextStart,
    TextEnd,
    WordStart,
    WordEnd,
    WordEdge,
    WithinWord,
}

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) negated: bool,
    pub(super) items: Vec<Item>,
}

/// A part of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Range(char, char),
    /// A class of POSIX, by its name, and `word` for `\w`.
    Named(&'static str),
}

/// Patterns, taken apart together.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    pub(super) groups: usize,
    pub(super) back_references: bool,
    /// Whether the first match that is found may be shorter than the longest.
    pub(super) ambiguous: bool,
}

const NAMES: [&str; 12] =
    ["alpha", "digit", "alnum", "upper", "lower", "space", "blank", "punct", "print", "graph", "cntrl", "xdigit"];

/// The most repetitions that an interval may ask for. RE_DUP_MAX
const REPETITIONS: u32 = 32_767;

pub(super) fn parse_all(patterns: &[&str], options: Options) -> Result<Parsed, Error> {
    let (mut nodes, mut groups, mut back_references, mut ambiguous) = (Vec::new(), 0, false, patterns.len() > 1);
    for pattern in patterns {
        let mut parser = Parser {
            rest: pattern.chars().peekable(),
            extended: options.extended,
            escapes: options.escapes,
            bracket_escapes: options.bracket_escapes,
            lone_close: options.lone_close,
            stray: options.stray,
            groups,
            first_group: groups,
            open: 0,
            closed: Vec::new(),
            back_references: false,
            ambiguous: false,
        };
        nodes.push(parser.alternatives()?);
        if parser.rest.peek().is_some() {
            return Err(Error("Unmatched ) or \\)"));
        }
        groups = parser.groups;
        back_references |= parser.back_references;
        ambiguous |= parser.ambiguous;
    }
    let node = if nodes.len() == 1 { nodes.remove(0) } else { Node::Either(nodes) };
    Ok(Parsed { node, groups, back_references, ambiguous })
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    extended: bool,
    escapes: bool,
    bracket_escapes: bool,
    lone_close: bool,
    stray: Stray,
    groups: usize,
    /// How many groups the patterns before it have: its back-references count from there.
    first_group: usize,
    /// How many groups are open.
    open: usize,
    closed: Vec<usize>,
    back_references: bool,
    ambiguous: bool,
}

/// What ends a sequence, or an atom.
enum Token {
    Alternative,
    Close,
    Open,
    Star,
    Plus,
    Question,
    Interval,
    Other(char),
    Escaped(char),
}

impl Parser<'_> {
    fn alternatives(&mut self) -> Result<Node, Error> {
        let mut all = vec![self.sequence()?];
        while matches!(self.peek()?, Some(Token::Alternative)) {
            self.skip();
            self.ambiguous = true;
            all.push(self.sequence()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Either(all) })
    }

    fn sequence(&mut self) -> Result<Node, Error> {
        let mut nodes: Vec<Node> = Vec::new();
        // Whether an operator here has something to repeat.
        let mut repeatable = false;
        while let Some(token) = self.peek()? {
            match token {
                Token::Alternative => break,
                Token::Close if self.open > 0 || !self.extended => {
                    if self.open == 0 {
                        return Err(Error("Unmatched ) or \\)"));
                    }
                    break;
                }
                Token::Close if self.lone_close => {
                    self.skip();
                    nodes.push(Node::Literal(')'));
                }
                Token::Close => return Err(Error("Unmatched ) or \\)")),
                Token::Star | Token::Plus | Token::Question | Token::Interval if repeatable => {
                    let last = nodes.pop().unwrap_or(Node::Empty);
                    let repeated = self.repeated(&token, last)?;
                    nodes.push(repeated);
                    continue;
                }
                Token::Star | Token::Plus | Token::Question | Token::Interval => {
                    nodes.extend(self.stray_operator(&token)?);
                }
                Token::Open => {
                    self.skip();
                    nodes.push(self.group()?);
                }
                Token::Other(character) => {
                    self.skip();
                    let at_start = nodes.is_empty();
                    nodes.push(self.ordinary(character, at_start)?);
                    // What comes after the anchor at the beginning of a basic pattern is at its beginning.
                    if !self.extended && nodes.last() == Some(&Node::Place(Place::LineStart)) {
                        repeatable = false;
                        continue;
                    }
                }
                Token::Escaped(character) => {
                    self.skip();
                    nodes.push(self.escaped(character)?);
                }
            }
            repeatable = !nodes.is_empty();
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Sequence(nodes),
        })
    }

    /// An operator with nothing to repeat: at the beginning it is a character in basic patterns.
    fn stray_operator(&mut self, token: &Token) -> Result<Option<Node>, Error> {
        let character = match token {
            Token::Interval if self.extended => '{',
            Token::Interval => return Err(Error("Invalid preceding regular expression")),
            Token::Star => '*',
            Token::Plus => '+',
            _ => '?',
        };
        self.skip();
        match self.stray {
            Stray::Refused if self.extended => Err(Error("Invalid preceding regular expression")),
            Stray::Ignored if self.extended && character != '{' => Ok(None),
            _ => Ok(Some(Node::Literal(character))),
        }
    }

    fn repeated(&mut self, token: &Token, last: Node) -> Result<Node, Error> {
        let (least, most) = match token {
            Token::Star => (0, None),
            Token::Plus => (1, None),
            Token::Question => (0, Some(1)),
            _ => {
                let before = self.rest.clone();
                match self.interval() {
                    Ok(bounds) => return Ok(self.repetition(last, bounds.0, bounds.1)),
                    // In extended patterns a brace that begins no interval is a character.
                    Err(_) if self.extended && !Self::looks_like_interval(before.clone()) => {
                        self.rest = before;
                        self.skip();
                        return Ok(Node::Sequence(vec![last, Node::Literal('{')]));
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        self.skip();
        Ok(self.repetition(last, least, most))
    }

    fn repetition(&mut self, last: Node, least: u32, most: Option<u32>) -> Node {
        self.ambiguous |= !matches!(last, Node::Literal(_) | Node::Any | Node::Class(_));
        Node::Repeat(Box::new(last), least, most)
    }

    /// Whether a brace is followed by numbers and a brace.
    fn looks_like_interval(rest: Peekable<Chars<'_>>) -> bool {
        let mut rest = rest.skip(1).skip_while(|character| character.is_ascii_digit() || *character == ',');
        rest.next() == Some('}')
    }

    fn interval(&mut self) -> Result<(u32, Option<u32>), Error> {
        self.skip();
        let least = self.number()?;
        let comma = self.rest.next_if_eq(&',').is_some();
        let most = if comma { self.number()? } else { least };
        let closed = (self.extended || self.rest.next_if_eq(&'\\').is_some()) && self.rest.next_if_eq(&'}').is_some();
        if !closed {
            let end = self.rest.peek().is_none();
            return Err(Error(if end { "Unmatched \\{" } else { "Invalid content of \\{\\}" }));
        }
        match (least, most) {
            (None, _) if !comma => Err(Error("Invalid content of \\{\\}")),
            (Some(least), Some(most)) if least > most => Err(Error("Invalid content of \\{\\}")),
            (least, most) => Ok((least.unwrap_or_default(), most)),
        }
    }

    fn number(&mut self) -> Result<Option<u32>, Error> {
        let mut number = None;
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit).and_then(|digit| digit.to_digit(10)) {
            let next = number.unwrap_or(0) * 10 + digit;
            if next > REPETITIONS {
                return Err(Error("Regular expression too big"));
            }
            number = Some(next);
        }
        Ok(number)
    }

    fn group(&mut self) -> Result<Node, Error> {
        self.groups += 1;
        let number = self.groups;
        self.open += 1;
        let inside = self.alternatives()?;
        self.open -= 1;
        if !matches!(self.peek()?, Some(Token::Close)) {
            return Err(Error("Unmatched ( or \\("));
        }
        self.skip();
        self.closed.push(number);
        Ok(Node::Group(Box::new(inside), number))
    }

    fn ordinary(&mut self, character: char, at_start: bool) -> Result<Node, Error> {
        Ok(match character {
            '.' => Node::Any,
            '[' => Node::Class(self.bracket()?),
            '^' if self.extended || at_start => Node::Place(Place::LineStart),
            '$' if self.extended || self.at_end()? => Node::Place(Place::LineEnd),
            other => Node::Literal(other),
        })
    }

    /// Whether a basic pattern, or its group or alternative, ends here.
    fn at_end(&mut self) -> Result<bool, Error> {
        Ok(matches!(self.peek()?, None | Some(Token::Alternative | Token::Close)))
    }

    fn escaped(&mut self, character: char) -> Result<Node, Error> {
        let named = |name: &'static str, negated| Node::Class(Class { negated, items: vec![Item::Named(name)] });
        Ok(match character {
            'w' => named("word", false),
            'W' => named("word", true),
            's' => named("space", false),
            'S' => named("space", true),
            'b' => Node::Place(Place::WordEdge),
            'B' => Node::Place(Place::WithinWord),
            '<' => Node::Place(Place::WordStart),
            '>' => Node::Place(Place::WordEnd),
            '`' => Node::Place(Place::TextStart),
            '\'' => Node::Place(Place::TextEnd),
            '1'..='9' => {
                let number = self.first_group + character.to_digit(10).unwrap_or_default() as usize;
                if !self.closed.contains(&number) {
                    return Err(Error("Invalid back reference"));
                }
                self.back_references = true;
                Node::Back(number)
            }
            'n' if self.escapes => Node::Literal('\n'),
            't' if self.escapes => Node::Literal('\t'),
            'f' if self.escapes => Node::Literal('\u{c}'),
            'r' if self.escapes => Node::Literal('\r'),
            'v' if self.escapes => Node::Literal('\u{b}'),
            'a' if self.escapes => Node::Literal('\u{7}'),
            other => Node::Literal(other),
        })
    }

    fn bracket(&mut self) -> Result<Class, Error> {
        const UNMATCHED: Error = Error("Unmatched [, [^, [:, [., or [=");
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut items = Vec::new();
        let mut first = true;
        if self.rest.peek() == Some(&':') && self.clone_text().split_once(":]").is_some_and(|(name, _)| is_name(name)) {
            return Err(Error("character class syntax is [[:space:]], not [:space:]"));
        }
        loop {
            let character = self.rest.next().ok_or(UNMATCHED)?;
            match (character, self.rest.peek().copied()) {
                (']', _) if !first => break,
                ('[', Some(':')) => {
                    let name = self.delimited(':').ok_or(UNMATCHED)?;
                    let known = NAMES.into_iter().find(|known| *known == name);
                    items.push(Item::Named(known.ok_or(Error("Invalid character class name"))?));
                }
                (low, _) => {
                    let low = self.end_point(low)?;
                    let mut ahead = self.rest.clone();
                    let range = ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']');
                    let high = if range {
                        self.rest.next();
                        let high = self.rest.next().ok_or(UNMATCHED)?;
                        self.end_point(high)?
                    } else {
                        low
                    };
                    if low > high {
                        return Err(Error("Invalid range end"));
                    }
                    items.push(Item::Range(low, high));
                }
            }
            first = false;
        }
        Ok(Class { negated, items })
    }

    fn clone_text(&self) -> String {
        self.rest.clone().skip(1).collect()
    }

    /// An end of a range: a character, `[.x.]`, `[=x=]`, or an escape where the pattern may have them.
    fn end_point(&mut self, character: char) -> Result<char, Error> {
        match (character, self.rest.peek().copied()) {
            ('[', Some(mark @ ('.' | '='))) => {
                let inside = self.delimited(mark).ok_or(Error("Unmatched [, [^, [:, [., or [="))?;
                let mut characters = inside.chars();
                match (characters.next(), characters.next()) {
                    (Some(one), None) => Ok(one),
                    _ => Err(Error("Invalid collation character")),
                }
            }
            ('\\', Some(letter)) if self.escapes || self.bracket_escapes => {
                let control = match letter {
                    'n' => '\n',
                    't' => '\t',
                    'f' => '\u{c}',
                    'r' => '\r',
                    'v' => '\u{b}',
                    'a' => '\u{7}',
                    other if self.bracket_escapes => other,
                    _ => return Ok('\\'),
                };
                self.rest.next();
                Ok(control)
            }
            (other, _) => Ok(other),
        }
    }

    /// The text up to a mark and a bracket; the mark comes next.
    fn delimited(&mut self, mark: char) -> Option<String> {
        self.rest.next();
        let mut text = String::new();
        loop {
            let character = self.rest.next()?;
            if character == mark && self.rest.next_if_eq(&']').is_some() {
                return Some(text);
            }
            text.push(character);
        }
    }

    fn peek(&self) -> Result<Option<Token>, Error> {
        let mut ahead = self.rest.clone();
        let Some(character) = ahead.next() else {
            return Ok(None);
        };
        let operator = match character {
            '\\' => {
                let escaped = ahead.next().ok_or(Error("Trailing backslash"))?;
                let operator = operator(escaped).filter(|_| !self.extended);
                return Ok(Some(operator.unwrap_or(Token::Escaped(escaped))));
            }
            '*' => Some(Token::Star),
            // A newline separates patterns in grep alone, which splits them itself.
            other => operator(other).filter(|_| self.extended),
        };
        Ok(Some(operator.unwrap_or(Token::Other(character))))
    }

    fn skip(&mut self) {
        if self.rest.next() == Some('\\') {
            self.rest.next();
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// The operators that basic patterns write with a backslash, and extended ones without.
fn operator(character: char) -> Option<Token> {
    Some(match character {
        '|' => Token::Alternative,
        '(' => Token::Open,
        ')' => Token::Close,
        '{' => Token::Interval,
        '+' => Token::Plus,
        '?' => Token::Question,
        _ => return None,
    })
}

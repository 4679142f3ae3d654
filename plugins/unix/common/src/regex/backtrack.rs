//! The matcher of patterns with back-references. It tries one way after another, as no automaton can match them.

use super::options::{Error, Options};
use super::parse::{Class, Item, Node, Parsed, Place};
use crate::glob::in_class;

/// Where the match and its groups begin and end.
type Ends = Vec<Option<(usize, usize)>>;

/// The most steps of a program: a pattern with large intervals in intervals has too many.
const STEPS: usize = 1 << 20;

/// A pattern as steps.
pub(super) struct Program {
    steps: Vec<Step>,
    slots: usize,
    ignore_case: bool,
    options: Options,
}

enum Step {
    Literal(char),
    Any,
    Class(Class),
    Place(Place),
    Save(usize),
    Back(usize),
    /// Tries the first, then the second.
    Split(usize, usize),
    Jump(usize),
    /// Notes the place, and goes on only if it has changed since the note: a repetition of nothing ends.
    Note(usize),
    Changed(usize),
    Match,
}

/// What to do when a way leads nowhere.
enum Undo {
    Try(usize, usize),
    Slot(usize, Option<usize>),
}

impl Program {
    pub(super) fn new(parsed: &Parsed, options: Options) -> Result<Self, Error> {
        let mut steps = Self {
            steps: Vec::new(),
            slots: (parsed.groups + 1) * 2,
            ignore_case: options.ignore_case,
            options: Options { multi_line: options.multi_line || options.whole_lines, ..options },
        };
        if options.whole_lines {
            steps.steps.push(Step::Place(Place::LineStart));
        }
        steps.node(&parsed.node)?;
        if options.whole_lines {
            steps.steps.push(Step::Place(Place::LineEnd));
        }
        steps.steps.push(Step::Match);
        Ok(steps)
    }

    fn node(&mut self, node: &Node) -> Result<(), Error> {
        if self.steps.len() > STEPS {
            return Err(Error("Regular expression too big"));
        }
        match node {
            Node::Empty => {}
            Node::Literal(character) => self.steps.push(Step::Literal(*character)),
            Node::Any => self.steps.push(Step::Any),
            Node::Class(class) => self.steps.push(Step::Class(class.clone())),
            Node::Place(place) => self.steps.push(Step::Place(*place)),
            Node::Back(number) => self.steps.push(Step::Back(*number)),
            Node::Group(inside, number) => {
                self.steps.push(Step::Save(number * 2));
                self.node(inside)?;
                self.steps.push(Step::Save(number * 2 + 1));
            }
            Node::Sequence(nodes) => nodes.iter().try_for_each(|part| self.node(part))?,
            Node::Either(nodes) => self.either(nodes)?,
            Node::Repeat(inside, least, most) => {
                for _ in 0..*least {
                    self.node(inside)?;
                }
                match most {
                    None => {
                        let note = self.slots;
                        self.slots += 1;
                        let split = self.steps.len();
                        self.steps.extend([Step::Jump(0), Step::Note(note)]);
                        self.node(inside)?;
                        self.steps.extend([Step::Changed(note), Step::Jump(split)]);
                        self.steps[split] = Step::Split(split + 1, self.steps.len());
                    }
                    Some(most) => {
                        let mut splits = Vec::new();
                        for _ in *least..*most {
                            splits.push(self.steps.len());
                            self.steps.push(Step::Jump(0));
                            self.node(inside)?;
                        }
                        let end = self.steps.len();
                        for split in splits {
                            self.steps[split] = Step::Split(split + 1, end);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn either(&mut self, nodes: &[Node]) -> Result<(), Error> {
        let mut jumps = Vec::new();
        for (index, alternative) in nodes.iter().enumerate() {
            if index + 1 == nodes.len() {
                self.node(alternative)?;
                break;
            }
            let split = self.steps.len();
            self.steps.push(Step::Jump(0));
            self.node(alternative)?;
            jumps.push(self.steps.len());
            self.steps.push(Step::Jump(0));
            self.steps[split] = Step::Split(split + 1, self.steps.len());
        }
        let end = self.steps.len();
        for jump in jumps {
            self.steps[jump] = Step::Jump(end);
        }
        Ok(())
    }

    /// The first match from a place on.
    pub(super) fn find(&self, text: &[u8], at: usize) -> Option<Ends> {
        let mut start = at;
        while start <= text.len() {
            if let Some(groups) = self.match_at(text, start) {
                return Some(groups);
            }
            start += character(text, start).map_or(1, |(_, length)| length);
        }
        None
    }

    fn match_at(&self, text: &[u8], start: usize) -> Option<Ends> {
        let mut slots: Vec<Option<usize>> = vec![None; self.slots];
        let mut undo: Vec<Undo> = Vec::new();
        let (mut step, mut at) = (0, start);
        loop {
            let next = match &self.steps[step] {
                Step::Match if self.is_word(text, start, at) => {
                    slots[0] = Some(start);
                    slots[1] = Some(at);
                    let ends = slots.chunks(2).take(self.groups() + 1);
                    return Some(ends.map(|ends| Some((*ends.first()?.as_ref()?, *ends.get(1)?.as_ref()?))).collect());
                }
                Step::Match => None,
                Step::Split(first, second) => {
                    undo.push(Undo::Try(*second, at));
                    Some((*first, at))
                }
                Step::Jump(to) => Some((*to, at)),
                Step::Save(slot) | Step::Note(slot) => {
                    undo.push(Undo::Slot(*slot, slots[*slot]));
                    slots[*slot] = Some(at);
                    Some((step + 1, at))
                }
                Step::Changed(slot) => (slots[*slot] != Some(at)).then_some((step + 1, at)),
                Step::Place(place) => self.is_place(*place, text, at).then_some((step + 1, at)),
                Step::Back(number) => {
                    let group = slots[number * 2].zip(slots[number * 2 + 1]);
                    let wanted = group.and_then(|(from, to)| text.get(from..to));
                    wanted.and_then(|wanted| self.taken(wanted, text, at)).map(|length| (step + 1, at + length))
                }
                one => character(text, at)
                    .filter(|(found, _)| self.is_one(one, *found))
                    .map(|(_, length)| (step + 1, at + length)),
            };
            (step, at) = match next {
                Some(next) => next,
                None => loop {
                    match undo.pop()? {
                        Undo::Try(step, at) => break (step, at),
                        Undo::Slot(slot, before) => slots[slot] = before,
                    }
                },
            };
        }
    }

    fn groups(&self) -> usize {
        let saves =
            self.steps.iter().filter_map(|step| if let Step::Save(slot) = step { Some(slot / 2) } else { None });
        saves.max().unwrap_or_default()
    }

    fn is_word(&self, text: &[u8], start: usize, end: usize) -> bool {
        let after = character(text, end).is_some_and(|(found, _)| is_word(found));
        !self.options.whole_words || !(before(text, start).is_some_and(is_word) || after)
    }

    fn taken(&self, wanted: &[u8], text: &[u8], at: usize) -> Option<usize> {
        let found = text.get(at..at + wanted.len())?;
        let same = found == wanted
            || self.ignore_case
                && String::from_utf8_lossy(found).to_lowercase() == String::from_utf8_lossy(wanted).to_lowercase();
        same.then_some(wanted.len())
    }

    fn is_one(&self, step: &Step, found: char) -> bool {
        if found == '\n' && self.options.single_lines {
            return false;
        }
        match step {
            Step::Literal(literal) => *literal == found || self.ignore_case && folded(*literal) == folded(found),
            Step::Class(class) => {
                let has = |character: char| class.items.iter().any(|item| is_in(item, character));
                let other = if found.is_uppercase() { folded(found) } else { raised(found) };
                (has(found) || self.ignore_case && has(other)) != class.negated
            }
            _ => true,
        }
    }

    fn is_place(&self, place: Place, text: &[u8], at: usize) -> bool {
        let left = before(text, at).is_some_and(is_word);
        let right = character(text, at).is_some_and(|(found, _)| is_word(found));
        let lines = self.options.multi_line;
        match place {
            Place::LineStart => at == 0 || lines && text.get(at - 1) == Some(&b'\n'),
            Place::LineEnd => at == text.len() || lines && text.get(at) == Some(&b'\n'),
            Place::TextStart => at == 0,
            Place::TextEnd => at == text.len(),
            Place::WordStart => !left && right,
            Place::WordEnd => left && !right,
            Place::WordEdge => left != right,
            Place::WithinWord => left == right,
        }
    }
}

fn folded(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

fn raised(character: char) -> char {
    character.to_uppercase().next().unwrap_or(character)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_in(item: &Item, character: char) -> bool {
    match item {
        Item::Range(low, high) => (*low..=*high).contains(&character),
        Item::Named("word") => is_word(character),
        Item::Named(name) => in_class(name, character),
    }
}

/// The character at a place, and its bytes. None at the end, and where no character is.
fn character(text: &[u8], at: usize) -> Option<(char, usize)> {
    let rest = text.get(at..)?;
    let first = *rest.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    (2..=4).find_map(|length| {
        let text = std::str::from_utf8(rest.get(..length)?).ok()?;
        text.chars().next().map(|found| (found, length))
    })
}

fn before(text: &[u8], at: usize) -> Option<char> {
    (1..=4.min(at)).find_map(|length| {
        let text = std::str::from_utf8(text.get(at - length..at)?).ok()?;
        text.chars().next_back()
    })
}

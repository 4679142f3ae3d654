//! Patterns (XCU 2.14), with the extended ones of ksh and bash.
//!
//! A pattern is matched by sets of positions: each part maps the places where it may begin to those where it may end.
//! That takes no stack that grows with the text, and no time that grows exponentially.

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    nodes: Vec<Node>,
    fold: bool,
}

#[derive(Debug, Clone)]
enum Node {
    Char(char),
    Any,
    Star,
    Set {
        negated: bool,
        items: Vec<SetItem>,
    },
    /// `?`, `*`, `+`, `@` or `!` before parentheses.
    Group(char, Vec<Vec<Node>>),
}

#[derive(Debug, Clone)]
enum SetItem {
    Range(char, char),
    Class(String),
}

/// How patterns are read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PatternOptions {
    pub(crate) extglob: bool,
    /// Whether case does not matter.
    pub(crate) fold: bool,
}

/// The most groups inside of groups; deeper ones are plain characters.
const MAX_GROUPS: u32 = 50;

impl Pattern {
    /// Compiles a pattern in which a backslash quotes the character after it.
    pub(crate) fn new(text: &str, options: PatternOptions) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut reader = Reader { chars: &chars, at: 0, options, depth: 0 };
        let nodes = reader.sequence(false);
        Self { nodes, fold: options.fold }
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if let Some(literal) = self.literal() {
            return literal == text;
        }
        let chars: Vec<char> = text.chars().collect();
        self.matches_chars(&chars)
    }

    pub(crate) fn matches_chars(&self, chars: &[char]) -> bool {
        self.ends(&self.nodes, chars, vec![0]).last() == Some(&chars.len())
    }

    /// The text that it matches, if that is only one.
    pub(crate) fn literal(&self) -> Option<String> {
        let one = |node: &Node| if let Node::Char(character) = node { Some(*character) } else { None };
        if self.fold { None } else { self.nodes.iter().map(one).collect() }
    }

    /// Whether it begins with a dot that stands for itself.
    pub(crate) fn begins_with_dot(&self) -> bool {
        fn begins(nodes: &[Node]) -> bool {
            match nodes.first() {
                Some(Node::Char('.')) => true,
                Some(Node::Group(_, alternatives)) => alternatives.iter().any(|nodes| begins(nodes)),
                _ => false,
            }
        }
        begins(&self.nodes)
    }

    /// The length of the longest or shortest beginning that matches.
    pub(crate) fn prefix(&self, chars: &[char], longest: bool) -> Option<usize> {
        let ends = self.ends(&self.nodes, chars, vec![0]);
        if longest { ends.last().copied() } else { ends.first().copied() }
    }

    /// The length of the longest or shortest end that matches.
    pub(crate) fn suffix(&self, chars: &[char], longest: bool) -> Option<usize> {
        let reversed: Vec<char> = chars.iter().rev().copied().collect();
        Self { nodes: reverse(&self.nodes), fold: self.fold }.prefix(&reversed, longest)
    }

    fn ends(&self, nodes: &[Node], chars: &[char], mut places: Vec<usize>) -> Vec<usize> {
        for node in nodes {
            if places.is_empty() {
                return places;
            }
            places = self.after(node, chars, places);
        }
        places
    }

    fn after(&self, node: &Node, chars: &[char], places: Vec<usize>) -> Vec<usize> {
        let step = |fits: &dyn Fn(char) -> bool| {
            places.iter().filter(|at| chars.get(**at).is_some_and(|next| fits(*next))).map(|at| at + 1).collect()
        };
        match node {
            Node::Char(wanted) => step(&|next| next == *wanted || self.fold && folded(next) == folded(*wanted)),
            Node::Any => step(&|_| true),
            Node::Star => (places[0]..=chars.len()).collect(),
            Node::Set { negated, items } => step(&|next| {
                let other = if next.is_uppercase() { folded(next) } else { next.to_uppercase().next().unwrap_or(next) };
                let found = items.iter().any(|item| item.has(next) || self.fold && item.has(other));
                found != *negated
            }),
            Node::Group(kind, alternatives) => self.after_group(*kind, alternatives, chars, places),
        }
    }

    fn after_group(&self, kind: char, alternatives: &[Vec<Node>], chars: &[char], places: Vec<usize>) -> Vec<usize> {
        let once = |places: Vec<usize>| {
            let mut ends: Vec<usize> =
                alternatives.iter().flat_map(|nodes| self.ends(nodes, chars, places.clone())).collect();
            ends.sort_unstable();
            ends.dedup();
            ends
        };
        let union = |mut one: Vec<usize>, other: Vec<usize>| {
            one.extend(other);
            one.sort_unstable();
            one.dedup();
            one
        };
        match kind {
            '@' => once(places),
            '?' => union(once(places.clone()), places),
            '!' => {
                let mut ends = Vec::new();
                for start in places {
                    let refused = once(vec![start]);
                    ends.extend((start..=chars.len()).filter(|end| refused.binary_search(end).is_err()));
                }
                union(ends, Vec::new())
            }
            _ => {
                let mut all = if kind == '*' { places.clone() } else { Vec::new() };
                let mut fresh = once(places);
                while !fresh.is_empty() {
                    let before = all.clone();
                    all = union(all, fresh.clone());
                    fresh = once(fresh).into_iter().filter(|end| all.binary_search(end).is_err()).collect();
                    if all.len() == before.len() {
                        break;
                    }
                }
                all
            }
        }
    }
}

fn folded(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

fn reverse(nodes: &[Node]) -> Vec<Node> {
    let one = |node: &Node| match node {
        Node::Group(kind, alternatives) => {
            Node::Group(*kind, alternatives.iter().map(|nodes| reverse(nodes)).collect())
        }
        other => other.clone(),
    };
    nodes.iter().rev().map(one).collect()
}

impl SetItem {
    fn has(&self, next: char) -> bool {
        match self {
            Self::Range(first, last) => (*first..=*last).contains(&next),
            Self::Class(name) => match name.as_str() {
                "alpha" => next.is_alphabetic(),
                "digit" => next.is_ascii_digit(),
                "alnum" => next.is_alphanumeric(),
                "upper" => next.is_uppercase(),
                "lower" => next.is_lowercase(),
                "space" => next.is_whitespace(),
                "blank" => next == ' ' || next == '\t',
                "cntrl" => next.is_control(),
                "punct" => next.is_ascii_punctuation(),
                "graph" => !next.is_control() && !next.is_whitespace(),
                "print" => !next.is_control(),
                "xdigit" => next.is_ascii_hexdigit(),
                "word" => next.is_alphanumeric() || next == '_',
                _ => false,
            },
        }
    }
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    options: PatternOptions,
    depth: u32,
}

impl Reader<'_> {
    /// Up to the end, or within a group up to `|` or `)`.
    fn sequence(&mut self, in_group: bool) -> Vec<Node> {
        let mut nodes = Vec::new();
        while let Some(next) = self.chars.get(self.at).copied() {
            if in_group && (next == '|' || next == ')') {
                break;
            }
            if self.options.extglob
                && "?*+@!".contains(next)
                && self.chars.get(self.at + 1) == Some(&'(')
                && let Some(group) = self.group(next)
            {
                nodes.push(group);
                continue;
            }
            self.at += 1;
            nodes.push(match next {
                '\\' => match self.chars.get(self.at).copied() {
                    Some(quoted) => {
                        self.at += 1;
                        Node::Char(quoted)
                    }
                    None => Node::Char('\\'),
                },
                '?' => Node::Any,
                '*' => {
                    if matches!(nodes.last(), Some(Node::Star)) {
                        continue;
                    }
                    Node::Star
                }
                '[' => self.set().unwrap_or(Node::Char('[')),
                _ => Node::Char(next),
            });
        }
        nodes
    }

    fn group(&mut self, kind: char) -> Option<Node> {
        if self.depth >= MAX_GROUPS {
            return None;
        }
        let start = self.at;
        self.at += 2;
        self.depth += 1;
        let mut alternatives = Vec::new();
        let closed = loop {
            alternatives.push(self.sequence(true));
            let next = self.chars.get(self.at).copied();
            self.at += 1;
            match next {
                Some('|') => {}
                Some(_) => break true,
                None => break false,
            }
        };
        self.depth -= 1;
        if !closed {
            self.at = start;
            // What is not closed here is not closed further in either.
            self.options.extglob = false;
            return None;
        }
        Some(Node::Group(kind, alternatives))
    }

    /// A bracket expression, after the `[`. None, with nothing read, if it is not closed.
    fn set(&mut self) -> Option<Node> {
        let start = self.at;
        let negated = matches!(self.chars.get(self.at), Some('!' | '^'));
        self.at += usize::from(negated);
        let mut items = Vec::new();
        let first = self.at;
        loop {
            let Some(next) = self.chars.get(self.at).copied() else {
                self.at = start;
                return None;
            };
            if next == ']' && self.at > first {
                self.at += 1;
                return Some(Node::Set { negated, items });
            }
            if next == '['
                && self.chars.get(self.at + 1) == Some(&':')
                && let Some(name) = self.named(':')
            {
                items.push(SetItem::Class(name));
                continue;
            }
            let low = self.set_char(next);
            let is_range =
                self.chars.get(self.at) == Some(&'-') && self.chars.get(self.at + 1).is_some_and(|end| *end != ']');
            let high = if is_range {
                self.at += 1;
                let next = self.chars[self.at];
                self.set_char(next)
            } else {
                low
            };
            items.push(SetItem::Range(low, high));
        }
    }

    /// One character of a bracket expression: quoted, `[.x.]`, `[=x=]`, or itself.
    fn set_char(&mut self, next: char) -> char {
        if next == '[' {
            for kind in ['.', '='] {
                if self.chars.get(self.at + 1) == Some(&kind)
                    && let Some(name) = self.named(kind)
                {
                    return name.chars().next().unwrap_or('[');
                }
            }
        }
        self.at += 1;
        if next == '\\'
            && let Some(quoted) = self.chars.get(self.at).copied()
        {
            self.at += 1;
            return quoted;
        }
        next
    }

    /// The name in `[:name:]`.
    fn named(&mut self, kind: char) -> Option<String> {
        let rest = &self.chars[self.at + 2..];
        let length = rest.windows(2).position(|pair| pair == [kind, ']'])?;
        let name: String = rest[..length].iter().collect();
        if kind == ':' && !name.chars().all(|letter| letter.is_ascii_lowercase()) {
            return None;
        }
        self.at += 2 + length + 2;
        Some(name)
    }
}

/// Whether a pattern text has a character that is special in patterns and not quoted.
pub(crate) fn has_magic(text: &str, extglob: bool) -> bool {
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '\\' => {
                chars.next();
            }
            '*' | '?' => return true,
            '[' if chars.clone().any(|later| later == ']') => return true,
            '+' | '@' | '!' if extglob && chars.peek() == Some(&'(') => return true,
            _ => {}
        }
    }
    false
}

/// Puts a backslash before each character that is special in patterns.
pub(crate) fn escape_into(pattern: &mut String, text: &str) {
    for character in text.chars() {
        if "\\*?[]!-^|()+@".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
}

/// The text that a pattern text stands for when nothing in it is special.
pub(crate) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        plain.push(if next == '\\' { chars.next().unwrap_or('\\') } else { next });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern, PatternOptions { extglob: true, fold: false }).matches(text)
    }

    #[test]
    fn simple_patterns() {
        for (pattern, text, expected) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txt2", false),
            ("?b[c-e]", "abd", true),
            ("[!a-c]", "b", false),
            ("[]x]", "]", true),
            ("[[:digit:]]x", "4x", true),
            ("[a", "[a", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("[[.a.]-c]", "b", true),
            ("a**b", "axxb", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn extended_patterns() {
        for (pattern, text, expected) in [
            ("@(a|b)c", "bc", true),
            ("*(ab)", "ababab", true),
            ("+(ab)", "", false),
            ("?(a)b", "b", true),
            ("!(a)", "b", true),
            ("!(a)", "a", false),
            ("!(*.o)", "x.c", true),
            ("!(*.o)", "x.o", false),
            ("a!(b)c", "abc", false),
            ("a!(b)c", "abbc", true),
            ("*(a|b*(c))", "abcca", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_that_is_slow_by_backtracking_is_not() {
        let text = "a".repeat(5000);
        assert!(!matches("*a*a*a*a*a*a*b", &text));
        assert!(!matches("*(*(a)*(a))b", &"a".repeat(200)));
    }

    #[test]
    fn ends_of_a_text() {
        let pattern = Pattern::new("*.", PatternOptions::default());
        let chars: Vec<char> = "a.b.c".chars().collect();
        assert_eq!((pattern.prefix(&chars, false), pattern.prefix(&chars, true)), (Some(2), Some(4)));
        let pattern = Pattern::new(".*", PatternOptions::default());
        assert_eq!((pattern.suffix(&chars, false), pattern.suffix(&chars, true)), (Some(2), Some(4)));
    }
}

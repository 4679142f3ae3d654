//! Vim's patterns, as far as they are POSIX's basic ones with Vim's additions. `regex-automata` matches them, and of
//! several alternatives the first counts, as in Vim.

use regex_automata::meta;
use regex_automata::util::syntax;
use std::fmt::Write as _;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: meta::Regex,
    /// The groups that `\zs` and `\ze` are, if there are.
    start: Option<usize>,
    end: Option<usize>,
    /// The groups that `\(` has opened, by their numbers.
    groups: Vec<usize>,
}

/// Where a match and its groups begin and end; the whole match is the first.
pub(crate) type Groups = Vec<Option<(usize, usize)>>;

/// The most bytes that the states of a pattern take.
const STATES: usize = 16 << 20;

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// A message: what is wrong with it.
    pub(crate) fn new(pattern: &str, ignore_case: bool) -> Result<Self, String> {
        let mut translator = Translator { rest: pattern.chars().peekable(), ..Translator::default() };
        translator.all().map_err(|wrong| format!("{wrong}: {pattern}"))?;
        let ignore_case = translator.case.unwrap_or(ignore_case);
        let syntax = syntax::Config::new().case_insensitive(ignore_case).multi_line(true);
        let config = meta::Config::new().nfa_size_limit(Some(STATES));
        let regex = meta::Builder::new().configure(config).syntax(syntax).build(&translator.out);
        let Translator { start, end, groups, .. } = translator;
        let regex = regex.map_err(|error| {
            let why = if error.size_limit().is_some() {
                "E363: Pattern uses more memory than allowed"
            } else {
                "E486: Invalid pattern"
            };
            format!("{why}: {pattern}")
        })?;
        Ok(Self { regex, start, end, groups })
    }

    /// The first match that begins at a place or behind it, with its groups.
    pub(crate) fn groups_at(&self, line: &str, from: usize) -> Option<Groups> {
        let mut at = from;
        // A match may begin before the place where `\zs` says that it does.
        let mut begin = if self.start.is_some() { 0 } else { from };
        loop {
            let mut captures = self.regex.create_captures();
            self.regex.search_captures(&regex_automata::Input::new(line).range(begin..), &mut captures);
            let whole = captures.get_match()?;
            let place = |group: Option<usize>| group.and_then(|group| captures.get_group(group));
            let start = place(self.start).map_or(whole.start(), |group| group.start);
            let end = place(self.end).map_or(whole.end(), |group| group.start).max(start);
            if start >= at {
                let groups =
                    self.groups.iter().map(|group| captures.get_group(*group).map(|span| (span.start, span.end)));
                return Some(std::iter::once(Some((start, end))).chain(groups).collect());
            }
            begin = line[whole.start()..]
                .chars()
                .next()
                .map_or(line.len() + 1, |skipped| whole.start() + skipped.len_utf8());
            if begin > line.len() {
                return None;
            }
            at = at.max(from);
        }
    }

    pub(crate) fn find_at(&self, line: &str, from: usize) -> Option<(usize, usize)> {
        if self.start.is_some() || self.end.is_some() {
            return self.groups_at(line, from)?[0];
        }
        self.regex.find(regex_automata::Input::new(line).range(from..)).map(|found| (found.start(), found.end()))
    }

    pub(crate) fn is_match(&self, line: &str) -> bool {
        self.regex.is_match(line)
    }
}

/// Which characters have a meaning without a backslash: all that can have one after `\v`, fewer after `\M`, and
/// none after `\V`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Magic {
    Nothing,
    Edges,
    Normal,
    Very,
}

/// Writes a pattern in the syntax of the library.
#[derive(Debug)]
struct Translator<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    out: String,
    /// How many groups the translation has.
    count: usize,
    groups: Vec<usize>,
    open: usize,
    start: Option<usize>,
    end: Option<usize>,
    case: Option<bool>,
    /// Which characters have a meaning without a backslash.
    magic: Magic,
    /// Whether something can be repeated.
    atom: bool,
}

impl Default for Translator<'_> {
    fn default() -> Self {
        Self {
            rest: "".chars().peekable(),
            out: String::new(),
            count: 0,
            groups: Vec::new(),
            open: 0,
            start: None,
            end: None,
            case: None,
            magic: Magic::Normal,
            atom: false,
        }
    }
}

type Translated = Result<(), &'static str>;

impl Translator<'_> {
    fn all(&mut self) -> Translated {
        while let Some(sign) = self.rest.next() {
            match sign {
                '\\' => match self.rest.next() {
                    None => self.literal('\\'),
                    Some(operator @ ('(' | ')' | '|' | '+' | '?' | '=' | '{' | '<' | '>' | '@' | '&' | '%'))
                        if self.magic < Magic::Very =>
                    {
                        self.operator(operator)?;
                    }
                    Some(sign @ ('*' | '.' | '[')) if self.magic < Magic::Normal => self.magic_sign(sign)?,
                    Some('^') if self.magic == Magic::Nothing => self.push("^", false),
                    Some('$') if self.magic == Magic::Nothing => self.push("$", false),
                    Some(letter) => self.escaped(letter)?,
                },
                operator @ ('(' | ')' | '|' | '+' | '?' | '=' | '{' | '<' | '>' | '@' | '&' | '%')
                    if self.magic == Magic::Very =>
                {
                    self.operator(operator)?;
                }
                '*' | '.' | '[' if self.magic >= Magic::Normal => self.magic_sign(sign)?,
                '^' if self.magic == Magic::Very || self.magic > Magic::Nothing && self.at_start() => {
                    self.push("^", false);
                }
                '$' if self.magic == Magic::Very || self.magic > Magic::Nothing && self.at_end() => {
                    self.push("$", false);
                }
                other => self.literal(other),
            }
        }
        if self.open > 0 { Err("E54: Unmatched \\(") } else { Ok(()) }
    }

    fn magic_sign(&mut self, sign: char) -> Translated {
        match sign {
            '*' if self.atom => self.push("*", true),
            '.' => self.push("(?:[^\\n])", true),
            '[' => return self.bracket(),
            other => self.literal(other),
        }
        Ok(())
    }

    fn push(&mut self, text: &str, atom: bool) {
        self.out.push_str(text);
        self.atom = atom;
    }

    fn literal(&mut self, character: char) {
        if !character.is_alphanumeric() && character.is_ascii() {
            let _ = write!(self.out, "\\x{{{:x}}}", u32::from(character));
        } else {
            self.out.push(character);
        }
        self.atom = true;
    }

    fn at_start(&self) -> bool {
        self.out.is_empty()
            || self.out.ends_with('|')
            || self.out.ends_with("(?:")
            || (self.out.ends_with('(') && !self.out.ends_with("\\("))
    }

    fn at_end(&mut self) -> bool {
        let mut rest = self.rest.clone();
        match (rest.next(), rest.next()) {
            (None, _) => true,
            (Some('\\'), Some(next)) => matches!(next, '|' | ')' | 'n' | '&'),
            _ => false,
        }
    }

    fn operator(&mut self, operator: char) -> Translated {
        match operator {
            '(' => {
                self.count += 1;
                self.groups.push(self.count);
                self.open += 1;
                self.push("(", false);
            }
            ')' => {
                self.open = self.open.checked_sub(1).ok_or("E55: Unmatched \\)")?;
                self.push(")", true);
            }
            '|' => self.push("|", false),
            '<' => self.push("\\b{start}", false),
            '>' => self.push("\\b{end}", false),
            '%' => {
                if self.rest.next_if_eq(&'(').is_none() {
                    return Err("E71: Invalid character after \\%");
                }
                self.open += 1;
                self.push("(?:", false);
            }
            '+' if self.atom => self.push("+", true),
            '?' | '=' if self.atom => self.push("?", true),
            '{' if self.atom => self.interval()?,
            '+' | '?' | '=' | '{' => return Err("E64: \\+ follows nothing"),
            _ => return Err("E59: Look-around is not supported"),
        }
        Ok(())
    }

    fn interval(&mut self) -> Translated {
        let lazy = self.rest.next_if_eq(&'-').is_some();
        let mut inside = String::new();
        loop {
            match self.rest.next() {
                Some('}') => break,
                Some('\\') if self.rest.peek() == Some(&'}') => {}
                Some(sign) if sign.is_ascii_digit() || sign == ',' => inside.push(sign),
                _ => return Err("E554: Syntax error in \\{...}"),
            }
        }
        let text = match inside.split_once(',') {
            None if inside.is_empty() => "*".to_owned(),
            None => format!("{{{inside}}}"),
            Some(("", "")) => "*".to_owned(),
            Some(("", most)) => format!("{{0,{most}}}"),
            Some((least, most)) => format!("{{{least},{most}}}"),
        };
        self.push(&text, true);
        if lazy {
            self.push("?", true);
        }
        Ok(())
    }

    fn escaped(&mut self, letter: char) -> Translated {
        let class = match letter {
            's' => "[ \\t]",
            'S' => "[^ \\t\\n]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_\\n]",
            'd' => "[0-9]",
            'D' => "[^0-9\\n]",
            'a' => "[A-Za-z]",
            'A' => "[^A-Za-z\\n]",
            'l' => "[a-z]",
            'L' => "[^a-z\\n]",
            'u' => "[A-Z]",
            'U' => "[^A-Z\\n]",
            'x' => "[0-9A-Fa-f]",
            'X' => "[^0-9A-Fa-f\\n]",
            'o' => "[0-7]",
            'O' => "[^0-7\\n]",
            'h' => "[A-Za-z_]",
            'H' => "[^A-Za-z_\\n]",
            'k' | 'i' => "[\\w]",
            'n' => "\\n",
            't' => "\\t",
            'r' => "\\r",
            'e' => "\\x1b",
            'z' => return self.edge(),
            'v' | 'm' | 'M' | 'V' => {
                self.magic = match letter {
                    'v' => Magic::Very,
                    'm' => Magic::Normal,
                    'M' => Magic::Edges,
                    _ => Magic::Nothing,
                };
                return Ok(());
            }
            '_' if self.rest.next_if_eq(&'s').is_some() => "[ \\t\\n]",
            '_' if self.rest.next_if_eq(&'.').is_some() => "(?s:.)",
            '_' => return Err("E63: Invalid use of \\_"),
            'c' | 'C' => {
                self.case = Some(letter == 'c');
                return Ok(());
            }
            '1'..='9' => return Err("E65: Back-references are not supported"),
            other if other.is_ascii_alphanumeric() => return Err("E486: An escape is not supported"),
            other => {
                self.literal(other);
                return Ok(());
            }
        };
        self.push(class, true);
        Ok(())
    }

    /// `\zs` and `\ze`.
    fn edge(&mut self) -> Translated {
        self.count += 1;
        match self.rest.next() {
            Some('s') => self.start = Some(self.count),
            Some('e') => self.end = Some(self.count),
            _ => return Err("E68: Invalid character after \\z"),
        }
        self.push("()", false);
        Ok(())
    }

    fn bracket(&mut self) -> Translated {
        // Without its end, a bracket is a character.
        let ahead: String = self.rest.clone().collect();
        let skipped = ahead.strip_prefix('^').unwrap_or(&ahead);
        if !skipped.chars().skip(1).any(|sign| sign == ']') {
            self.literal('[');
            return Ok(());
        }
        let mut set = "[".to_owned();
        if self.rest.next_if_eq(&'^').is_some() {
            set.push_str("^\\n");
        }
        let mut first = true;
        while let Some(sign) = self.rest.next() {
            match sign {
                ']' if !first => break,
                '[' if self.rest.peek() == Some(&':') => {
                    let name: String = self.rest.by_ref().take_while(|sign| *sign != ']').collect();
                    let _ = write!(set, "[{name}]");
                }
                '-' if !first && self.rest.peek().is_some_and(|next| *next != ']') => set.push('-'),
                '\\' => match self.rest.peek() {
                    Some('t' | 'n' | 'r' | 'e' | '\\' | ']' | '^' | '-') => {
                        let escaped = match self.rest.next() {
                            Some('t') => '\t',
                            Some('n') => '\n',
                            Some('r') => '\r',
                            Some('e') => '\x1b',
                            other => other.unwrap_or('\\'),
                        };
                        let _ = write!(set, "\\x{{{:x}}}", u32::from(escaped));
                    }
                    _ => set.push_str("\\\\"),
                },
                other => {
                    let _ = write!(set, "\\x{{{:x}}}", u32::from(other));
                }
            }
            first = false;
        }
        set.push(']');
        self.push(&set, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_vim() {
        for (pattern, line, expected) in [
            ("*a", "x*a", Some((1, 3))),
            ("a*b", "xaab", Some((1, 4))),
            ("a\\+", "xaa+", Some((1, 3))),
            ("a+", "aa+", Some((1, 3))),
            ("a\\=b", "b", Some((0, 1))),
            ("a\\{2}", "aaa", Some((0, 2))),
            ("a\\{-1,}", "aaa", Some((0, 1))),
            ("\\<b", "ab b", Some((3, 4))),
            ("b\\>", "bc ab", Some((4, 5))),
            ("x^y$z", "x^y$z", Some((0, 5))),
            ("^$", "", Some((0, 0))),
            ("foo\\|^bar", "bar", Some((0, 3))),
            ("\\vfo+|bar", "xfoo", Some((1, 4))),
            ("\\(ab\\)\\+", "xabab", Some((1, 5))),
            ("a\\zsb\\zec", "abc", Some((1, 2))),
            ("[^a-c]", "abd", Some((2, 3))),
            ("[]x]", "a]", Some((1, 2))),
            ("[a", "[a", Some((0, 2))),
            ("\\cABC", "abc", Some((0, 3))),
            ("[[:digit:]]", "a1", Some((1, 2))),
            ("\\d\\d", "a12", Some((1, 3))),
            ("a.c", "a.c abc", Some((0, 3))),
            ("a\\.c", "abc a.c", Some((4, 7))),
            ("é.", "éü", Some((0, 4))),
            ("\\s\\+$", "a  ", Some((1, 3))),
            ("a|b", "a|b", Some((0, 3))),
            ("[a\\]b]", "]", Some((0, 1))),
            ("\\Va.c*\\.", "abc a.c*x", Some((4, 9))),
            ("\\Ma.c$", "abc a.c", Some((4, 7))),
            ("\\V$\\$", "$ $", Some((2, 3))),
            ("a\\_sb", "a\nb", Some((0, 3))),
            ("a\\_.b", "a\nb", Some((0, 3))),
        ] {
            let found = Pattern::new(pattern, false).expect("it is right").find_at(line, 0);
            assert_eq!(found, expected, "{pattern}");
        }
        assert_eq!(Pattern::new("A", true).expect("it is right").find_at("xa", 0), Some((1, 2)));
        for wrong in ["\\p", "a\\f", "\\_x", "\\2"] {
            assert!(Pattern::new(wrong, false).is_err(), "{wrong}");
        }
        assert_eq!(Pattern::new("\\(a", false).map(|_| ()), Err("E54: Unmatched \\(: \\(a".to_owned()));
    }
}

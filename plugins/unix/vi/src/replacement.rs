//! What `:s` puts in the place of a match.

use crate::pattern::{Groups, Pattern};

/// A part of a replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
    /// A new line.
    Break,
    Case(Case),
}

/// The case of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Only the next character.
    NextUpper,
    NextLower,
    Upper,
    Lower,
    End,
}

/// The flags behind a substitution.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Flags {
    pub(crate) all: bool,
    pub(crate) confirm: bool,
    pub(crate) quiet: bool,
    pub(crate) count_only: bool,
    pub(crate) case: Option<bool>,
    pub(crate) count: Option<usize>,
}

/// A replacement, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads a replacement. `~` stands for the one before.
    ///
    /// # Errors
    /// A message, for an expression or an unknown escape.
    pub(crate) fn new(text: &str, before: Option<&Self>) -> Result<Self, String> {
        if text.starts_with("\\=") {
            return Err(format!("E15: Expressions are not supported: {text}"));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(sign) = rest.next() {
            let part = match sign {
                '&' => Part::Group(0),
                '~' => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.extend(before.into_iter().flat_map(|before| before.parts.iter().cloned()));
                    continue;
                }
                '\r' => Part::Break,
                '\\' => match rest.next() {
                    Some(digit @ '0'..='9') => Part::Group(digit as usize - '0' as usize),
                    Some('r') => Part::Break,
                    Some('u') => Part::Case(Case::NextUpper),
                    Some('l') => Part::Case(Case::NextLower),
                    Some('U') => Part::Case(Case::Upper),
                    Some('L') => Part::Case(Case::Lower),
                    Some('e' | 'E') => Part::Case(Case::End),
                    Some(letter) if letter.is_ascii_alphabetic() && !matches!(letter, 'n' | 't') => {
                        return Err(format!("E486: Unknown escape \\{letter} in the replacement: {text}"));
                    }
                    other => {
                        plain.push(match other {
                            Some('n') => '\0',
                            Some('t') => '\t',
                            Some(other) => other,
                            None => '\\',
                        });
                        continue;
                    }
                },
                other => {
                    plain.push(other);
                    continue;
                }
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The text for a match. Lines are separated by newlines.
    pub(crate) fn expand(&self, line: &str, groups: &Groups) -> String {
        let mut out = String::new();
        let (mut once, mut lasting) = (None, None);
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => text.as_str(),
                Part::Group(number) => {
                    groups.get(*number).copied().flatten().map_or("", |(start, end)| &line[start..end])
                }
                Part::Break => "\n",
                Part::Case(case @ (Case::NextUpper | Case::NextLower)) => {
                    once = Some(*case);
                    continue;
                }
                Part::Case(Case::End) => {
                    (once, lasting) = (None, None);
                    continue;
                }
                Part::Case(case) => {
                    lasting = Some(*case);
                    continue;
                }
            };
            for sign in text.chars() {
                match once.take().or(lasting) {
                    Some(Case::NextUpper | Case::Upper) => out.extend(sign.to_uppercase()),
                    Some(Case::NextLower | Case::Lower) => out.extend(sign.to_lowercase()),
                    _ => out.push(sign),
                }
            }
        }
        out
    }
}

/// A substitution over some lines, which may ask before each.
#[derive(Debug)]
pub(crate) struct Substitution {
    pub(crate) pattern: Pattern,
    pub(crate) template: Template,
    /// All matches of a line: the flag `g`.
    pub(crate) all: bool,
    /// The line and column where it goes on, and the last line.
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) last: usize,
    /// How many matches were replaced, and in how many lines; the last of them.
    pub(crate) count: usize,
    pub(crate) lines: usize,
    pub(crate) place: Option<usize>,
    /// The match that is asked about.
    pub(crate) current: Option<Groups>,
}

impl Substitution {
    /// Replaces in one line: the new text, with newlines between lines, and how many matches there were.
    pub(crate) fn in_line(&self, line: &str) -> Option<(String, usize)> {
        let mut out = String::new();
        let (mut copied, mut from, mut count) = (0, 0, 0);
        while let Some(groups) = self.pattern.groups_at(line, from) {
            let Some((start, end)) = groups[0] else { break };
            // An empty match right behind another match is none.
            if count > 0 && start == end && start == copied {
                from = start + line[start..].chars().next().map_or(1, char::len_utf8);
                if from >= line.len() {
                    break;
                }
                continue;
            }
            out.push_str(&line[copied..start]);
            out.push_str(&self.template.expand(line, &groups));
            count += 1;
            copied = end;
            from = end;
            if !self.all || from >= line.len() {
                break;
            }
        }
        (count > 0).then(|| {
            out.push_str(&line[copied..]);
            (out, count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pattern: &str, template: &str, line: &str, all: bool) -> Option<(String, usize)> {
        let substitution = Substitution {
            pattern: Pattern::new(pattern, false).expect("it is right"),
            template: Template::new(template, None).expect("it is right"),
            all,
            line: 0,
            column: 0,
            last: 0,
            count: 0,
            lines: 0,
            place: None,
            current: None,
        };
        substitution.in_line(line)
    }

    #[test]
    fn replacements_are_those_of_vim() {
        for (pattern, template, line, all, expected) in [
            ("b", "x", "abcb", false, "axcb"),
            ("b", "x", "abcb", true, "axcx"),
            ("\\(.\\)\\(.\\)", "\\2\\1", "abcd", true, "badc"),
            ("b", "[&\\&]", "abc", false, "a[b&]c"),
            ("\\w\\+", "\\u&", "one two", true, "One Two"),
            ("\\w\\+", "\\U&\\e!", "one two", false, "ONE! two"),
            (",", "\\r", "a,b,c", true, "a\nb\nc"),
            ("x*", "-", "abc", true, "-a-b-c"),
            ("^", "> ", "abc", true, "> abc"),
            ("$", ";", "abc", true, "abc;"),
            ("b*", "-", "abbc", true, "-a-c"),
            ("a\\zsb", "x", "abab", true, "axax"),
        ] {
            assert_eq!(
                replaced(pattern, template, line, all).map(|(text, _)| text).as_deref(),
                Some(expected),
                "{pattern}"
            );
        }
        assert!(Template::new("\\=1", None).is_err_and(|message| message.starts_with("E15: ")));
        assert!(Template::new("a\\q", None).is_err_and(|message| message.contains("\\q")));
        assert_eq!(replaced("q", "x", "abc", true), None);
    }
}

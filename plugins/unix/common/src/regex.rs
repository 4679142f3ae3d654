//! POSIX regular expressions, basic and extended, with GNU's extensions: `\w \W \s \S \b \B \< \> \' \``, and in basic
//! ones `\+ \? \|`.
//!
//! `regex-automata` matches them. Of all matches at the leftmost place the longest counts (POSIX, XBD 9.1), which its
//! PikeVM finds when it is told to report all. Patterns with back-references have a backtracking matcher of ours, which
//! prefers the first alternative; so has the match of groups within the longest match. Texts are UTF-8; a byte that is
//! not is matched by no character.

mod backtrack;
mod options;
mod parse;
mod translate;

use std::cell::RefCell;
use std::fmt;

use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind, meta};

pub use options::{Error, Options, Stray};

/// Where a match and its groups begin and end, in bytes; the whole match is the first.
pub type Groups = Vec<Option<(usize, usize)>>;

/// A compiled pattern.
pub struct Regex {
    engine: Engine,
    groups: usize,
}

enum Engine {
    /// The engine for whether and where, and that for the longest match, which few patterns need.
    Automata {
        search: meta::Regex,
        longest: Option<Box<Longest>>,
    },
    Backtrack(backtrack::Program),
}

struct Longest {
    machine: PikeVM,
    cache: RefCell<thompson::pikevm::Cache>,
}

/// The most bytes that the states of one pattern may take.
const STATES: usize = 64 << 20;

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(pattern: &str, options: Options) -> Result<Self, Error> {
        Self::of_any(&[pattern], options)
    }

    /// Compiles several patterns to one that matches where any of them does.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn of_any(patterns: &[&str], options: Options) -> Result<Self, Error> {
        let parsed = parse::parse_all(patterns, options)?;
        if parsed.back_references {
            let program = backtrack::Program::new(&parsed, options)?;
            return Ok(Self { engine: Engine::Backtrack(program), groups: parsed.groups });
        }
        let text = translate::translate(&parsed, options);
        let syntax = syntax::Config::new().utf8(false);
        let states = thompson::Config::new().utf8(false).nfa_size_limit(Some(STATES));
        let too_big = Error("Regular expression too big");
        let config = meta::Config::new().utf8_empty(false).nfa_size_limit(Some(STATES));
        let search = meta::Builder::new().configure(config).syntax(syntax).build(&text).map_err(|_| too_big.clone())?;
        let longest = if parsed.ambiguous {
            let config = PikeVM::config().match_kind(MatchKind::All);
            let machine = PikeVM::builder().configure(config).syntax(syntax).thompson(states).build(&text);
            let machine = machine.map_err(|_| too_big)?;
            let cache = RefCell::new(machine.create_cache());
            Some(Box::new(Longest { machine, cache }))
        } else {
            None
        };
        Ok(Self { engine: Engine::Automata { search, longest }, groups: parsed.groups })
    }

    /// How many groups it has, without the whole match.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Whether it matches anywhere in a text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        match &self.engine {
            Engine::Automata { search, .. } => search.is_match(text),
            Engine::Backtrack(program) => program.find(text, 0).is_some(),
        }
    }

    /// Whether it matches anywhere from a place in a text on.
    pub fn is_match_at(&self, text: &[u8], at: usize) -> bool {
        match &self.engine {
            Engine::Automata { search, .. } => search.is_match(Input::new(text).range(at..)),
            Engine::Backtrack(program) => program.find(text, at).is_some(),
        }
    }

    /// Whether it has back-references, which no automaton matches.
    pub fn has_back_references(&self) -> bool {
        matches!(self.engine, Engine::Backtrack(_))
    }

    /// Where a match from a place on ends that is found first, for whoever only asks for lines that match.
    pub fn match_end_at(&self, text: &[u8], at: usize) -> Option<usize> {
        match &self.engine {
            Engine::Automata { search, .. } => {
                search.search_half(&Input::new(text).range(at..).earliest(true)).map(|found| found.offset())
            }
            Engine::Backtrack(_) => self.find_at(text, at).map(|(_, end)| end),
        }
    }

    /// The leftmost longest match from a place in a text on: where it begins and ends. What comes before the place
    /// counts for `^` and words.
    pub fn find_at(&self, text: &[u8], at: usize) -> Option<(usize, usize)> {
        match &self.engine {
            Engine::Automata { search, longest: None } => {
                search.find(Input::new(text).range(at..)).map(|found| (found.start(), found.end()))
            }
            Engine::Automata { search, longest: Some(longest) } => {
                let start = search.find(Input::new(text).range(at..))?.start();
                let mut slots = [None, None];
                longest.search(text, start, &mut slots);
                let end = slots[1].map_or(start, |end: regex_automata::util::primitives::NonMaxUsize| end.get());
                Some((start, end))
            }
            Engine::Backtrack(program) => program.find(text, at).and_then(|groups| groups.first().copied().flatten()),
        }
    }

    /// The same with the groups. One that takes part in no match is none.
    pub fn groups_at(&self, text: &[u8], at: usize) -> Option<Groups> {
        let mut slots = vec![None; (self.groups + 1) * 2];
        match &self.engine {
            Engine::Automata { search, longest } => {
                match longest {
                    Some(longest) => {
                        let start = search.find(Input::new(text).range(at..))?.start();
                        longest.search(text, start, &mut slots);
                    }
                    None => {
                        search.search_slots(&Input::new(text).range(at..), &mut slots)?;
                    }
                }
                let ends = slots.chunks(2).map(|ends| match ends {
                    [Some(start), Some(end)] => Some((start.get(), end.get())),
                    _ => None,
                });
                Some(ends.collect())
            }
            Engine::Backtrack(program) => program.find(text, at),
        }
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Regex").field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl Longest {
    fn search(&self, text: &[u8], start: usize, slots: &mut [Option<regex_automata::util::primitives::NonMaxUsize>]) {
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        self.machine.search_slots(&mut self.cache.borrow_mut(), &input, slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extended(pattern: &str) -> Regex {
        Regex::new(pattern, Options { extended: true, ..Options::default() }).expect("the pattern is right")
    }

    fn basic(pattern: &str) -> Regex {
        Regex::new(pattern, Options::default()).expect("the pattern is right")
    }

    #[test]
    fn the_longest_of_the_leftmost_matches_counts() {
        assert_eq!(extended("a|ab|abc").find_at(b"xabcd", 0), Some((1, 4)));
        assert_eq!(extended("(a?)(ab)?").find_at(b"ab", 0), Some((0, 2)));
        assert_eq!(
            extended("(a|ab)(c|bcd)").groups_at(b"abcd", 0),
            Some(vec![Some((0, 4)), Some((0, 1)), Some((1, 4))])
        );
    }

    #[test]
    fn basic_patterns_have_their_own_operators() {
        for (pattern, text, expected) in [
            ("*a", "x*a", Some((1, 3))),
            ("a\\{2,3\\}", "aaaa", Some((0, 3))),
            ("\\(ab\\)*c", "xababc", Some((1, 6))),
            ("a+", "aa+", Some((1, 3))),
            ("a\\+", "aa+", Some((0, 2))),
            ("x^y$z", "x^y$z", Some((0, 5))),
            ("^a$", "a", Some((0, 1))),
            ("a\\|b", "b", Some((0, 1))),
            ("[]a]*", "]a]b", Some((0, 3))),
            ("[[:digit:]]\\+", "a12", Some((1, 3))),
            ("\\<b", "ab b", Some((3, 4))),
            ("é.", "éü", Some((0, 4))),
        ] {
            assert_eq!(basic(pattern).find_at(text.as_bytes(), 0), expected, "{pattern}");
        }
    }

    #[test]
    fn back_references_match_what_their_group_did() {
        let groups = basic("\\(.\\)x\\1").groups_at(b"axbxb", 0);
        assert_eq!(groups, Some(vec![Some((2, 5)), Some((2, 3))]));
        assert_eq!(extended("^(.*)\\1$").find_at(b"abab", 0), Some((0, 4)));
        assert_eq!(extended("(a)(b)?\\1").find_at(b"aba", 0), Some((0, 3)));
        assert!(!basic("\\(a*\\)b\\1$").is_match(b"aabaaa"));
    }

    #[test]
    fn errors_have_the_words_of_glibc() {
        let message = |pattern: &str, extended| {
            Regex::new(pattern, Options { extended, ..Options::default() }).expect_err("the pattern is wrong").0
        };
        assert_eq!(message("[a", false), "Unmatched [, [^, [:, [., or [=");
        assert_eq!(message("\\(a", false), "Unmatched ( or \\(");
        assert_eq!(message("a)", true), "Unmatched ) or \\)");
        assert_eq!(message("a\\", true), "Trailing backslash");
        assert_eq!(message("\\1", true), "Invalid back reference");
        assert_eq!(message("[b-a]", true), "Invalid range end");
        assert_eq!(message("[[:foo:]]", true), "Invalid character class name");
        assert_eq!(message("a\\{1", false), "Unmatched \\{");
        assert_eq!(message("a\\{2,1\\}", false), "Invalid content of \\{\\}");
    }

    #[test]
    fn bytes_that_are_no_text_are_matched_by_no_character() {
        assert_eq!(basic("a.b").find_at(b"a\xffb", 0), None);
        assert_eq!(basic("b").find_at(b"a\xffb", 0), Some((2, 3)));
    }
}

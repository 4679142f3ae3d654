//! `[[ ]]`.

use crate::pattern::Pattern;
use crate::primaries::{TestError, compare_numbers};
use crate::state::{Run, Shell, Stop, Value};
use crate::syntax::{Test, Word};

/// Why an expression has no value.
enum Failed {
    /// It is at fault itself: the status of the command.
    Test(i32),
    /// An expansion ends what is executed.
    Stop(Stop),
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

type Held = Result<bool, Failed>;

impl Shell {
    pub(super) fn execute_test(&mut self, test: &Test) -> Run {
        match self.holds(test) {
            Ok(holds) => self.status = i32::from(!holds),
            Err(Failed::Test(status)) => self.status = status,
            Err(Failed::Stop(stop)) => return Err(stop),
        }
        Ok(())
    }

    fn holds(&mut self, test: &Test) -> Held {
        Ok(match test {
            Test::Group(inside) => self.holds(inside)?,
            Test::Not(inside) => !self.holds(inside)?,
            Test::And(left, right) => self.holds(left)? && self.holds(right)?,
            Test::Or(left, right) => self.holds(left)? || self.holds(right)?,
            Test::Word(word) => {
                let text = self.expand_single(word)?;
                self.trace(|| format!("[[ -n {text} ]]"));
                !text.is_empty()
            }
            Test::Unary(operator, word) => {
                let text = self.expand_single(word)?;
                self.trace(|| format!("[[ -{operator} {text} ]]"));
                self.test_unary(operator, &text).map_err(|TestError(message)| self.test_failed(&message, 2))?
            }
            Test::Binary(left, operator, right) => self.compare(left, operator, right)?,
        })
    }

    fn test_failed(&mut self, message: &str, status: i32) -> Failed {
        self.report(message);
        Failed::Test(status)
    }

    fn compare(&mut self, left: &Word, operator: &str, right: &Word) -> Held {
        let text = self.expand_single(left)?;
        match operator {
            "==" | "=" | "!=" => {
                let pattern = self.expand_pattern(right)?;
                self.trace(|| format!("[[ {text} {operator} {pattern} ]]"));
                let mut options = self.pattern_options();
                options.extglob = true;
                Ok(Pattern::new(&pattern, options).matches(&text) == (operator != "!="))
            }
            "=~" => {
                let pattern = self.expand_regex(right)?;
                self.match_regex(&text, &pattern)
            }
            _ => {
                let right = self.expand_single(right)?;
                self.trace(|| format!("[[ {text} {operator} {right} ]]"));
                if operator.starts_with('-') && operator.len() == 3 && !["-nt", "-ot", "-ef"].contains(&operator) {
                    let left = self.arithmetic(&text).map_err(|message| self.test_failed(&message, 1))?;
                    let right = self.arithmetic(&right).map_err(|message| self.test_failed(&message, 1))?;
                    return Ok(compare_numbers(operator, left, right));
                }
                Ok(self.test_binary(&text, operator, &right).unwrap_or(false))
            }
        }
    }

    /// `=~`: sets BASH_REMATCH. In the pattern a backslash is before what was quoted.
    fn match_regex(&mut self, text: &str, pattern: &str) -> Held {
        let mut translated = String::new();
        let mut chars = pattern.chars();
        while let Some(next) = chars.next() {
            match next {
                '\\' => match chars.next() {
                    // The crate knows no escapes of other characters.
                    Some(quoted) if quoted.is_ascii_punctuation() => {
                        translated.push('\\');
                        translated.push(quoted);
                    }
                    Some(quoted) => translated.push(quoted),
                    None => translated.push_str("\\\\"),
                },
                _ => translated.push(next),
            }
        }
        let translated = plain_brackets(&translated);
        let fold = self.is_on("nocasematch");
        let regex =
            regex_lite::RegexBuilder::new(&translated).case_insensitive(fold).dot_matches_new_line(true).build();
        let Ok(regex) = regex else {
            return Err(Failed::Test(2));
        };
        let found = regex.captures(text);
        let values = found.as_ref().map_or(Vec::new(), |captures| {
            captures.iter().map(|group| group.map_or(String::new(), |group| group.as_str().to_owned())).collect()
        });
        let matched = found.is_some();
        // The shell's own variable cannot be refused but where it was made read-only, and then bash says nothing.
        let _ = self.set_array("BASH_REMATCH", Value::Indexed((0..).zip(values).collect()));
        Ok(matched)
    }
}

/// Within brackets POSIX has no escapes, and the crate has: backslashes are doubled, and a `[` gets one.
fn plain_brackets(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut result = String::new();
    let mut at = 0;
    while at < chars.len() {
        let next = chars[at];
        at += 1;
        result.push(next);
        if next == '\\' {
            result.extend(chars.get(at));
            at += 1;
        }
        if next != '[' {
            continue;
        }
        if chars.get(at) == Some(&'^') {
            result.push('^');
            at += 1;
        }
        let first = at;
        while let Some(next) = chars.get(at).copied() {
            at += 1;
            match next {
                ']' if at - 1 > first => {
                    result.push(']');
                    break;
                }
                ']' => result.push_str("\\]"),
                '[' if chars.get(at) == Some(&':') => {
                    let rest: String = chars[at..].iter().collect();
                    let end = rest.find(":]").map_or(0, |end| end + 2);
                    result.push('[');
                    result.push_str(&rest[..end]);
                    at += rest[..end].chars().count();
                }
                '[' => result.push_str("\\["),
                '&' | '~' => {
                    result.push('\\');
                    result.push(next);
                }
                '\\' => {
                    result.push('\\');
                    result.push(chars.get(at).copied().unwrap_or('\\'));
                    at += 1;
                }
                _ => result.push(next),
            }
        }
    }
    result
}

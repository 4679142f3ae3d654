//! Arithmetic (XCU 2.6.4): C's integer expressions, with bash's `**`, `,` and `base#digits`. 64 bits, wrapping.

/// The variables of an expression.
pub(crate) trait Values {
    /// The text of a variable, or of an element; none if it is not set.
    fn get(&mut self, name: &str, subscript: Option<&str>) -> Result<Option<String>, String>;
    /// Sets one.
    fn set(&mut self, name: &str, subscript: Option<&str>, value: i64) -> Result<(), String>;
}

/// How deeply expressions may nest, in parentheses and through the values of variables.
const MAX_DEPTH: u32 = 100;

/// The value of an expression; 0 of an empty one.
///
/// # Errors
/// What is wrong with it, to be shown after the expression itself.
pub(crate) fn evaluate(text: &str, values: &mut dyn Values) -> Result<i64, String> {
    at_depth(text, values, 0)
}

fn at_depth(text: &str, values: &mut dyn Values, depth: u32) -> Result<i64, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(0);
    }
    if trimmed.bytes().all(|byte| byte.is_ascii_digit())
        && !trimmed.starts_with('0')
        && let Ok(number) = trimmed.parse()
    {
        return Ok(number);
    }
    let mut expression = Expression { text, at: 0, values, depth, skipped: 0 };
    let value = expression.comma().map_err(|message| format!("{}: {message}", text.trim_start()))?;
    expression.blanks();
    if expression.at < text.len() {
        let rest = &text[expression.at..];
        return Err(format!("{}: syntax error in expression (error token is \"{rest}\")", text.trim_start()));
    }
    Ok(value)
}

struct Expression<'a> {
    text: &'a str,
    at: usize,
    values: &'a mut dyn Values,
    depth: u32,
    /// Above 0 in the parts that `&&`, `||` and `?:` leave out.
    skipped: u32,
}

/// What can be assigned to, or a value.
enum Operand {
    Value(i64),
    Variable(String, Option<String>),
}

/// Binary operators with their precedence.
const BINARY: &[(&str, u8)] = &[
    ("||", 1),
    ("&&", 2),
    ("|", 3),
    ("^", 4),
    ("&", 5),
    ("==", 6),
    ("!=", 6),
    ("<=", 7),
    (">=", 7),
    ("<<", 8),
    (">>", 8),
    ("<", 7),
    (">", 7),
    ("+", 9),
    ("-", 9),
    ("**", 11),
    ("*", 10),
    ("/", 10),
    ("%", 10),
];

const ASSIGNMENTS: &[&str] = &["=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|="];

impl Expression<'_> {
    fn blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&mut self) -> &str {
        self.blanks();
        &self.text[self.at..]
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn token_error(&mut self, message: &str) -> String {
        let rest = self.rest().to_owned();
        format!("{message} (error token is \"{rest}\")")
    }

    fn comma(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("expression recursion level exceeded".to_owned());
        }
        let mut value = self.assignment()?;
        while self.take(",") {
            value = self.assignment()?;
        }
        self.depth -= 1;
        Ok(value)
    }

    fn assignment(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("expression recursion level exceeded".to_owned());
        }
        let start = self.at;
        self.blanks();
        let first = self.text[self.at..].chars().next();
        if first.is_some_and(|first| first.is_ascii_alphabetic() || first == '_') {
            let (name, subscript) = self.variable()?;
            let rest = self.rest();
            let operator = ASSIGNMENTS.iter().find(|operator| rest.starts_with(**operator)).copied();
            if let Some(operator) = operator.filter(|_| !rest.starts_with("==")) {
                self.at += operator.len();
                let value = match operator.strip_suffix('=') {
                    Some("") | None => self.assignment()?,
                    Some(binary) => {
                        // The value of before, whatever the right side changes.
                        let left = self.value_of(&name, subscript.as_deref())?;
                        let right = self.assignment()?;
                        self.apply(binary, left, right)?
                    }
                };
                self.assign(&name, subscript.as_deref(), value)?;
                self.depth -= 1;
                return Ok(value);
            }
            self.at = start;
        }
        let value = self.conditional()?;
        let rest = self.rest();
        if ASSIGNMENTS.iter().any(|operator| rest.starts_with(operator)) && !rest.starts_with("==") {
            return Err(self.token_error("attempted assignment to non-variable"));
        }
        self.depth -= 1;
        Ok(value)
    }

    fn conditional(&mut self) -> Result<i64, String> {
        let condition = self.binary(1)?;
        if !self.take("?") {
            return Ok(condition);
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("expression recursion level exceeded".to_owned());
        }
        let chosen = condition != 0;
        self.skipped += u32::from(!chosen);
        let first = self.comma()?;
        self.skipped -= u32::from(!chosen);
        if !self.take(":") {
            return Err(self.token_error("`:' expected for conditional expression"));
        }
        self.skipped += u32::from(chosen);
        // As in C an assignment has no place there.
        let second = self.conditional()?;
        self.skipped -= u32::from(chosen);
        self.depth -= 1;
        Ok(if chosen { first } else { second })
    }

    fn binary(&mut self, least: u8) -> Result<i64, String> {
        let mut left = self.unary()?;
        loop {
            let rest = self.rest();
            let found = BINARY
                .iter()
                .filter(|(operator, _)| rest.starts_with(operator))
                .max_by_key(|(operator, _)| operator.len());
            let Some((operator, precedence)) = found.copied().filter(|(_, precedence)| *precedence >= least) else {
                return Ok(left);
            };
            // `a |= b` is an assignment, and has no place here.
            let after = &rest[operator.len()..];
            if after.starts_with('=')
                && !after.starts_with("==")
                && !["==", "!=", "<=", ">=", "||", "&&"].contains(&operator)
            {
                return Ok(left);
            }
            self.at += operator.len();
            let decided = operator == "&&" && left == 0 || operator == "||" && left != 0;
            self.skipped += u32::from(decided);
            // `**` is the only one that is read from the right.
            let right = self.binary(if operator == "**" { precedence } else { precedence + 1 })?;
            self.skipped -= u32::from(decided);
            left = self.apply(operator, left, right)?;
        }
    }

    fn apply(&mut self, operator: &str, left: i64, right: i64) -> Result<i64, String> {
        Ok(match operator {
            "||" => i64::from(left != 0 || right != 0),
            "&&" => i64::from(left != 0 && right != 0),
            "|" => left | right,
            "^" => left ^ right,
            "&" => left & right,
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "<<" => left.wrapping_shl((right & 63) as u32),
            ">>" => left.wrapping_shr((right & 63) as u32),
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "*" => left.wrapping_mul(right),
            "/" | "%" if right == 0 => {
                if self.skipped > 0 {
                    return Ok(0);
                }
                return Err("division by 0 (error token is \"0\")".to_owned());
            }
            "/" => left.wrapping_div(right),
            "%" => left.wrapping_rem(right),
            _ => {
                if right < 0 {
                    return Err(format!("exponent less than 0 (error token is \"{}\")", right.unsigned_abs()));
                }
                power(left, right)
            }
        })
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("expression recursion level exceeded".to_owned());
        }
        let rest = self.rest();
        let value = if rest.starts_with("++") || rest.starts_with("--") {
            let by = if rest.starts_with("++") { 1 } else { -1 };
            let after = rest[2..].trim_start();
            if after.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
                self.at += 2;
                let (name, subscript) = self.variable()?;
                let value = self.value_of(&name, subscript.as_deref())?.wrapping_add(by);
                self.assign(&name, subscript.as_deref(), value)?;
                value
            } else {
                // `--1` is two signs.
                self.at += 1;
                let value = self.unary()?;
                if by < 0 { value.wrapping_neg() } else { value }
            }
        } else if !rest.starts_with("!=") && self.take("!") {
            i64::from(self.unary()? == 0)
        } else if self.take("~") {
            !self.unary()?
        } else if self.take("-") {
            self.unary()?.wrapping_neg()
        } else if self.take("+") {
            self.unary()?
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn primary(&mut self) -> Result<i64, String> {
        if self.take("(") {
            let value = self.comma()?;
            return if self.take(")") { Ok(value) } else { Err(self.token_error("missing `)'")) };
        }
        match self.operand()? {
            Operand::Value(value) => Ok(value),
            Operand::Variable(name, subscript) => {
                let value = self.value_of(&name, subscript.as_deref())?;
                let rest = self.rest();
                let by = match rest.get(..2) {
                    Some("++") => 1,
                    Some("--") => -1,
                    _ => return Ok(value),
                };
                self.at += 2;
                self.assign(&name, subscript.as_deref(), value.wrapping_add(by))?;
                Ok(value)
            }
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let rest = self.rest();
        match rest.chars().next() {
            Some(first) if first.is_ascii_digit() => self.number().map(Operand::Value),
            Some(first) if first.is_ascii_alphabetic() || first == '_' => {
                self.variable().map(|(name, subscript)| Operand::Variable(name, subscript))
            }
            _ => Err(self.token_error("syntax error: operand expected")),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|next: char| !(next.is_ascii_alphanumeric() || "#@_".contains(next))).unwrap_or(rest.len());
        let token = &rest[..end];
        let value = if let Some((base, digits)) = token.split_once('#') {
            let base = base.parse::<u32>().ok().filter(|base| (2..=64).contains(base));
            let Some(base) = base else {
                return Err(format!("invalid arithmetic base (error token is \"{token}\")"));
            };
            digits_value(digits, base)
        } else if let Some(digits) = token.strip_prefix("0x").or(token.strip_prefix("0X")) {
            digits_value(digits, 16)
        } else if token.len() > 1 && token.starts_with('0') {
            digits_value(token, 8)
        } else {
            digits_value(token, 10)
        };
        let Some(value) = value else {
            return Err(format!("value too great for base (error token is \"{token}\")"));
        };
        self.at += end;
        Ok(value)
    }

    fn variable(&mut self) -> Result<(String, Option<String>), String> {
        let rest = self.rest();
        let end = rest.find(|next: char| !(next.is_ascii_alphanumeric() || next == '_')).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        self.at += end;
        if !self.text[self.at..].starts_with('[') {
            return Ok((name, None));
        }
        let mut open = 0;
        for (at, next) in self.text[self.at..].char_indices() {
            match next {
                '[' => open += 1,
                ']' => open -= 1,
                _ => {}
            }
            if open == 0 {
                let subscript = self.text[self.at + 1..self.at + at].to_owned();
                self.at += at + 1;
                return Ok((name, Some(subscript)));
            }
        }
        Err(self.token_error("bad array subscript"))
    }

    fn value_of(&mut self, name: &str, subscript: Option<&str>) -> Result<i64, String> {
        if self.skipped > 0 {
            return Ok(0);
        }
        let Some(text) = self.values.get(name, subscript)? else { return Ok(0) };
        at_depth(&text, self.values, self.depth + 1)
    }

    fn assign(&mut self, name: &str, subscript: Option<&str>, value: i64) -> Result<(), String> {
        if self.skipped > 0 { Ok(()) } else { self.values.set(name, subscript, value) }
    }
}

/// Digits in a base up to 64: `0-9a-zA-Z@_`; up to 36 case does not matter. Too large values wrap.
fn digits_value(digits: &str, base: u32) -> Option<i64> {
    let mut value: i64 = 0;
    for digit in digits.chars() {
        let number = match digit {
            '0'..='9' => u32::from(digit) - u32::from('0'),
            'a'..='z' => u32::from(digit) - u32::from('a') + 10,
            'A'..='Z' if base <= 36 => u32::from(digit) - u32::from('A') + 10,
            'A'..='Z' => u32::from(digit) - u32::from('A') + 36,
            '@' => 62,
            '_' => 63,
            _ => return None,
        };
        if number >= base {
            return None;
        }
        value = value.wrapping_mul(i64::from(base)).wrapping_add(i64::from(number));
    }
    Some(value)
}

fn power(mut base: i64, mut exponent: i64) -> i64 {
    let mut result: i64 = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    impl Values for HashMap<String, String> {
        fn get(&mut self, name: &str, _: Option<&str>) -> Result<Option<String>, String> {
            Ok(HashMap::get(self, name).cloned())
        }

        fn set(&mut self, name: &str, _: Option<&str>, value: i64) -> Result<(), String> {
            self.insert(name.to_owned(), value.to_string());
            Ok(())
        }
    }

    #[test]
    fn expressions() {
        let mut values = HashMap::from([("x".to_owned(), "3".to_owned()), ("y".to_owned(), "x + 1".to_owned())]);
        for (text, expected) in [
            ("1 + 2 * 3", 7),
            ("(1 + 2) * 3", 9),
            ("2 ** 3 ** 2", 512),
            ("-2 ** 2", 4),
            ("7 / 2, 7 % 4", 3),
            ("x++ + x", 7),
            ("--x", 3),
            ("y * 2", 8),
            ("x = 5, x *= 2", 10),
            ("0x1f + 010 + 2#101", 44),
            ("1 ? 2 : 3", 2),
            ("0 && (x = 99)", 0),
            ("x", 10),
            ("1 << 3 | 1", 9),
            ("!0 + ~0", 0),
            ("5 > 3 == 1", 1),
            ("1 || 1 / 0", 1),
            ("36#z", 35),
            ("64#_", 63),
            ("- -1", 1),
            ("+-+1", -1),
            ("x^3", 9),
            ("-9223372036854775808 / -1", i64::MIN),
            ("x == 10 ? x = 1 : 0", 1),
            ("0 ? 1 : 0 ? 2 : 3", 3),
        ] {
            assert_eq!(evaluate(text, &mut values), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let mut values = HashMap::from([("loop".to_owned(), "loop".to_owned())]);
        for (text, expected) in [
            ("1 / 0", "division by 0"),
            ("1 +", "operand expected"),
            ("08", "value too great"),
            ("1 = 2", "non-variable"),
            ("1 ? 2 : x = 3", "non-variable"),
            ("loop", "recursion"),
            ("1 2", "syntax error in expression"),
            ("(1", "missing"),
        ] {
            let error = evaluate(text, &mut values).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(evaluate(&format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000)), &mut values).is_err());
    }
}

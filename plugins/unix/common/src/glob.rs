//! File name patterns: fnmatch(3).

/// How a pattern matches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// `A` is `a`. FNM_CASEFOLD
    pub ignore_case: bool,
    /// A slash is matched by a slash alone. FNM_PATHNAME
    pub slash_alone: bool,
}

/// Whether a name matches a pattern as a whole: `*`, `?`, `[a-z]`, `[!a]`, `[[:alpha:]]`, and `\` before a character.
pub fn matches(pattern: &str, name: &str, rules: Rules) -> bool {
    let fold = |text: &str| -> Vec<char> {
        if rules.ignore_case { text.chars().flat_map(char::to_lowercase).collect() } else { text.chars().collect() }
    };
    matches_from(&fold(pattern), &fold(name), rules)
}

fn matches_from(pattern: &[char], name: &[char], rules: Rules) -> bool {
    // The last star, and where what it takes ends: a match is looked for from there if what follows does not fit.
    let (mut at, mut of, mut star) = (0, 0, None);
    loop {
        let fits = match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
                continue;
            }
            None if of == name.len() => return true,
            None => None,
            Some(_) => name.get(of).and_then(|character| element(&pattern[at..], *character, rules)),
        };
        match (fits, star) {
            (Some(length), _) => (at, of) = (at + length, of + 1),
            (None, Some((place, taken))) => {
                let passable = name.get(taken).is_some_and(|character| !(rules.slash_alone && *character == '/'));
                if !passable {
                    return false;
                }
                star = Some((place, taken + 1));
                (at, of) = (place + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
}

/// How many characters of the pattern match the character, if they do.
fn element(pattern: &[char], character: char, rules: Rules) -> Option<usize> {
    let slash = rules.slash_alone && character == '/';
    match pattern {
        ['?', ..] if !slash => Some(1),
        ['[', ..] if !slash => match bracket(pattern, character) {
            Some((length, true)) => Some(length),
            Some((_, false)) => None,
            // Without its end a bracket is a character.
            None => (character == '[').then_some(1),
        },
        ['\\', escaped, ..] => (*escaped == character).then_some(2),
        [literal, ..] if !matches!(literal, '?' | '[') => (*literal == character).then_some(1),
        _ => None,
    }
}

/// The length of a bracket expression, and whether it has the character.
fn bracket(pattern: &[char], character: char) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    let (mut at, mut found) = (first, false);
    loop {
        let rest = pattern.get(at..)?;
        match rest {
            [']', ..] if at > first => return Some((at + 1, found != negated)),
            ['[', ':', name @ ..] if name.windows(2).any(|pair| pair == [':', ']']) => {
                let length = name.windows(2).position(|pair| pair == [':', ']'])?;
                found |= in_class(&name.get(..length)?.iter().collect::<String>(), character);
                at += length + 4;
            }
            [low, '-', high, ..] if *high != ']' => {
                found |= (*low..=*high).contains(&character);
                at += 3;
            }
            ['\\', escaped, ..] => {
                found |= *escaped == character;
                at += 2;
            }
            [one, ..] => {
                found |= *one == character;
                at += 1;
            }
            [] => return None,
        }
    }
}

/// Whether a character is in a class of POSIX, by its name. No character is in one that does not exist.
pub fn in_class(name: &str, character: char) -> bool {
    match name {
        "alpha" => character.is_alphabetic(),
        "digit" => character.is_ascii_digit(),
        "alnum" => character.is_alphanumeric(),
        "upper" => character.is_uppercase(),
        "lower" => character.is_lowercase(),
        "space" => character.is_whitespace(),
        "blank" => matches!(character, ' ' | '\t'),
        "punct" => {
            let visible = !character.is_alphanumeric() && !character.is_whitespace() && !character.is_control();
            if character.is_ascii() { character.is_ascii_punctuation() } else { visible }
        }
        "print" => !character.is_control(),
        "graph" => !character.is_control() && !character.is_whitespace(),
        "cntrl" => character.is_control(),
        "xdigit" => character.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_fnmatch() {
        let yes = |pattern: &str, name: &str| assert!(matches(pattern, name, Rules::default()), "{pattern} {name}");
        let no = |pattern: &str, name: &str| assert!(!matches(pattern, name, Rules::default()), "{pattern} {name}");
        for (pattern, name) in [("*.rs", "a.rs"), ("a*b*c", "aXbYbZc"), ("?", "ä"), ("[a-c]x", "bx"), ("[!a]", "b")] {
            yes(pattern, name);
        }
        for (pattern, name) in
            [("[]a]", "]"), ("[[:digit:]]*", "1a"), ("\\*", "*"), ("[", "["), ("*", ""), ("*", "a/b")]
        {
            yes(pattern, name);
        }
        for (pattern, name) in [("*.rs", "a.r"), ("?", ""), ("[!a]", "a"), ("a", "A"), ("", "a"), ("a*b", "ac")] {
            no(pattern, name);
        }
        assert!(matches("a*", "ABC", Rules { ignore_case: true, ..Rules::default() }));
        assert!(!matches("a*", "a/b", Rules { slash_alone: true, ..Rules::default() }));
    }
}

//! A pattern in the syntax of `regex-syntax`.

use super::options::Options;
use super::parse::{Class, Item, Node, Parsed, Place};

pub(super) fn translate(parsed: &Parsed, options: Options) -> String {
    let mut text = String::from(if options.ignore_case { "(?i)" } else { "" });
    let (before, after) = match (options.whole_lines, options.whole_words) {
        (true, _) => ("(?m:^)", "(?m:$)"),
        (false, true) => (r"\b{start-half}", r"\b{end-half}"),
        (false, false) => ("", ""),
    };
    text.push_str(before);
    text.push_str("(?:");
    node(&parsed.node, options, &mut text);
    text.push(')');
    text.push_str(after);
    text
}

fn node(of: &Node, options: Options, text: &mut String) {
    match of {
        Node::Empty => text.push_str("(?:)"),
        Node::Literal(character) => literal(*character, text),
        Node::Any => text.push_str(if options.single_lines { r"[^\n]" } else { "(?s:.)" }),
        Node::Class(of) => class(of, options, text),
        Node::Place(place) => text.push_str(match place {
            Place::LineStart if options.multi_line => "(?m:^)",
            Place::LineEnd if options.multi_line => "(?m:$)",
            Place::LineStart | Place::TextStart => r"\A",
            Place::LineEnd | Place::TextEnd => r"\z",
            Place::WordStart => r"\b{start}",
            Place::WordEnd => r"\b{end}",
            Place::WordEdge => r"\b",
            Place::WithinWord => r"\B",
        }),
        Node::Group(inside, _) => {
            text.push('(');
            node(inside, options, text);
            text.push(')');
        }
        // Patterns with back-references are matched otherwise.
        Node::Back(_) => {}
        Node::Repeat(inside, least, most) => {
            text.push_str("(?:");
            node(inside, options, text);
            text.push(')');
            text.push_str(&match (least, most) {
                (0, None) => "*".to_owned(),
                (1, None) => "+".to_owned(),
                (0, Some(1)) => "?".to_owned(),
                (least, None) => format!("{{{least},}}"),
                (least, Some(most)) => format!("{{{least},{most}}}"),
            });
        }
        Node::Sequence(nodes) => nodes.iter().for_each(|part| node(part, options, text)),
        Node::Either(nodes) => {
            text.push_str("(?:");
            for (index, alternative) in nodes.iter().enumerate() {
                if index > 0 {
                    text.push('|');
                }
                node(alternative, options, text);
            }
            text.push(')');
        }
    }
}

fn literal(character: char, text: &mut String) {
    if character.is_ascii_punctuation() && character != '<' && character != '>' {
        text.push('\\');
        text.push(character);
    } else if character.is_control() {
        text.push_str(&format!("\\x{{{:x}}}", u32::from(character)));
    } else {
        text.push(character);
    }
}

fn class(of: &Class, options: Options, text: &mut String) {
    // A line has no newline that a set could match.
    let (outer, end) = if options.single_lines && !of.negated { ("[[", r"]--\n]") } else { ("[", "]") };
    text.push_str(outer);
    if of.negated {
        text.push('^');
        if options.single_lines {
            text.push_str(r"\n");
        }
    }
    for item in &of.items {
        match item {
            Item::Range(low, high) => {
                literal(*low, text);
                if low != high {
                    text.push('-');
                    literal(*high, text);
                }
            }
            Item::Named(name) => text.push_str(match *name {
                "word" => r"\w",
                "alpha" => r"[\p{L}\p{Nl}\p{M}]",
                "alnum" => r"[\p{L}\p{Nl}\p{M}\p{Nd}]",
                "digit" => "0-9",
                "upper" => r"\p{Lu}",
                "lower" => r"\p{Ll}",
                "space" => r"\s",
                "blank" => r"[ \t\p{Zs}]",
                "punct" => r"[!-/:-@\[-`{-~\p{P}\p{S}]",
                "print" => r"[^\p{Cc}\p{Cn}\p{Cs}]",
                "graph" => r"[^\p{Cc}\p{Cn}\p{Cs}\s]",
                "cntrl" => r"\p{Cc}",
                _ => "0-9A-Fa-f",
            }),
        }
    }
    text.push_str(end);
}

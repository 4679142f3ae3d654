//! Keys as characters, which commands and registers consist of.

use unix_common::tty::Key;

/// Keys without a character, as characters of a private plane.
const SPECIAL: [(Key, char); 9] = [
    (Key::Up, '\u{f700}'),
    (Key::Down, '\u{f701}'),
    (Key::Left, '\u{f702}'),
    (Key::Right, '\u{f703}'),
    (Key::Delete, '\u{f704}'),
    (Key::Home, '\u{f705}'),
    (Key::End, '\u{f706}'),
    (Key::PageUp, '\u{f707}'),
    (Key::PageDown, '\u{f708}'),
];

/// The character of a key, as a register keeps it.
pub(crate) fn to_char(key: Key) -> Option<char> {
    Some(match key {
        Key::Character(character) => character,
        Key::Enter => '\r',
        Key::Escape => '\x1b',
        Key::Backspace => '\x08',
        other => SPECIAL.iter().find(|(key, _)| *key == other)?.1,
    })
}

pub(crate) fn from_char(character: char) -> Key {
    match character {
        '\r' | '\n' => Key::Enter,
        '\x1b' => Key::Escape,
        '\x08' | '\x7f' => Key::Backspace,
        other => SPECIAL.iter().find(|(_, special)| *special == other).map_or(Key::Character(other), |(key, _)| *key),
    }
}

/// The command that a key is in the normal mode.
pub(crate) fn command(key: Key) -> Option<char> {
    Some(match key {
        Key::Up => 'k',
        Key::Down => 'j',
        Key::Left => 'h',
        Key::Right => 'l',
        Key::Delete => 'x',
        Key::Home => '0',
        Key::End => '$',
        Key::PageUp => '\x02',
        Key::PageDown => '\x06',
        other => to_char(other)?,
    })
}

//! The keys of Emacs, as readline binds them.

use super::command::{Act, Motion};
use super::key::{Code, Key};

/// A key of several, and the numeric argument before a command.
#[derive(Debug, Default)]
pub(in crate::editor) struct Emacs {
    /// Control-X came before.
    prefix: bool,
    digits: Option<u32>,
    negative: bool,
}

/// The largest numeric argument. What a command does with it is bounded by the limits of the text, too.
pub(super) const LARGEST_ARGUMENT: u32 = 1_000_000;

impl Emacs {
    /// The command of a key.
    pub(in crate::editor) fn act(&mut self, key: Key) -> Act {
        if std::mem::take(&mut self.prefix) {
            return prefixed(key);
        }
        if key == Key::control('x') {
            self.prefix = true;
            return Act::Pending;
        }
        if let (Code::Char(sign), true, false) = (key.code, key.meta, key.control)
            && self.argument_part(sign)
        {
            return Act::Pending;
        }
        // After Meta and a digit, digits need no Meta.
        if let (Some(digit), Some(_)) = (key.text().filter(char::is_ascii_digit), self.digits)
            && self.argument_part(digit)
        {
            return Act::Pending;
        }
        bound(key)
    }

    /// Takes the numeric argument for the command that [`act`](Self::act) returned.
    pub(in crate::editor) fn argument(&mut self) -> Option<i32> {
        let negative = std::mem::take(&mut self.negative);
        let digits = self.digits.take().or(negative.then_some(1))?;
        let number = i32::try_from(digits).unwrap_or(i32::MAX);
        Some(if negative { -number } else { number })
    }

    /// The argument so far, for whoever types it.
    pub(in crate::editor) fn shown(&self) -> Option<String> {
        let sign = if self.negative { "-" } else { "" };
        match self.digits {
            None if !self.negative => None,
            None => Some(format!("(arg: {sign}1) ")),
            Some(digits) => Some(format!("(arg: {sign}{digits}) ")),
        }
    }

    pub(in crate::editor) fn reset(&mut self) {
        *self = Self::default();
    }

    fn argument_part(&mut self, sign: char) -> bool {
        match sign.to_digit(10) {
            Some(digit) => {
                let digits = self.digits.unwrap_or(0);
                self.digits = Some(digits.saturating_mul(10).saturating_add(digit).min(LARGEST_ARGUMENT));
                true
            }
            None if sign == '-' && self.digits.is_none() => {
                self.negative = !self.negative;
                true
            }
            None => false,
        }
    }
}

fn bound(key: Key) -> Act {
    match (key.control, key.meta) {
        (false, false) => plain(key),
        (true, false) => with_control(key.code),
        (false, true) => with_meta(key.code),
        (true, true) => with_both(key.code),
    }
}

fn plain(key: Key) -> Act {
    match key.code {
        Code::Char(character) => Act::SelfInsert(character),
        Code::Enter => Act::Accept,
        Code::Tab if key.shift => Act::ListCompletions,
        Code::Tab => Act::Complete,
        Code::Backspace => Act::Delete(Motion::BackwardChar),
        Code::Delete => Act::Delete(Motion::ForwardChar),
        Code::Up => Act::Up,
        Code::Down => Act::Down,
        Code::Left => Act::Move(Motion::BackwardChar),
        Code::Right => Act::Move(Motion::ForwardChar),
        Code::Home => Act::Move(Motion::LineStart),
        Code::End => Act::Move(Motion::LineEnd),
        Code::Insert => Act::Overwrite,
        Code::PageUp => Act::PrefixBackward,
        Code::PageDown => Act::PrefixForward,
        Code::Escape | Code::Function => Act::Unbound,
    }
}

fn with_control(code: Code) -> Act {
    let letter = match code {
        Code::Char(letter) => letter,
        Code::Left => return Act::Move(Motion::BackwardWord),
        Code::Right => return Act::Move(Motion::ForwardWord),
        Code::Up => return Act::Previous,
        Code::Down => return Act::Next,
        Code::Home => return Act::Move(Motion::TextStart),
        Code::End => return Act::Move(Motion::TextEnd),
        Code::Delete => return Act::Kill(Motion::ForwardWord),
        Code::Backspace => return Act::Kill(Motion::BackwardWord),
        Code::Enter => return Act::Accept,
        _ => return Act::Unbound,
    };
    match letter {
        '@' | ' ' => Act::SetMark,
        'a' => Act::Move(Motion::LineStart),
        'b' => Act::Move(Motion::BackwardChar),
        'c' => Act::Interrupt,
        'd' => Act::DeleteOrEnd,
        'e' => Act::Move(Motion::LineEnd),
        'f' => Act::Move(Motion::ForwardChar),
        'g' => Act::Abort,
        'h' => Act::Delete(Motion::BackwardChar),
        'i' => Act::Complete,
        'j' | 'm' => Act::Accept,
        'k' => Act::Kill(Motion::LineEnd),
        'l' => Act::ClearScreen,
        'n' => Act::Next,
        'o' => Act::AcceptAndNext,
        'p' => Act::Previous,
        'q' | 'v' => Act::QuotedInsert,
        'r' => Act::SearchBackward,
        's' => Act::SearchForward,
        't' => Act::Transpose,
        'u' => Act::Kill(Motion::LineStart),
        'w' => Act::Kill(Motion::BackwardBlankWord),
        'y' => Act::Yank,
        'z' => Act::Suspend,
        ']' => Act::FindForward,
        '_' | '/' => Act::Undo,
        _ => Act::Unbound,
    }
}

fn with_meta(code: Code) -> Act {
    let letter = match code {
        Code::Char(letter) => letter,
        Code::Backspace => return Act::Kill(Motion::BackwardWord),
        Code::Delete => return Act::Kill(Motion::ForwardWord),
        Code::Enter => return Act::InsertNewline,
        Code::Left => return Act::Move(Motion::BackwardWord),
        Code::Right => return Act::Move(Motion::ForwardWord),
        Code::Up => return Act::PrefixBackward,
        Code::Down => return Act::PrefixForward,
        _ => return Act::Unbound,
    };
    match letter.to_ascii_lowercase() {
        'b' => Act::Move(Motion::BackwardWord),
        'c' => Act::Capitalize,
        'd' => Act::Kill(Motion::ForwardWord),
        'f' => Act::Move(Motion::ForwardWord),
        'l' => Act::Downcase,
        'n' => Act::PrefixForward,
        'p' => Act::PrefixBackward,
        'r' => Act::Revert,
        't' => Act::TransposeWords,
        'u' => Act::Upcase,
        'y' => Act::YankPop,
        '.' | '_' => Act::YankLastArgument,
        '<' => Act::First,
        '>' => Act::Last,
        '?' | '=' => Act::ListCompletions,
        '*' => Act::InsertCompletions,
        '\\' => Act::KillBlanks,
        '#' => Act::Comment,
        ' ' => Act::SetMark,
        _ => Act::Unbound,
    }
}

fn with_both(code: Code) -> Act {
    match code {
        Code::Char('h') | Code::Backspace => Act::Kill(Motion::BackwardWord),
        Code::Char('j' | 'm') | Code::Enter => Act::InsertNewline,
        Code::Char('y') => Act::YankNthArgument,
        Code::Char(']') => Act::FindBackward,
        Code::Char('r') => Act::Revert,
        Code::Char('_') => Act::Redo,
        _ => Act::Unbound,
    }
}

/// The second key after Control-X.
fn prefixed(key: Key) -> Act {
    match (key.code, key.control) {
        (Code::Char('u'), true) => Act::Undo,
        (Code::Char('x'), true) => Act::ExchangeMark,
        (Code::Char('e'), true) => Act::EditElsewhere,
        (Code::Char('r'), true) => Act::Revert,
        (Code::Char('g'), true) => Act::Abort,
        (Code::Char('c'), true) => Act::Interrupt,
        (Code::Backspace, _) => Act::Kill(Motion::LineStart),
        _ => Act::Unbound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(sign: char) -> Key {
        Key { meta: true, ..Key::plain(Code::Char(sign)) }
    }

    #[test]
    fn digits_with_meta_are_an_argument() {
        let mut keys = Emacs::default();
        assert_eq!(keys.act(meta('-')), Act::Pending);
        assert_eq!(keys.shown().as_deref(), Some("(arg: -1) "));
        assert_eq!(keys.act(meta('1')), Act::Pending);
        assert_eq!(keys.act(Key::plain(Code::Char('2'))), Act::Pending);
        assert_eq!(keys.shown().as_deref(), Some("(arg: -12) "));
        assert_eq!(keys.act(Key::plain(Code::Left)), Act::Move(Motion::BackwardChar));
        assert_eq!(keys.argument(), Some(-12));
        assert_eq!(keys.argument(), None);
        assert_eq!(keys.act(Key::plain(Code::Char('2'))), Act::SelfInsert('2'));
        for _ in 0..100 {
            keys.act(meta('9'));
        }
        assert_eq!(keys.argument(), Some(1_000_000));
    }

    #[test]
    fn control_x_takes_one_more_key() {
        let mut keys = Emacs::default();
        assert_eq!(keys.act(Key::control('x')), Act::Pending);
        assert_eq!(keys.act(Key::control('u')), Act::Undo);
        assert_eq!(keys.act(Key::control('u')), Act::Kill(Motion::LineStart));
    }
}

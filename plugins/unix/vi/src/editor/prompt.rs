//! The line at the bottom of the screen, in which commands and patterns are typed.

use unix_common::tty::Key;

use super::grammar::Command;
use super::state::{Editor, Mode, Prompt};
use crate::key;

/// The most lines that the history of a prompt keeps.
const HISTORY: usize = 100;

impl Editor {
    /// `:`, with the lines that a count means.
    pub(crate) fn begin_command(&mut self, count: Option<usize>) {
        let text = match count {
            None => String::new(),
            Some(0 | 1) => ".".to_owned(),
            Some(count) => format!(".,.+{}", count - 1),
        };
        self.begin_prompt(':', &text, None);
    }

    /// `:` in the visual mode.
    pub(crate) fn begin_visual_command(&mut self) {
        self.begin_prompt(':', "'<,'>", None);
    }

    /// `!` and a motion: the command to filter these lines with.
    pub(crate) fn begin_filter(&mut self, first: usize, last: usize) {
        let at = self.cursor.line;
        let text = if first == at && last == at {
            ".!".to_owned()
        } else if first == at && last == self.text.last() {
            ".,$!".to_owned()
        } else if first == at {
            format!(".,.+{}!", last - first)
        } else {
            format!("{},{}!", first + 1, last + 1)
        };
        self.begin_prompt(':', &text, None);
    }

    /// `/` and `?`, alone or as the motion of a command.
    pub(crate) fn begin_search(&mut self, sign: char, command: Option<Command>) {
        self.begin_prompt(sign, "", command);
    }

    fn begin_prompt(&mut self, sign: char, text: &str, command: Option<Command>) {
        let visual = if let Mode::Visual(visual) = self.mode { Some(visual) } else { None };
        let text: Vec<char> = text.chars().collect();
        let at = text.len();
        self.message.clear();
        self.mode = Mode::Prompt(Box::new(Prompt { sign, text, at, command, visual, ..Prompt::default() }));
    }

    pub(crate) fn prompt_key(&mut self, key: Key) {
        let Mode::Prompt(mut prompt) = std::mem::take(&mut self.mode) else { return };
        if let Some(awaited) = prompt.awaited.take() {
            self.awaited_in_prompt(&mut prompt, awaited, key);
            self.mode = Mode::Prompt(prompt);
            return;
        }
        if key != Key::Character('\t') {
            prompt.completions.clear();
        }
        match key {
            Key::Enter => return self.end_prompt(*prompt),
            Key::Escape | Key::Character('\x03') => return self.leave_prompt(&prompt),
            Key::Backspace if prompt.text.is_empty() => return self.leave_prompt(&prompt),
            Key::Backspace => {
                if prompt.at > 0 {
                    prompt.at -= 1;
                    prompt.text.remove(prompt.at);
                }
            }
            Key::Delete if prompt.at < prompt.text.len() => {
                prompt.text.remove(prompt.at);
            }
            Key::Character('\x17') => {
                let before: String = prompt.text[..prompt.at].iter().collect();
                let kept = before.trim_end();
                let letters = |sign: char| sign.is_alphanumeric() || sign == '_';
                let word = kept.chars().next_back().is_some_and(letters);
                let kept = kept.trim_end_matches(|sign: char| letters(sign) == word && sign != ' ').chars().count();
                prompt.text.drain(kept..prompt.at);
                prompt.at = kept;
            }
            Key::Character('\x15') => {
                prompt.text.drain(..prompt.at);
                prompt.at = 0;
            }
            Key::Left => prompt.at = prompt.at.saturating_sub(1),
            Key::Right => prompt.at = (prompt.at + 1).min(prompt.text.len()),
            Key::Home | Key::Character('\x02') => prompt.at = 0,
            Key::End | Key::Character('\x05') => prompt.at = prompt.text.len(),
            Key::Up | Key::Character('\x10') => self.recall(&mut prompt, true),
            Key::Down | Key::Character('\x0e') => self.recall(&mut prompt, false),
            Key::Character('\t') => self.complete(&mut prompt),
            Key::Character(sign @ ('\x16' | '\x11' | '\x12')) => prompt.awaited = Some(sign),
            Key::Character(sign) if sign >= ' ' => prompt.insert(sign),
            _ => self.fail(),
        }
        self.mode = Mode::Prompt(prompt);
    }

    fn awaited_in_prompt(&mut self, prompt: &mut Prompt, awaited: char, key: Key) {
        let Some(sign) = key::to_char(key) else { return };
        if awaited != '\x12' {
            return prompt.insert(sign);
        }
        // `C-r C-w`: the word at the cursor.
        if sign == '\x17' {
            let word = crate::motion::word_object(&self.text, self.cursor, 1, false, false);
            let (start, end) = word.unwrap_or_default();
            self.line()[start..end].to_owned().chars().for_each(|sign| prompt.insert(sign));
            return;
        }
        match self.register(Some(sign)) {
            Some(piece) => piece.lines.join("\r").chars().for_each(|sign| prompt.insert(sign)),
            None => self.fail(),
        }
    }

    fn leave_prompt(&mut self, prompt: &Prompt) {
        self.mode = prompt.visual.map_or(Mode::Normal, Mode::Visual);
        self.resume_insertion();
    }

    fn end_prompt(&mut self, prompt: Prompt) {
        let text: String = prompt.text.iter().collect();
        self.mode = prompt.visual.map_or(Mode::Normal, Mode::Visual);
        self.text.begin(self.cursor);
        if prompt.sign == ':' {
            self.add_to_history(':', &text);
            self.ex_command(&text);
        } else {
            self.add_to_history('/', &text);
            self.search_for(prompt.sign, &text, prompt.command);
        }
        if matches!(self.mode, Mode::Normal) {
            self.settle();
        }
        self.resume_insertion();
    }

    pub(crate) fn add_to_history(&mut self, sign: char, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let lines = self.prompts.entry(sign).or_default();
        lines.retain(|line| line != text);
        lines.push(text.to_owned());
        if lines.len() > HISTORY {
            lines.remove(0);
        }
    }

    /// Lines of the history that begin with what was typed.
    fn recall(&mut self, prompt: &mut Prompt, older: bool) {
        if prompt.recalled == 0 {
            prompt.typed.clone_from(&prompt.text);
        }
        let typed: String = prompt.typed.iter().collect();
        let sign = if prompt.sign == ':' { ':' } else { '/' };
        let lines = self.prompts.get(&sign).map(Vec::as_slice).unwrap_or_default();
        let fitting: Vec<&String> = lines.iter().rev().filter(|line| line.starts_with(&typed)).collect();
        let wanted = if older { prompt.recalled + 1 } else { prompt.recalled.saturating_sub(1) };
        if wanted > fitting.len() {
            return self.fail();
        }
        prompt.recalled = wanted;
        prompt.text = wanted.checked_sub(1).map_or_else(|| prompt.typed.clone(), |at| fitting[at].chars().collect());
        prompt.at = prompt.text.len();
    }

    /// Completes the name of a file: each Tab brings the next.
    fn complete(&mut self, prompt: &mut Prompt) {
        let before: String = prompt.text[..prompt.at].iter().collect();
        if prompt.completions.is_empty() {
            let start = before.rfind([' ', '!']).map_or(0, |at| at + 1);
            if prompt.sign != ':' || start == 0 {
                return self.fail();
            }
            let typed = before[start..].to_owned();
            prompt.completions = self.system.complete(&typed);
            if prompt.completions.is_empty() {
                return self.fail();
            }
            prompt.completions.push(typed);
            prompt.completed = 0;
        } else {
            prompt.completed = (prompt.completed + 1) % prompt.completions.len();
        }
        let last = (prompt.completed + prompt.completions.len() - 1) % prompt.completions.len();
        let old = prompt.completions[last].chars().count();
        let new: Vec<char> = prompt.completions[prompt.completed].chars().collect();
        let start = prompt.at - old.min(prompt.at);
        let length = new.len();
        prompt.text.splice(start..prompt.at, new);
        prompt.at = start + length;
    }
}

impl Prompt {
    fn insert(&mut self, sign: char) {
        self.text.insert(self.at, sign);
        self.at += 1;
    }
}

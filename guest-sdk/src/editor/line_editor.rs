//! The editor itself: gives each key to what is under way, and shows the result.

mod completion;
mod recall_keys;
mod search_keys;

use super::callbacks::Callbacks;
use super::display::{Display, PlainRow, Screen, Sequences, ShownPrompt, View};
use super::event::LineEvent;
use super::history::History;
use super::input::{Act, Bindings, Code, Decoder, Input, Key, Motion};
use super::menu::Menu;
use super::recall::Recall;
use super::search::Search;
use super::settings::{EditorSettings, TerminalKind};
use super::text::{Buffer, Draft, Kills};
use std::mem;
use std::ops::Range;

/// A prompt. It may have several lines and escape sequences: colours, and others that take no column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinePrompt {
    /// What is before the first line of the text: `PS1`.
    pub first: String,
    /// What is before its further lines, itself of one line: `PS2`.
    pub next: String,
}

impl<T: Into<String>> From<T> for LinePrompt {
    /// A prompt whose further lines begin with `> `.
    fn from(first: T) -> Self {
        Self { first: first.into(), next: "> ".to_owned() }
    }
}

/// What the next key is for.
#[derive(Debug, Default)]
enum Mode {
    /// No line is edited.
    #[default]
    Idle,
    Edit,
    /// The search, and the text that it began in.
    Search(Search, Buffer),
    /// The next character is inserted, whatever it is, so many times.
    Quote(i32),
    /// The next character is looked for, so many times.
    Find(i32),
    Menu(Menu),
}

/// A word of a line of the history.
#[derive(Debug)]
struct YankedWord {
    line: usize,
    number: Option<i32>,
    /// Where it was inserted.
    range: Range<usize>,
}

/// A line editor. See the [module](super) for an example.
#[derive(Debug)]
pub struct Editor {
    settings: EditorSettings,
    history: History,
    decoder: Decoder,
    keys: Bindings,
    draft: Draft,
    recall: Recall,
    mode: Mode,
    display: Display,
    prompt: ShownPrompt,
    out: Vec<u8>,
    /// The command before, where the next depends on it.
    previous: Act,
    /// What Alt-. inserted last.
    argument: Option<YankedWord>,
    /// The pattern of the last search, and its direction.
    pattern: String,
    pattern_backward: bool,
    /// The line of the history that the next one begins with, after Control-O.
    next_line: Option<usize>,
    /// A key could do nothing: the bell rings with the next output.
    ring: bool,
    /// The caller was told that the text is too long, and nothing that was typed has fitted since.
    told_too_long: bool,
}

impl Default for Editor {
    fn default() -> Self {
        Self::new(EditorSettings::default())
    }
}

impl Editor {
    /// An editor that edits nothing yet: see [`begin`](Self::begin).
    pub fn new(settings: EditorSettings) -> Self {
        let limits = settings.limits;
        let history = History::default();
        Self {
            draft: Draft::new(Buffer::new(limits.text, limits.undo), Kills::new(limits.kills)),
            recall: Recall::new(&history, limits.undo),
            display: display(&settings),
            settings,
            history,
            decoder: Decoder::default(),
            keys: Bindings::default(),
            mode: Mode::Idle,
            prompt: ShownPrompt::default(),
            out: Vec::new(),
            previous: Act::Unbound,
            argument: None,
            pattern: String::new(),
            pattern_backward: true,
            next_line: None,
            ring: false,
            told_too_long: false,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &EditorSettings {
        &self.settings
    }

    /// The settings, to be changed.
    pub fn settings_mut(&mut self) -> &mut EditorSettings {
        &mut self.settings
    }

    /// The lines before.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The lines before, to be loaded, and for adding the line that was entered. A line that is being edited keeps its
    /// place in the history by number.
    pub fn history_mut(&mut self) -> &mut History {
        &mut self.history
    }

    /// Whether a line is being edited.
    pub fn is_editing(&self) -> bool {
        !matches!(self.mode, Mode::Idle)
    }

    /// The text of the line.
    pub fn text(&self) -> &str {
        self.draft.buffer.text()
    }

    /// The cursor, as a byte of the text.
    pub fn cursor(&self) -> usize {
        self.draft.buffer.cursor()
    }

    /// Begins a line: shows the prompt. The cursor of the terminal has to be at the left margin.
    pub fn begin(&mut self, prompt: impl Into<LinePrompt>) {
        let next = self.next_line.take().filter(|line| *line < self.history.len());
        let text = next.and_then(|line| self.history.get(line)).unwrap_or("").to_owned();
        self.begin_with(prompt, text);
        self.recall.set_at(next.unwrap_or(self.history.len()));
    }

    /// Begins a line with a text, the cursor at its end.
    pub fn begin_with(&mut self, prompt: impl Into<LinePrompt>, text: impl Into<String>) {
        let prompt = prompt.into();
        let limits = self.settings.limits;
        let sequences = match (self.settings.terminal, self.settings.colors) {
            (TerminalKind::Dumb, _) => Sequences::None,
            (TerminalKind::Full, false) => Sequences::NoColors,
            (TerminalKind::Full, true) => Sequences::All,
        };
        self.prompt = ShownPrompt::new(&prompt.first, &prompt.next, sequences);
        self.display = display(&self.settings);
        self.draft.restart(Buffer::with(text.into(), limits.text, limits.undo));
        self.recall = Recall::new(&self.history, limits.undo);
        self.keys.reset(self.settings.keys);
        self.draft.hold_changes(self.keys.is_vi_insert());
        self.next_line = None;
        self.argument = None;
        self.previous = Act::Unbound;
        self.told_too_long = false;
        self.mode = Mode::Edit;
        if self.settings.bracketed_paste && self.settings.terminal == TerminalKind::Full {
            self.out.extend_from_slice(b"\x1b[?2004h");
        }
        self.refresh();
    }

    /// Takes what is to be written to the terminal.
    pub fn output(&mut self) -> Vec<u8> {
        mem::take(&mut self.out)
    }

    /// Takes bytes of the terminal, up to the key that leads to an event: `input` is what is left. Call it again with
    /// that until there is no event: only then the line is shown as it has become. Without a line it takes nothing.
    pub fn feed(&mut self, input: &mut &[u8], callbacks: &mut dyn Callbacks) -> Option<LineEvent> {
        while self.is_editing()
            && let Some((byte, rest)) = input.split_first()
        {
            *input = rest;
            let quoted = matches!(self.mode, Mode::Quote(_)) && byte.is_ascii() && !self.decoder.is_waiting();
            let decoded = if quoted {
                let key = Key::plain(Code::Char(char::from(*byte)));
                Some(Input::Key(key))
            } else {
                self.decoder.decode(*byte, self.settings.limits.text)
            };
            if let Some(event) = decoded.and_then(|decoded| self.input(decoded, callbacks)) {
                return Some(event);
            }
        }
        self.refresh();
        None
    }

    /// How long to wait for more input before [`expire`](Self::expire) is to be called, in milliseconds. `None`: for
    /// ever.
    pub fn timeout(&self) -> Option<u32> {
        self.decoder.is_waiting().then_some(self.settings.escape_ms)
    }

    /// No input came for [`timeout`](Self::timeout) milliseconds: a lone Escape is a key.
    pub fn expire(&mut self, callbacks: &mut dyn Callbacks) -> Option<LineEvent> {
        let input = self.decoder.expire().filter(|_| self.is_editing())?;
        let event = self.input(input, callbacks);
        self.refresh();
        event
    }

    /// The terminal has another size.
    pub fn resize(&mut self, columns: u32, rows: u32) {
        let before = self.settings.size();
        (self.settings.columns, self.settings.rows) = (columns, rows);
        let (columns, rows) = self.settings.size();
        if !self.is_editing() || (columns, rows) == before {
            return;
        }
        let prompt = self.shown_prompt();
        self.display.resize(view(&prompt, &self.draft.buffer), columns, rows, &mut self.out);
        self.refresh();
    }

    /// Writes lines above the line that is edited: a message that comes meanwhile. A newline at the end is added if
    /// there is none. Escape sequences are written as they are.
    pub fn print(&mut self, lines: &str) {
        if self.is_editing() {
            self.display.erase(&mut self.out);
        }
        for line in lines.lines() {
            self.out.extend_from_slice(line.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        self.refresh();
    }

    fn input(&mut self, input: Input, callbacks: &mut dyn Callbacks) -> Option<LineEvent> {
        match (mem::replace(&mut self.mode, Mode::Edit), input) {
            (Mode::Menu(menu), Input::Key(key)) => self.menu_key(menu, key),
            (Mode::Menu(menu), Input::Paste(_) | Input::PasteTooLong) => self.mode = Mode::Menu(menu),
            (Mode::Search(search, origin), Input::Paste(text)) => {
                let line = text.lines().next().unwrap_or("").to_owned();
                self.search_step(search, origin, |search, history, recall| search.extend(&line, history, recall));
            }
            (Mode::Search(search, origin), Input::Key(key)) => {
                if !self.search_key(search, origin, key) {
                    return self.key(key, callbacks);
                }
            }
            (Mode::Quote(count), Input::Key(Key { code: Code::Char(character), .. })) => {
                return self.run(Act::SelfInsert(character), Some(count), callbacks);
            }
            (Mode::Find(count), Input::Key(key)) => {
                let found = key.text().is_some_and(|character| self.draft.find(character, count));
                self.ring |= !found;
            }
            (_, Input::Key(key)) => return self.key(key, callbacks),
            (_, Input::Paste(text)) => {
                self.previous = Act::Unbound;
                let done = self.draft.insert(&text);
                return self.check_length(done);
            }
            (_, Input::PasteTooLong) => return self.check_length(false),
        }
        None
    }

    fn key(&mut self, key: Key, callbacks: &mut dyn Callbacks) -> Option<LineEvent> {
        let (first, act) = self.keys.acts(key);
        let mut event = first.and_then(|first| self.run(first, None, callbacks));
        if act != Act::Pending {
            let argument = self.keys.argument();
            event = event.or(self.run(act, argument, callbacks));
        }
        if self.keys.is_vi_command() {
            self.draft.stay_on_character();
        }
        self.draft.hold_changes(self.keys.is_vi_insert());
        event
    }

    /// Carries a command out.
    fn run(&mut self, act: Act, argument: Option<i32>, callbacks: &mut dyn Callbacks) -> Option<LineEvent> {
        let previous = mem::replace(&mut self.previous, act);
        match act {
            Act::DeleteOrEnd if self.draft.buffer.is_empty() && previous != Act::DeleteOrEnd => {
                self.leave("");
                return Some(LineEvent::EndOfInput);
            }
            Act::Accept => return self.accept(callbacks),
            Act::AcceptAndNext => {
                let next = self.recall.at() + 1;
                let event = self.accept(callbacks);
                self.next_line = event.is_some().then_some(next);
                return event;
            }
            Act::Comment => return Some(self.enter_comment()),
            Act::EditElsewhere => return Some(LineEvent::EditElsewhere(self.leave(""))),
            Act::Interrupt => {
                self.leave("^C");
                return Some(LineEvent::Interrupt);
            }
            Act::Suspend => return Some(LineEvent::Suspend),
            Act::SearchBackward | Act::SearchForward => self.begin_search(act == Act::SearchBackward),
            Act::Complete => self.complete(previous == Act::Complete, callbacks),
            Act::ListCompletions => {
                let completions = self.completions(callbacks);
                self.list(completions);
            }
            Act::InsertCompletions => {
                let done = self.insert_completions(callbacks);
                self.ring |= !done;
            }
            Act::QuotedInsert => self.mode = Mode::Quote(argument.unwrap_or(1)),
            Act::FindForward => self.mode = Mode::Find(argument.unwrap_or(1)),
            Act::FindBackward => self.mode = Mode::Find(argument.unwrap_or(1).saturating_neg()),
            Act::Repeat => return self.repeat(callbacks),
            Act::ClearScreen => self.display.clear_screen(&mut self.out),
            Act::InsertNewline => {
                let done = self.draft.insert("\n");
                return self.check_length(done);
            }
            Act::SelfInsert(_) => {
                let done = self.draft.apply(act, argument).unwrap_or(true);
                return self.check_length(done);
            }
            _ => {
                let act = if act == Act::DeleteOrEnd { Act::Delete(Motion::ForwardChar) } else { act };
                let done = match self.draft.apply(act, argument) {
                    Some(done) => done,
                    None => self.recall(act, argument, previous),
                };
                self.ring |= !done;
                if !done {
                    self.keys.refuse();
                }
            }
        }
        None
    }

    /// Types the keys of the last change again.
    fn repeat(&mut self, callbacks: &mut dyn Callbacks) -> Option<LineEvent> {
        for key in self.keys.repeated() {
            if let Some(event) = self.input(Input::Key(key), callbacks) {
                return Some(event);
            }
        }
        None
    }

    /// Tells the caller once that something did not fit.
    fn check_length(&mut self, fitted: bool) -> Option<LineEvent> {
        self.ring |= !fitted;
        let told = mem::replace(&mut self.told_too_long, !fitted);
        (!fitted && !told).then_some(LineEvent::TooLong)
    }

    fn accept(&mut self, callbacks: &mut dyn Callbacks) -> Option<LineEvent> {
        if callbacks.is_incomplete(self.draft.buffer.text()) {
            // In the last line, wherever the cursor is, the next one follows; above it, a line is inserted.
            if self.draft.buffer.line_end() == self.draft.buffer.text().len() {
                self.draft.buffer.set_cursor(self.draft.buffer.text().len());
            }
            let done = self.draft.insert("\n");
            return self.check_length(done);
        }
        Some(LineEvent::Line(self.leave("")))
    }

    /// Enters the text with the sign of a comment before each line.
    fn enter_comment(&mut self) -> LineEvent {
        let text = self.draft.buffer.text();
        let lines: Vec<String> = text.split('\n').map(|line| format!("{}{line}", self.settings.comment)).collect();
        let whole = 0..text.len();
        self.draft.buffer.replace(whole, &lines.join("\n"));
        LineEvent::Line(self.leave(""))
    }

    /// Ends the line, with a mark behind the text. Returns the text.
    fn leave(&mut self, mark: &str) -> String {
        self.show_end();
        self.display.leave(mark, &mut self.out);
        if self.settings.bracketed_paste && self.settings.terminal == TerminalKind::Full {
            self.out.extend_from_slice(b"\x1b[?2004l");
        }
        self.mode = Mode::Idle;
        let limits = self.settings.limits;
        let buffer = mem::replace(&mut self.draft.buffer, Buffer::new(limits.text, limits.undo));
        buffer.into_text()
    }

    /// Shows all of the text, the cursor at its end.
    fn show_end(&mut self) {
        let prompt = self.prompt.clone();
        self.draft.buffer.set_cursor(self.draft.buffer.text().len());
        self.display.draw(view(&prompt, &self.draft.buffer), &prompt.styles, &mut self.out);
    }

    /// What stands before the text now.
    fn shown_prompt(&self) -> ShownPrompt {
        match &self.mode {
            Mode::Search(search, _) => self.prompt.with_last_line(&search.prompt()),
            _ => self
                .keys
                .shown_argument()
                .map_or_else(|| self.prompt.clone(), |shown| self.prompt.with_last_line(&shown)),
        }
    }

    /// Shows the line as it is now.
    fn refresh(&mut self) {
        if !matches!(self.mode, Mode::Idle | Mode::Menu(_)) {
            let prompt = self.shown_prompt();
            self.display.draw(view(&prompt, &self.draft.buffer), &prompt.styles, &mut self.out);
        }
        if mem::take(&mut self.ring) && self.settings.bell {
            self.out.push(7);
        }
    }
}

fn view<'a>(prompt: &'a ShownPrompt, buffer: &'a Buffer) -> View<'a> {
    View { prompt: &prompt.first, next_prompt: &prompt.next, text: buffer.text(), cursor: buffer.cursor() }
}

fn display(settings: &EditorSettings) -> Display {
    let (columns, rows) = settings.size();
    match settings.terminal {
        TerminalKind::Full => Display::Screen(Screen::new(columns, rows)),
        TerminalKind::Dumb => Display::Row(PlainRow::new(columns)),
    }
}

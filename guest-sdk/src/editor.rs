//! A line editor: a prompt, a line with the keys of Emacs, a history, completions.
//!
//! It does no input and output of its own. Bytes of the terminal go in with [`Editor::feed`], bytes for the terminal
//! come out of [`Editor::output`], and events tell that a line was entered. It is for a raw terminal, as plugins with
//! event functions have it.
//!
//! ```
//! use whelk_guest::editor::{Editor, EditorSettings, LineEvent};
//! use whelk_guest::{Session, WindowSize, finish, plugin, print};
//!
//! #[derive(Default)]
//! struct Reverse {
//!     editor: Editor,
//! }
//!
//! impl Session for Reverse {
//!     fn shell(&mut self) -> bool {
//!         self.editor = Editor::new(EditorSettings::of_session());
//!         self.editor.begin("\x1b[1mreverse>\x1b[0m ");
//!         print(self.editor.output());
//!         true
//!     }
//!
//!     fn data(&mut self, mut data: &[u8]) {
//!         while let Some(event) = self.editor.feed(&mut data, &mut ()) {
//!             match event {
//!                 LineEvent::Line(line) => self.editor.print(&line.chars().rev().collect::<String>()),
//!                 LineEvent::EndOfInput => finish(0),
//!                 _ => {}
//!             }
//!             if !self.editor.is_editing() {
//!                 self.editor.begin("\x1b[1mreverse>\x1b[0m ");
//!             }
//!         }
//!         print(self.editor.output());
//!     }
//!
//!     fn window_change(&mut self, size: WindowSize) {
//!         self.editor.resize(size.columns, size.rows);
//!         print(self.editor.output());
//!     }
//! }
//!
//! plugin!(Reverse);
//! ```
//!
//! # Keys
//!
//! They are those of readline's Emacs mode, or of its vi mode ([`KeyMap::Vi`]), where it has them. `C-a` is Control-A,
//! `M-a` Alt-A or Escape and A.
//!
//! | keys | what they do |
//! |---|---|
//! | `C-b` `C-f` `M-b` `M-f` `C-a` `C-e`, arrows, Home, End | move by characters, by words, to the ends of the line |
//! | `C-]` `M-C-]` and a character | move to its next or last place |
//! | `C-h` `C-d`, Backspace, Delete | remove a character; `C-d` in an empty line is the end of input |
//! | `C-k` `C-u` `M-d` `M-Backspace` `C-w` `M-\` | kill to an end of the line, a word, a word between blanks, blanks |
//! | `C-y` `M-y` `M-.` `M-C-y` | insert what was killed, what was before it, a word of a line before |
//! | `C-t` `M-t` `M-u` `M-l` `M-c` | exchange characters or words, change their case |
//! | `C-_` `C-x C-u` `M-C-_` `M-r` | undo, undo the undoing, undo everything |
//! | `C-p` `C-n` `M-<` `M->`, Up, Down | lines of the history; in a text of several lines, arrows move in it first |
//! | `M-p` `M-n`, PageUp, PageDown | lines that begin with what is before the cursor |
//! | `C-r` `C-s` | search the history with each key; `C-g` goes back |
//! | `C-o` | enter a line of the history, and bring the one after it |
//! | Tab, `M-?` `M-*` | complete, list, insert all completions |
//! | `C-v` `C-q` | insert the next character, whatever it is |
//! | `M-Enter` | insert a newline |
//! | `M-0` to `M-9`, `M--` | a count for the next command |
//! | `C-@` `C-x C-x` | set the mark, exchange it with the cursor |
//! | Insert, `M-#` `C-l` `C-x C-e` | overwrite, enter as a comment, clear the screen, edit with another program |
//!
//! # Parts
//!
//! * [`EditorSettings`]: the terminal, limits, and what a user may choose.
//! * [`LinePrompt`]: the prompt, with colours, and the prompt of further lines.
//! * [`Callbacks`]: completions, and whether a text needs another line.
//! * [`History`]: the lines before. The caller loads and saves it.
//!
//! # A lone Escape
//!
//! Terminals send the byte of Escape before those of other keys, too. After [`Editor::timeout`] milliseconds without
//! input, call [`Editor::expire`]. Without a timer the editor takes Escape together with the next key, as Alt.

mod callbacks;
mod display;
mod event;
mod history;
mod input;
mod line_editor;
mod menu;
mod recall;
mod search;
mod settings;
mod text;

pub use callbacks::{Callbacks, Candidate, Completions};
pub use event::LineEvent;
pub use history::{Duplicates, History};
pub use line_editor::{Editor, LinePrompt};
pub use settings::{EditorLimits, EditorSettings, KeyMap, TerminalKind};

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
//! They are those of readline's Emacs mode, where it has them. In a text of several lines, Up and Down
//! move in it first, and then in the history.
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

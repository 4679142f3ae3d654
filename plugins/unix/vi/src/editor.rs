//! The editor: keys go in, the text and the screen change. It knows files and commands by its
//! [`System`](crate::system::System) only, and nothing of the terminal but its size.

mod change;
mod draw;
mod grammar;
mod insert;
mod movement;
mod normal;
mod operator;
mod prompt;
mod search;
mod state;
mod view;
mod visual;

pub(crate) use grammar::Operator;
pub(crate) use operator::Area;
pub use state::Editor;
pub(crate) use state::Mode;

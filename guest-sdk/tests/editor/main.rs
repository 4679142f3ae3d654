//! The line editor against a terminal in memory: what the user sees, cell by cell.

mod completion;
mod dumb;
mod expected;
mod history;
mod hostile;
mod keys;
mod random;
mod screen;
mod terminal;
mod vi;

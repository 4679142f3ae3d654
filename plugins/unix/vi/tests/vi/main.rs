//! The editor with a terminal and files in memory.

mod files;
mod keys;
mod random;
mod screen;
mod terminal;
mod vim;

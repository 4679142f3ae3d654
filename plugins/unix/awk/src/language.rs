//! The language: its words, its grammar, and what a program is taken apart to.

pub(crate) mod ast;
pub(crate) mod lexer;
mod parse;
pub(crate) mod special;

pub(crate) use parse::parse;

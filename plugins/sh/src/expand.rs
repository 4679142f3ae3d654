//! Word expansion (XCU 2.6): the parts of a word become pieces of text, these become fields, and fields become file
//! names.

mod arithmetic;
mod assign;
mod braces;
mod fields;
mod glob;
mod operations;
mod parameter;
mod pieces;
mod prompt;
mod tilde;

pub(crate) use assign::array_literal_text;

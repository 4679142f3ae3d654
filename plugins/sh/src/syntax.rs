//! The grammar: text to syntax trees and back (XCU 2.2 to 2.10).

mod ast;
mod compound;
mod conditional;
mod parameter;
mod parser;
mod print;
mod redirect;
mod simple;
mod source;
mod word;

pub(crate) use ast::{
    AndOr, ArrayItem, Assignment, Case, Command, CommandKind, FdRef, For, Item, List, Parameter, ParameterOp, Part,
    Pipeline, Redirect, RedirectOp, Subscript, Test, Word,
};
pub(crate) use parser::{ParseOptions, Parser, SyntaxError};
pub(crate) use print::{function_text, kind_text, list_text, simple_text};
pub(crate) use source::{LinePlace, Lines, TextLines};

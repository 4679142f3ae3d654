//! What each kind of nesting takes at most of the stack of an instance, in bytes.
//!
//! WebAssembly cannot ask how much of its stack is left, so the shell adds up what it nests. The numbers are sums of
//! the frames in the machine code, with a margin (see also `NESTED` of the parser).
//! `tests/interop/shell/recursion.rs` nests each of them to the end.

/// A command.
pub(crate) const COMMAND: u32 = 144;
/// A list of commands, with its pipelines.
pub(crate) const LIST: u32 = 384;
/// A pipeline of several commands, or one with `time`.
pub(crate) const PIPELINE: u32 = 700;
/// A compound command but `{ }`.
pub(crate) const COMPOUND: u32 = 700;
/// A simple command, while its words are expanded and it is executed.
pub(crate) const SIMPLE: u32 = 500;
/// A builtin that executes commands.
pub(crate) const BUILTIN: u32 = 400;
/// The call of a function.
pub(crate) const CALL: u32 = 224;
/// A text that is executed: `eval`, `.`, a trap.
pub(crate) const TEXT: u32 = 500;
/// A subshell or a command substitution.
pub(crate) const SUBSHELL: u32 = 352;
/// The parts of a word.
pub(crate) const EXPANSION: u32 = 832;
/// A parameter, beside that.
pub(crate) const PARAMETER: u32 = 1100;
/// An arithmetic expression.
pub(crate) const ARITHMETIC: u32 = 1500;
/// What a command may nest when it is read. Trees that are deeper would overflow the stack when they are printed or
/// dropped where little of it is left.
pub(crate) const TREE: u32 = 940_000;

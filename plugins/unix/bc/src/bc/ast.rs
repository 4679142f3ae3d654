//! The tree of a program.

use std::rc::Rc;

/// What can be assigned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Variable(String),
    Element(String, Box<Expression>),
    Scale,
    InputBase,
    OutputBase,
    Last,
}

/// An operator with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Raise,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A function that is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builtin {
    Length,
    Scale,
    Root,
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    Value(Expression),
    Array(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    Number(String),
    Place(Place),
    Assign(Place, Option<Operator>, Box<Expression>),
    /// `++` or `--`. `first`: its value is the one after it.
    Step {
        place: Place,
        down: bool,
        first: bool,
    },
    Negative(Box<Expression>),
    Not(Box<Expression>),
    /// A power. `a^b^c` is `a^(b^c)`.
    Raise(Box<Expression>, Box<Expression>),
    /// Operators of one rank, from left to right. It is flat, so that long sums need no deep stack.
    Chain(Box<Expression>, Vec<(Operator, Expression)>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Call(String, Vec<Argument>),
    Builtin(Builtin, Box<Expression>),
    Read,
}

/// What `print` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Text(String),
    Value(Expression),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    /// An expression. `shown`: its value is printed, since it is no assignment.
    Expression {
        expression: Expression,
        shown: bool,
    },
    Text(String),
    Print(Vec<Item>),
    Block(Vec<Statement>),
    If(Expression, Box<Statement>, Option<Box<Statement>>),
    While(Expression, Box<Statement>),
    For(Option<Expression>, Option<Expression>, Option<Expression>, Box<Statement>),
    Break,
    Continue,
    Return(Option<Expression>),
    Halt,
    Limits,
    Warranty,
}

/// A parameter or a variable of a function's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) is_array: bool,
    /// The array of the caller itself.
    pub(crate) by_reference: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) parameters: Vec<Local>,
    pub(crate) locals: Vec<Local>,
    pub(crate) body: Vec<Statement>,
    /// It has no value.
    pub(crate) void: bool,
}

/// What is read at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Statements(Vec<Statement>),
    Function(String, Rc<Function>),
}

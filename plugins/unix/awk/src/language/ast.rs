//! A program, taken apart.

use std::rc::Rc;

/// Where a variable is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Global(usize),
    Local(usize),
}

/// What can be assigned to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Variable(Place),
    Element(Place, Vec<Expression>),
    Field(Box<Expression>),
}

/// Operators of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// Comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
}

/// Where `getline` reads from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Input,
    File(Box<Expression>),
    Command(Box<Expression>),
}

/// What has a value.
#[derive(Debug, Clone)]
pub(crate) enum Expression {
    Number(f64),
    Text(Rc<[u8]>),
    /// A pattern that stands alone matches the record.
    Pattern(Rc<str>),
    Value(Target),
    Assign(Target, Box<Expression>),
    Update(Target, Arithmetic, Box<Expression>),
    /// `++x` and its like: the change, and whether the value is that before it.
    Increment {
        target: Target,
        by: f64,
        before: bool,
    },
    Conditional(Box<Expression>, Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    Positive(Box<Expression>),
    Binary(Box<Expression>, Arithmetic, Box<Expression>),
    Compare(Box<Expression>, Comparison, Box<Expression>),
    Concatenate(Box<Expression>, Box<Expression>),
    Match {
        text: Box<Expression>,
        pattern: Box<Expression>,
        negated: bool,
    },
    In(Vec<Expression>, Place),
    /// `(a, b)`, which only `in` and `print` take.
    Group(Vec<Expression>),
    Getline(Source, Option<Box<Target>>),
    Builtin(&'static str, Vec<Expression>),
    /// A function by its number.
    Call(usize, Vec<Expression>),
    /// A bare name of what may be an array.
    Name(Place),
}

/// Where `print` writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirect {
    File,
    Append,
    Command,
}

/// A statement.
#[derive(Debug, Clone)]
pub(crate) enum Statement {
    Expression(Expression),
    Print(Vec<Expression>, Option<(Redirect, Expression)>),
    Printf(Vec<Expression>, Option<(Redirect, Expression)>),
    If(Expression, Box<Statement>, Option<Box<Statement>>),
    While(Expression, Box<Statement>),
    Do(Box<Statement>, Expression),
    For(Option<Box<Statement>>, Option<Expression>, Option<Box<Statement>>, Box<Statement>),
    ForIn(Place, Place, Box<Statement>),
    Switch(Expression, Vec<(Option<Expression>, Vec<Statement>)>),
    Block(Vec<Statement>),
    Delete(Place, Option<Vec<Expression>>),
    Next,
    NextFile,
    Exit(Option<Expression>),
    Return(Option<Expression>),
    Break,
    Continue,
}

/// When an action runs.
#[derive(Debug, Clone)]
pub(crate) enum When {
    Begin,
    End,
    BeginFile,
    EndFile,
    Always,
    If(Expression),
    /// From one record to another; the number of its state.
    Range(Expression, Expression, usize),
}

/// A pattern and its action; none prints the record.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) when: When,
    pub(crate) action: Option<Vec<Statement>>,
}

/// A function of the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) parameters: usize,
    pub(crate) body: Vec<Statement>,
}

/// A program.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) rules: Vec<Rule>,
    pub(crate) functions: Vec<Function>,
    /// The names of global variables; the special ones come first.
    pub(crate) globals: Vec<String>,
    pub(crate) ranges: usize,
}

//! What keys are bound to. The names are those of readline's commands where it has them.

/// A way from the cursor to another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::editor) enum Motion {
    BackwardChar,
    ForwardChar,
    BackwardWord,
    ForwardWord,
    /// To the beginning of a word that ends at a blank: `unix-word-rubout`.
    BackwardBlankWord,
    LineStart,
    LineEnd,
    TextStart,
    TextEnd,
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::editor) enum Act {
    SelfInsert(char),
    Move(Motion),
    /// Removes without keeping: Backspace and Delete.
    Delete(Motion),
    Kill(Motion),
    /// `delete-char`, and the end of input on an empty line.
    DeleteOrEnd,
    KillBlanks,
    Yank,
    YankPop,
    YankLastArgument,
    YankNthArgument,
    Transpose,
    TransposeWords,
    Upcase,
    Downcase,
    Capitalize,
    Overwrite,
    Undo,
    Redo,
    Revert,
    SetMark,
    ExchangeMark,
    QuotedInsert,
    FindForward,
    FindBackward,
    Comment,
    /// A line up or down in the text, or else in the history.
    Up,
    Down,
    Previous,
    Next,
    First,
    Last,
    PrefixBackward,
    PrefixForward,
    SearchBackward,
    SearchForward,
    Complete,
    ListCompletions,
    InsertCompletions,
    ClearScreen,
    Accept,
    AcceptAndNext,
    InsertNewline,
    Interrupt,
    Suspend,
    /// Edit the text with another program.
    EditElsewhere,
    Abort,
    /// A key without a function.
    Unbound,
    /// Part of a key of several, or of an argument: nothing yet.
    Pending,
}

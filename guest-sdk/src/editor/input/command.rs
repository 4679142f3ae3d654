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
    /// Those of vi, which stay in the line.
    BackwardInLine,
    ForwardInLine,
    FirstNonBlank,
    /// Behind the last character.
    ToLineEnd,
    /// To the column that the count says, the first being 1.
    Column,
    /// To the bracket that belongs to the next one.
    Matching,
    NextWord(WordKind),
    PreviousWord(WordKind),
    EndOfWord(WordKind),
    /// To the end of the word, or of the blanks, that the cursor is in.
    ChangeWord(WordKind),
    Find {
        character: char,
        forward: bool,
        before: bool,
    },
    /// No motion but a range: the line with its newline, or its text alone.
    WholeLine,
    LineText,
}

/// What words are to vi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::editor) enum WordKind {
    /// Letters, digits and `_`, or other signs, in a row.
    Signs,
    /// What is between blanks.
    Blanks,
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
    /// What follows is vi's.
    LeaveInsert,
    Copy(Motion),
    Replace(char),
    ToggleCase,
    PutAfter,
    PutBefore,
    AppendArgument,
    GoToLine,
    SearchAgain {
        reverse: bool,
    },
    /// Type the keys of the last change again.
    Repeat,
    Nothing,
    /// A key without a function.
    Unbound,
    /// Part of a key of several, or of an argument: nothing yet.
    Pending,
}

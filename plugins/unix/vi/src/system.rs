//! What the editor needs of the system that it runs on.

/// The most bytes that are read from a file, and that a count makes of a register.
pub const LARGEST_TEXT: usize = 64 << 20;

/// The message after Control-C.
pub const INTERRUPTED: &str = "Interrupted";

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// There is no such file.
    NotFound,
    /// Another reason, in the words of the system.
    Other(String),
}

/// How a command has ended, and what it has written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finished {
    /// Its output and its errors.
    pub output: Vec<u8>,
    /// Its exit status.
    pub status: u8,
}

/// Files and commands. Errors are messages in the words of the system.
pub trait System {
    /// Reads a file.
    ///
    /// # Errors
    /// That there is none, or another reason.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, ReadError>;

    /// Replaces a file as a whole, so that after an error the old one is still there, or appends to it.
    ///
    /// # Errors
    /// A message.
    fn write(&mut self, path: &str, bytes: &[u8], append: bool) -> Result<(), String>;

    /// Whether a file exists.
    fn exists(&mut self, path: &str) -> bool;

    /// Whether a file that exists can be written to.
    fn is_writable(&mut self, path: &str) -> bool;

    /// When a file was changed last, in a form that only this system understands.
    fn changed_at(&mut self, path: &str) -> Option<u128>;

    /// The names of files that begin with a text, for completion. Directories end in a slash.
    fn complete(&mut self, path: &str) -> Vec<String>;

    /// Gives a command its input, and takes its output.
    ///
    /// # Errors
    /// A message, where it could not be started, wrote too much, or was interrupted.
    fn filter(&mut self, command: &str, input: Option<&[u8]>) -> Result<Finished, String>;

    /// Lets a command have the terminal, and waits for a key after it.
    ///
    /// # Errors
    /// A message, where it could not be started.
    fn run(&mut self, command: &str) -> Result<(), String>;

    /// Whether a command of the editor that takes long is to stop: Control-C was typed, or the session ends. Does not
    /// wait.
    fn is_interrupted(&mut self) -> bool;

    /// Stops the program until its shell lets it go on.
    ///
    /// # Errors
    /// A message, where nobody could let it go on.
    fn suspend(&mut self) -> Result<(), String>;
}

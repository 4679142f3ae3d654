//! What the utilities share: options as GNU's getopt_long(3) takes them, POSIX regular expressions, file name patterns,
//! error messages in glibc's words, children, and the keys of the terminal.

pub mod child;
pub mod glob;
pub mod options;
pub mod printf;
pub mod regex;
pub mod report;
pub mod syntax;
pub mod time;
pub mod tty;

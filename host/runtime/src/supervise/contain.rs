//! Where a panic stops: it becomes a value, and whoever asked goes on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does the work; the error is what it said when it panicked. The caller must not use again what the work has left half done: an
/// instance is dropped unentered, a future unpolled.
pub(crate) fn contained<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(&*panic))
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_what_it_said() {
        assert_eq!(contained(|| 7), Ok(7));
        assert_eq!(contained(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        assert_eq!(contained(|| panic!("number {}", 7)), Err::<(), _>("number 7".to_owned()));
        assert_eq!(contained(|| std::panic::panic_any(7)), Err::<(), _>("a panic without words".to_owned()));
    }
}

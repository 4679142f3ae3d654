//! Why a session has no home.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::skeleton::SkeletonError;
use crate::error::{Error, Limit};

/// Why a home cannot be opened or made. `Display` is for the operator.
#[derive(Debug)]
pub(crate) enum HomeError {
    /// The skeleton cannot be copied, or does not fit.
    Skeleton(SkeletonError),
    /// The disk: which folder, and why.
    Disk(PathBuf, io::Error),
    /// The work on it panicked.
    Panicked,
}

impl From<HomeError> for Error {
    fn from(error: HomeError) -> Self {
        let detail = error.to_string();
        match error {
            HomeError::Skeleton(SkeletonError::Quota) => Self::Limit { limit: Limit::Home, detail },
            HomeError::Skeleton(_) | HomeError::Disk(..) | HomeError::Panicked => Self::of_machine(detail),
        }
    }
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skeleton(error) => write!(f, "the home cannot be made: {error}"),
            Self::Disk(path, error) => write!(f, "the home {} cannot be used: {error}", path.display()),
            Self::Panicked => f.write_str("the home cannot be used: a panic"),
        }
    }
}

impl From<SkeletonError> for HomeError {
    fn from(error: SkeletonError) -> Self {
        Self::Skeleton(error)
    }
}

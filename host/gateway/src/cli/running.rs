//! The verbs that ask a running server, over its control socket.
//!
//! Whatever a user or a client has chosen, such as names and commands, is escaped before it is printed.

pub(super) mod console;
pub(super) mod drain;
pub(super) mod kill;
pub(super) mod metrics;
pub(super) mod reload;
pub(super) mod sessions;
mod shown;
pub(super) mod status;
pub(super) mod tenants;
pub(super) mod watch;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::cli::outcome::{Failure, failed, print, wrong};
use crate::config::{self, Config, Overrides};
use crate::observe::escape::escape_json;
use crate::server::control::Unanswered;

/// Which running server is asked.
#[derive(Args)]
pub(super) struct ServerArguments {
    /// The server's configuration
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    config: Option<PathBuf>,
    /// The server's state folder [default: $XDG_STATE_HOME/whelk]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl ServerArguments {
    /// The server with this configuration.
    pub(super) fn of(config: &Path) -> ServerArguments {
        ServerArguments { config: Some(config.to_owned()), state: None }
    }

    /// The state folder, if the command line names one.
    pub(super) fn named_folder(&self) -> Result<Option<PathBuf>, Failure> {
        if self.config.is_none() && self.state.is_none() { Ok(None) } else { self.folder().map(Some) }
    }

    /// The state folder.
    fn folder(&self) -> Result<PathBuf, Failure> {
        running_state(self.config.as_deref(), self.state.clone())
    }
}

/// The state folder of the running server that a command line names.
pub(super) fn running_state(config: Option<&Path>, state: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match (config, state) {
        (Some(file), _) => Ok(Config::load(file, &Overrides::default()).map_err(wrong)?.state),
        (None, Some(state)) => Ok(state),
        (None, None) => config::default_state().map_err(wrong),
    }
}

/// The failure of a request that got no answer.
fn unanswered(folder: &Path) -> impl Fn(Unanswered) -> Failure {
    move |unanswered| failed(unanswered.reason(folder))
}

/// Prints a value as one line of JSON, in which nothing steers a terminal.
fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&format!("{}\n", escape_json(&serde_json::to_string(value).map_err(failed)?)))
}

//! `whelk plugin`: the plugins of the running server, and files that may become plugins.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use whelk_runtime::Format;

use super::inspect::{self, CheckError};
use super::outcome::{Failure, failed, lone_runtime, print, wrong};
use super::running::running_state;
use crate::config::{Config, Limits, Overrides};
use crate::server::control;
use crate::server::gateway::{lone_loader, trial_limits};

#[derive(Subcommand)]
pub(super) enum PluginVerb {
    /// List what the running server serves.
    List {
        /// The server's configuration
        #[arg(long, value_name = "FILE", conflicts_with = "state")]
        config: Option<PathBuf>,
        /// The server's state folder [default: $XDG_STATE_HOME/whelk]
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// For programs instead of people
        #[arg(long)]
        json: bool,
    },
    /// Say what a file is: its digest, imports and exports, and the grants that it needs.
    Inspect {
        /// The plugin
        file: PathBuf,
        /// For programs instead of people
        #[arg(long)]
        json: bool,
    },
    /// Do with a file what a server does before it serves it.
    Check {
        /// The plugin
        file: PathBuf,
        /// The configuration whose limits count
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

pub(super) fn plugin(verb: PluginVerb) -> Result<(), Failure> {
    let runtime = lone_runtime()?;
    match verb {
        PluginVerb::List { config, state, json } => {
            let folder = running_state(config.as_deref(), state)?;
            let answer = control::ask(&folder, control::PLUGINS);
            let answer = answer.map_err(|unanswered| failed(unanswered.reason(&folder)))?;
            print(&if json { format!("{answer}\n") } else { inspect::table(&answer) })
        }
        PluginVerb::Inspect { file, json } => {
            let limits = Limits::default();
            let loader = lone_loader(&limits).map_err(wrong)?;
            let inspected = runtime.block_on(inspect::inspect(&file, &loader, &limits));
            let inspected = inspected.map_err(|error| not_good(&file, &error))?;
            print(&if json { format!("{}\n", inspected.json()) } else { inspected.text() })
        }
        PluginVerb::Check { file, config } => {
            let config =
                config.map(|config| Config::load(&config, &Overrides::default())).transpose().map_err(wrong)?;
            let limits = config.as_ref().map_or_else(Limits::default, trial_limits);
            let loader = lone_loader(&limits).map_err(wrong)?;
            let checked = runtime.block_on(inspect::check(&file, &loader, &limits));
            let (plugin, format) = checked.map_err(|error| not_good(&file, &error))?;
            let warnings = inspect::grant_warnings(&plugin, config.as_ref());
            let remark = match format {
                Format::Component => String::new(),
                Format::CoreModule => format!(" ({})", format.description()),
            };
            print(&format!("{warnings}{}: good{remark}\n", file.display()))
        }
    }
}

fn not_good(file: &Path, error: &CheckError) -> Failure {
    let text = format!("{}: {}", file.display(), error.reason());
    match error {
        CheckError::Refused(_) => wrong(text),
        CheckError::Unfinished(_) => failed(text),
    }
}

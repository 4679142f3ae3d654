//! The command `whelk`: its verbs, and their output.
//!
//! Exit status: 0 success, 1 a failure while running, 2 an invalid command line or configuration, or another problem
//! that the operator must fix before a start can succeed; 3: reloaded, but some settings need a restart.

mod admin;
mod algorithms;
mod check;
pub mod explain;
mod hash_password;
mod inspect;
mod outcome;
mod plugin;
mod running;
mod serve;
mod stdio;
mod tenants;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use whelk_runtime::supervise::{Panicked, guard};
use whelk_runtime::{CompileSettings, InstanceLimits, ProgramRequest, compile_stdin};

use crate::config::{self, Example, Overrides};
use crate::observe::audit;
use crate::observe::logging::{self, Format, Output};
use crate::state::strict_modes::{self, Asked};
use admin::backup::StoreArguments;
use admin::doctor::DoctorArguments;
use admin::init::InitArguments;
use admin::play::PlayArguments;
use admin::user::UserVerb;
use outcome::{Failure, WRONG, failed, print};
use plugin::PluginVerb;
use running::ServerArguments;
use running::console::ConsoleArguments;
use running::drain::DrainArguments;
use running::kill::KillArguments;
use running::metrics::MetricsArguments;
use running::sessions::SessionsArguments;
use running::status::StatusArguments;
use running::watch::WatchArguments;

/// Printed at the end of `whelk --help`.
const EXIT_STATUS: &str = "\
Exit status: 0 success; 1 a failure while running; 2 an invalid command line or configuration, or another problem that \
the operator must fix before a start can succeed; 3 after a reload, of which a part needs a restart. `whelk VERB --help` says what is different for a verb.";

/// An SSH gateway whose sessions run in WebAssembly.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_STATUS)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve. Without --config it is a demonstration: anyone on this machine can log in.
    Serve {
        /// The configuration (see `whelk config`)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where to listen, instead of what the configuration says; may be given several times. Sockets that systemd
        /// passes are used instead of both [default: 127.0.0.1:2222]
        #[arg(long, value_name = "ADDR", value_parser = config::parse_address)]
        listen: Vec<SocketAddr>,
        /// Serve one connection on standard input and output (inetd, systemd with Accept=yes, ProxyCommand).
        /// See `whelk check --stdio`
        #[arg(long, conflicts_with = "listen")]
        stdio: bool,
        /// The folder of the plugins [default: plugins]
        #[arg(long, value_name = "DIR")]
        plugins: Option<PathBuf>,
        /// The folder of what is kept, such as the host key [default: $XDG_STATE_HOME/whelk]
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// Whoever may change the configuration and the plugins, as sshd's `StrictModes no`
        #[arg(long)]
        no_strict_modes: bool,
        /// The form of the log; the environment variable WHELK_LOG says what is logged
        #[arg(long, value_name = "FORM", default_value = "text")]
        log: Form,
        /// Append the log to this file instead of writing it to standard error; SIGUSR1 reopens the file
        #[arg(long, value_name = "FILE")]
        log_file: Option<PathBuf>,
    },
    Init(InitArguments),
    /// Tell the running server to read its configuration again, as SIGHUP does. An error in it changes nothing and is
    /// printed as by `whelk check` (exit status 2); what needs a restart is named, and the rest takes effect (3).
    Reload(ServerArguments),
    Status(StatusArguments),
    Metrics(MetricsArguments),
    Sessions(SessionsArguments),
    Watch(WatchArguments),
    Kill(KillArguments),
    Drain(DrainArguments),
    Console(ConsoleArguments),
    /// Print every setting with its default, as a configuration to start from.
    Config {
        /// Print a configuration for this purpose instead
        #[arg(long, value_name = "PURPOSE")]
        example: Option<Example>,
    },
    /// Check a configuration and everything that it names, plugins and what they need included.
    Check {
        /// The configuration
        file: PathBuf,
        /// Check for `whelk serve --stdio`: also says what is different there
        #[arg(long)]
        stdio: bool,
    },
    /// Print the algorithms that are offered, best first, as a table [algorithms].
    Algorithms {
        /// The configuration; without one the defaults are printed
        file: Option<PathBuf>,
        /// Print lists that ssh-audit accepts without a failure or a warning instead
        #[arg(long, conflicts_with = "file")]
        strict: bool,
    },
    /// Show what each tenant of the running server has and has used, beside its limits. With a FILE: say what its users
    /// would get and why (tenant, plugin, routes, limits, grants), without a server.
    ///
    /// CPU, IN and OUT count since the server was started. DISK: the files of the tenant's directory, or of all its
    /// homes together.
    Tenants {
        /// A configuration that is explained, instead of a running server
        #[arg(conflicts_with_all = ["config", "state", "tenant", "json"])]
        file: Option<PathBuf>,
        #[command(flatten)]
        server: ServerArguments,
        /// Of the running server, only this tenant
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// The running server's tenants, one object a line, for programs instead of people
        #[arg(long)]
        json: bool,
        /// One user of FILE instead of all
        user: Option<String>,
        /// With a FILE, say also which plugin would serve this command
        #[arg(long, value_name = "COMMAND", conflicts_with = "subsystem", requires = "file")]
        exec: Option<String>,
        /// With a FILE, say also which plugin would serve this subsystem
        #[arg(long, value_name = "NAME", requires = "file")]
        subsystem: Option<String>,
    },
    /// Make the hash of a password, for `password` in [users.NAME]: asks for it twice without echo, or reads the first
    /// line of standard input if that is no terminal.
    HashPassword,
    /// Add, remove and list the users of a configuration.
    #[command(subcommand)]
    User(UserVerb),
    Doctor(DoctorArguments),
    /// Copy the key-value store of all tenants into a new file, whether or not a server is running.
    ///
    /// The copy is a snapshot: every change confirmed before it began and none made later. Sessions are not hindered. A
    /// running server writes the copy into its state folder first, which needs free space of twice the store's size
    /// there until the copy is done. The copy is verified before it gets its name. The new file has mode 0600; a file
    /// that is there is never replaced.
    Backup {
        /// The new file
        file: PathBuf,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Put a backup in the place of the key-value store, while no server runs.
    ///
    /// The backup is verified first. The store that was there is kept beside it, as keyvalue.redb.before, or
    /// keyvalue.redb.before-1 and so on if there is such a file.
    Restore {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        store: StoreArguments,
    },
    Play(PlayArguments),
    /// Look after plugins.
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// What the server runs to compile a plugin: bytes on standard input, machine code on standard output.
    #[command(hide = true)]
    Compile {
        memory: usize,
        milliseconds: u64,
        code: usize,
        instance_memory: usize,
        /// Core instances, tables, elements of a table, memories, bytes of memory, the same of a program
        #[arg(num_args = 6, required = true)]
        instance_limits: Vec<usize>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
}

impl Verb {
    /// The format of the log, and of messages on standard error.
    fn format(&self) -> Format {
        match self {
            Verb::Serve { log: Form::Json, .. } => Format::Json,
            _ => Format::Text,
        }
    }
}

/// Parses the command line and runs the verb.
#[must_use]
pub fn main() -> ExitCode {
    let Command { verb } = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => return not_understood(&error),
    };
    if let Verb::Compile { memory, milliseconds, code, instance_memory, instance_limits } = verb {
        let settings = CompileSettings::from_arguments(memory, milliseconds, code, instance_memory);
        let limits = <[usize; 6]>::try_from(instance_limits).expect("clap takes six");
        return ExitCode::from(compile_stdin(&settings, InstanceLimits::from_arguments(limits)));
    }
    let format = verb.format();
    let done = guard("main", || run(verb, format));
    let panicked = |panicked: Panicked| Err(failed(format!("a panic: {}; exiting", panicked.reason)));
    let status = match done.unwrap_or_else(panicked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, text }) => {
            logging::fatal(format, status, &text);
            ExitCode::from(status)
        }
    };
    audit::finish();
    logging::finish();
    status
}

fn run(verb: Verb, format: Format) -> Result<(), Failure> {
    match verb {
        Verb::Serve { config, listen, stdio, plugins, state, no_strict_modes, log: _, log_file } => {
            if no_strict_modes {
                strict_modes::ask(Asked::Nothing);
            }
            let overrides = Overrides { listen, plugins, state };
            let serve = if stdio { stdio::serve } else { serve::serve };
            serve(config.as_deref(), &overrides, Output { format, file: log_file.as_deref() })
        }
        Verb::Config { example: Some(example) } => print(example.text()),
        Verb::Config { example: None } => print(&config::reference()),
        Verb::Check { file, stdio } => {
            if rustix::process::geteuid().is_root() {
                strict_modes::ask(Asked::Modes);
            }
            check::check(&file, stdio)
        }
        Verb::Algorithms { file, strict } => {
            strict_modes::ask(Asked::Nothing);
            algorithms::algorithms(file.as_deref(), strict)
        }
        Verb::Tenants { file: Some(file), user, exec, subsystem, .. } => {
            strict_modes::ask(Asked::Nothing);
            let exec = exec.as_deref().map(|command| ProgramRequest::Exec(command.as_bytes()));
            tenants::tenants(&file, user.as_deref(), exec.or(subsystem.as_deref().map(ProgramRequest::Subsystem)))
        }
        Verb::Init(arguments) => admin::init::init(&arguments),
        Verb::Backup { file, store } => admin::backup::backup(&file, &store),
        Verb::Restore { file, store } => admin::backup::restore(&file, &store),
        Verb::User(verb) => admin::user::user(verb),
        Verb::Doctor(arguments) => admin::doctor::doctor(&arguments),
        Verb::Play(arguments) => {
            strict_modes::ask(Asked::Nothing);
            admin::play::play(&arguments)
        }
        Verb::HashPassword => hash_password::hash_password(),
        Verb::Plugin(verb) => {
            strict_modes::ask(Asked::Nothing);
            plugin::plugin(verb)
        }
        verb => ask_running(verb),
    }
}

/// Runs a verb that asks a running server.
fn ask_running(verb: Verb) -> Result<(), Failure> {
    strict_modes::ask(Asked::Nothing);
    match verb {
        Verb::Reload(server) => running::reload::reload(&server),
        Verb::Status(arguments) => running::status::status(&arguments),
        Verb::Metrics(arguments) => running::metrics::metrics(&arguments),
        Verb::Sessions(arguments) => running::sessions::sessions(arguments),
        Verb::Watch(arguments) => running::watch::watch(&arguments),
        Verb::Kill(arguments) => running::kill::kill(arguments),
        Verb::Drain(arguments) => running::drain::drain(&arguments),
        Verb::Console(arguments) => running::console::console(arguments),
        Verb::Tenants { server, tenant, json, .. } => running::tenants::tenants(&server, tenant, json),
        _ => unreachable!("`run` has the other verbs, and `main` the one that compiles"),
    }
}

/// The response to an invalid command line or a request for help.
fn not_understood(error: &clap::Error) -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let wants_json =
        words.iter().any(|word| word == "--log=json") || words.windows(2).any(|two| two == ["--log", "json"]);
    if error.use_stderr() && wants_json {
        logging::fatal(Format::Json, WRONG, error.to_string().trim_end());
        return ExitCode::from(WRONG);
    }
    error.exit()
}

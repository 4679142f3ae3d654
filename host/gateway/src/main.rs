//! The command `whelk` and its verbs. What they do is in the library.
//!
//! Exit status: 0 done, 1 a failure while running, 2 a wrong command line or configuration, or anything else that an operator
//! has to mend before a start can succeed.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};
use whelk::config::{self, Config, Entrance, Limits, Overrides};
use whelk::control::{self, Control, Unanswered};
use whelk::credential;
use whelk::drain::{Phase, Stopper};
use whelk::explain::explain;
use whelk::gateway::{Gateway, THIS_PROGRAM, lone_loader, trial_limits};
use whelk::heap_trim;
use whelk::inspect::{self, CheckError};
use whelk::listener::Listener;
use whelk::logging::{self, Format};
use whelk::process;
use whelk::pump;
use whelk::signals::{GaveUp, Hangup, Signals};
use whelk::state::State;
use whelk::strict_modes::{self, Asked};
use whelk_runtime::supervise::{Panicked, caught, caught_future, supervise};
use whelk_runtime::{CompileSettings, InstanceLimits, Start, compile_stdin};
use whelk_ssh::crypto::key::HostKey;

const FAILED: u8 = 1;
const WRONG: u8 = 2;

/// An SSH gateway whose sessions run in WebAssembly.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
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
        /// Where to listen, instead of what the configuration says; may be given several times [default: 127.0.0.1:2222]
        #[arg(long, value_name = "ADDR", value_parser = config::parse_address)]
        listen: Vec<SocketAddr>,
        /// The folder of the plugins [default: plugins]
        #[arg(long, value_name = "DIR")]
        plugins: Option<PathBuf>,
        /// The folder of what is kept, such as the host key [default: $XDG_STATE_HOME/whelk]
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// Whoever may change the configuration and the plugins, as sshd's `StrictModes no`
        #[arg(long)]
        no_strict_modes: bool,
        /// The form of the log on standard error; the environment variable WHELK_LOG says what is logged
        #[arg(long, value_name = "FORM", default_value = "text")]
        log: Form,
    },
    /// Print every setting with its default, as a configuration to start from.
    Config,
    /// Check a configuration and everything that it names, plugins and what they need included.
    Check {
        /// The configuration
        file: PathBuf,
    },
    /// Say what a user would get and why: tenant, plugin, routes, limits, grants.
    Tenants {
        /// The configuration
        file: PathBuf,
        /// One user instead of all
        user: Option<String>,
        /// Say also which plugin would serve this command
        #[arg(long, value_name = "COMMAND", conflicts_with = "subsystem")]
        exec: Option<String>,
        /// Say also which plugin would serve this subsystem
        #[arg(long, value_name = "NAME")]
        subsystem: Option<String>,
    },
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
        /// Core instances, tables, elements of a table, memories, bytes of memory
        #[arg(num_args = 5, required = true)]
        instance_limits: Vec<usize>,
    },
}

#[derive(Subcommand)]
enum PluginVerb {
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

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
}

impl Verb {
    /// The form of what is said on standard error.
    fn format(&self) -> Format {
        match self {
            Verb::Serve { log: Form::Json, .. } => Format::Json,
            _ => Format::Text,
        }
    }
}

fn main() -> ExitCode {
    let Command { verb } = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => return not_understood(&error),
    };
    if let Verb::Compile { memory, milliseconds, code, instance_memory, instance_limits } = verb {
        let settings = CompileSettings::from_arguments(memory, milliseconds, code, instance_memory);
        let limits = <[usize; 5]>::try_from(instance_limits).expect("clap takes five");
        return ExitCode::from(compile_stdin(&settings, InstanceLimits::from_arguments(limits)));
    }
    let format = verb.format();
    let done = caught("main", || run(verb, format));
    let panicked = |panicked: Panicked| Err(failed(format!("a panic: {}; exiting", panicked.reason)));
    let status = match done.unwrap_or_else(panicked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, text }) => {
            logging::fatal(format, status, &text);
            ExitCode::from(status)
        }
    };
    logging::finish();
    status
}

fn run(verb: Verb, format: Format) -> Result<(), Failure> {
    match verb {
        Verb::Serve { config, listen, plugins, state, no_strict_modes, log: _ } => {
            if no_strict_modes {
                strict_modes::ask(Asked::Nothing);
            }
            serve(config.as_deref(), Overrides { listen, plugins, state }, format)
        }
        Verb::Config => print(&config::reference()),
        Verb::Check { file } => {
            if rustix::process::geteuid().is_root() {
                strict_modes::ask(Asked::Modes);
            }
            check(&file)
        }
        Verb::Tenants { file, user, exec, subsystem } => {
            strict_modes::ask(Asked::Nothing);
            let exec = exec.as_deref().map(|command| Start::Exec(command.as_bytes()));
            tenants(&file, user.as_deref(), exec.or(subsystem.as_deref().map(Start::Subsystem)))
        }
        Verb::Plugin(verb) => {
            strict_modes::ask(Asked::Nothing);
            plugin(verb)
        }
        Verb::Compile { .. } => unreachable!("it has no log, and has been done before"),
    }
}

/// What a command line that is not understood, or asks for help, is answered with.
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

/// Why the program ends, and with which status.
struct Failure {
    status: u8,
    text: String,
}

fn wrong(error: impl Display) -> Failure {
    Failure { status: WRONG, text: error.to_string() }
}

fn failed(error: impl Display) -> Failure {
    Failure { status: FAILED, text: error.to_string() }
}

fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::load(file, &Overrides::default()).map_err(wrong)?;
    let notes: String = config.notes.iter().map(|note| format!("{note}\n")).collect();
    let shortages: String =
        process::shortages(&config).iter().map(|shortage| format!("this machine: {shortage}\n")).collect();
    process::check_start(&config.limits).map_err(wrong)?;
    let loader = lone_loader(&trial_limits(&config)).map_err(wrong)?;
    let faults = lone_runtime()?.block_on(inspect::check_named(&config, &loader));
    if !faults.operators.is_empty() {
        return Err(wrong(faults.operators.join("\n")));
    }
    let theirs: String = faults.tenants.iter().chain(&faults.unfinished).map(|fault| format!("{fault}\n")).collect();
    // Notes are no failure: one user's file of keys must not keep a server from starting that is checked first (ExecStartPre=).
    print(&format!("{notes}{shortages}{theirs}{}: good\n", file.display()))
}

/// For a verb that serves nobody.
fn lone_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)
}

fn tenants(file: &Path, user: Option<&str>, start: Option<Start<'_>>) -> Result<(), Failure> {
    let config = Config::load(file, &Overrides::default()).map_err(wrong)?;
    print(&explain(&config, user, start).map_err(wrong)?)
}

fn plugin(verb: PluginVerb) -> Result<(), Failure> {
    let runtime = lone_runtime()?;
    match verb {
        PluginVerb::List { config, state, json } => {
            let folder = match (config, state) {
                (Some(file), _) => Config::load(&file, &Overrides::default()).map_err(wrong)?.state,
                (None, Some(state)) => state,
                (None, None) => config::default_state().map_err(wrong)?,
            };
            let answer = control::ask(&folder, control::PLUGINS).map_err(|unanswered| match unanswered {
                Unanswered::Nobody => failed(format!("no whelk is running with the state folder {}", folder.display())),
                Unanswered::Failed(reason) => failed(reason),
            })?;
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
            let plugin = checked.map_err(|error| not_good(&file, &error))?;
            let warnings = inspect::grant_warnings(&plugin, config.as_ref());
            print(&format!("{warnings}{}: good\n", file.display()))
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

fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn serve(file: Option<&Path>, overrides: Overrides, format: Format) -> Result<(), Failure> {
    let maps = process::map_large_allocations();
    strict_modes::tighten_umask();
    let config = match file {
        Some(file) => Config::load(file, &overrides),
        None => Config::demonstration(&overrides),
    };
    let config = config.map_err(wrong)?;
    process::check_start(&config.limits).map_err(wrong)?;
    logging::start(format, give_up_the_log).map_err(wrong)?;
    if !maps {
        tracing::warn!("the C library keeps its own threshold for mapping memory: what is freed may stay taken");
    }
    let demonstration = matches!(config.entrance, Entrance::Demonstration);
    // First of all: until then a SIGHUP would kill the process without a word.
    let stopper = Stopper::new();
    let hangup = if demonstration { Hangup::Stops } else { Hangup::Reloads };
    let signals = Signals::catch().map_err(failed)?;
    signals.obey(stopper.clone(), hangup, config.limits.drain, give_up).map_err(failed)?;
    warn_at_start(&config, demonstration);
    process::forbid_dumps(!demonstration);
    let state = State::open(&config.state).map_err(wrong)?;
    let _lock = state.lock().map_err(wrong)?;
    let host_key = host_key(&state)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let served = runtime.block_on(async {
        let listener = Listener::bind(&config).map_err(wrong)?;
        let gateway = Arc::new(Gateway::new(&config, vec![host_key], &stopper).map_err(wrong)?);
        let mut stopped = stopper.drain();
        let reload = tokio::select! {
            reload = gateway.load(&config, &state, Path::new(THIS_PROGRAM)) => reload.map_err(wrong)?,
            () = stopped.reached(Phase::Draining) => return Ok(()),
        };
        let control = Control::open(&state, &reload);
        if let Err(error) = &control {
            tracing::warn!(%error, "the running server cannot be asked for its plugins");
        }
        let trimmed = Arc::clone(&gateway);
        tokio::spawn(supervise("heap trim", move || heap_trim::give_back(Arc::clone(&trimmed)), |_| ()));
        tokio::spawn(supervise("dropped lines", logging::tell_dropped, |_| ()));
        for address in listener.addresses().map_err(failed)? {
            tracing::info!(%address, "listening");
        }
        let (prepared, checking, named) = (reload.prepared(), Arc::clone(&gateway), config.clone());
        tokio::spawn(async move {
            prepared.await;
            checking.warn_of_missing_grants(&named);
        });
        let serve =
            listener.serve(&stopper, move |stream, peer, permit| pump::run(stream, peer, permit, Arc::clone(&gateway)));
        caught_future("listener", serve)
            .await
            .map_err(|_| failed("the task that accepts connections has panicked; exiting"))
    });
    // A password that is still being hashed is no reason to wait.
    runtime.shutdown_background();
    served
}

/// Says what the operator should know of a configuration that is good.
fn warn_at_start(config: &Config, demonstration: bool) {
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    for process::Shortage { resource, has, needs, change } in process::shortages(config) {
        tracing::warn!(resource, has, needs, change, "the machine has less than the limits may take");
    }
    if demonstration {
        tracing::warn!("{}", config::DEMONSTRATION);
    }
}

/// Ends a process that does not end by itself, since a thread that is waited for hangs in a disk, a plugin or a library.
fn give_up(why: GaveUp) {
    tracing::error!("{why}");
    logging::finish();
    process::exit_at_once(FAILED)
}

/// Ends the process when its log cannot be written any more. Standard error may still take a line.
fn give_up_the_log() {
    let _ = writeln!(std::io::stderr(), "the thread that writes the log has panicked; exiting");
    process::exit_at_once(FAILED)
}

/// The host key of the state folder, made at the first start. Its fingerprint is what a user compares at the first login.
fn host_key(state: &State) -> Result<HostKey, Failure> {
    let key = match state.read_host_key().map_err(wrong)? {
        Some(text) => HostKey::from_openssh(&text).map_err(|error| wrong(state.refuse_host_key(error)))?,
        None => {
            let key = HostKey::generate().map_err(failed)?;
            state.write_host_key(&key.to_openssh(), &credential::public_line(key.public().blob())).map_err(wrong)?;
            key
        }
    };
    let public = key.public();
    tracing::info!(algorithm = public.algorithm(), fingerprint = %public.fingerprint(), "host key");
    Ok(key)
}

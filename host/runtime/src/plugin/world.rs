//! What a component is built for, and where its functions are.

use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre};

use super::interfaces::{self, AUTHENTICATOR, CONNECTION_HANDLER, RUN, SESSION};
use super::refusal;
use crate::channel::MissingHandlers;
use crate::error::Error;
use crate::host::State;
use crate::host::bindings::{exports, run};

/// The worlds of which a component can be, by what tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorldKind {
    /// `session-plugin`.
    Handler,
    /// `authenticator-plugin`.
    Authenticator,
    /// `connection-plugin`.
    Connection,
    /// `program`.
    Program,
}

/// A component's world, with its functions. What a process runs follows from it (`process/functions.rs`).
#[expect(clippy::large_enum_variant, reason = "a plugin has one, and few plugins are authenticators")]
pub(crate) enum World {
    /// `session-plugin`: functions that are called for each event of a session.
    Handler(HandlerExports),
    /// `authenticator-plugin`: a function that decides about attempts to log in.
    Authenticator(exports::authenticator::GuestIndices),
    /// `connection-plugin`: functions that decide about channels and requests of a connection.
    Connection(exports::connection_handler::GuestIndices),
    /// `program`: a function that runs once, with arguments and standard streams.
    Program(run::GuestIndices),
}

/// Where the functions of a `session-plugin` are; the optional interfaces are looked up once, here.
pub(crate) struct HandlerExports {
    pub(crate) session: exports::session::GuestIndices,
    pub(crate) timer: Option<exports::timer_handler::GuestIndices>,
    pub(crate) drain: Option<exports::drain_handler::GuestIndices>,
    pub(crate) line_break: Option<exports::break_handler::GuestIndices>,
    pub(crate) request: Option<exports::request_handler::GuestIndices>,
    pub(crate) message: Option<exports::message_handler::GuestIndices>,
}

impl WorldKind {
    /// Tells by its exports what a component is built for. No other place does.
    ///
    /// # Errors
    /// Why it cannot be run.
    pub(super) fn of(exports: &[&str]) -> Result<Self, String> {
        // In this order: toolchains export `wasi:cli/run` along with what they are asked for.
        let kinds = [
            (SESSION, Self::Handler),
            (AUTHENTICATOR, Self::Authenticator),
            (CONNECTION_HANDLER, Self::Connection),
            (RUN, Self::Program),
        ];
        let kind = kinds.into_iter().find(|(interface, _)| has(exports, interface)).map(|(_, kind)| kind);
        kind.ok_or_else(|| match exports {
            [] => format!("it exports nothing; a plugin exports {SESSION}@0.1.0, a program {RUN}@0.2"),
            _ => format!("it exports {}, but neither {SESSION}@0.1.0 nor {RUN}@0.2", exports.join(", ")),
        })
    }

    /// Its name in `wit/worlds.wit`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Handler => "session-plugin",
            Self::Authenticator => "authenticator-plugin",
            Self::Connection => "connection-plugin",
            Self::Program => "program",
        }
    }

    /// Looks up the functions of a component of this world.
    pub(super) fn find(self, pre: &InstancePre<State>) -> Result<World, Error> {
        match self {
            Self::Handler => HandlerExports::find(pre).map(World::Handler),
            Self::Authenticator => exports::authenticator::GuestIndices::new(pre)
                .map(World::Authenticator)
                .map_err(|error| refusal::not_an_authenticator(&error)),
            Self::Connection => exports::connection_handler::GuestIndices::new(pre)
                .map(World::Connection)
                .map_err(|error| refusal::not_a_connection_plugin(&error)),
            Self::Program => {
                run::GuestIndices::new(pre).map(World::Program).map_err(|error| refusal::not_a_program(&error))
            }
        }
    }
}

/// Whether a component with these exports is a program.
pub(crate) fn is_program(exports: &[&str]) -> bool {
    WorldKind::of(exports) == Ok(WorldKind::Program)
}

/// Tells what it is built for, and names everything that is missing, strange or of another version, before the linker
/// stops at the first.
pub(super) fn check_interfaces(engine: &Engine, component: &Component) -> Result<WorldKind, Error> {
    let ty = component.component_type();
    let exports: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
    let (kind, mut reasons) = match WorldKind::of(&exports) {
        Ok(WorldKind::Handler) => (Some(WorldKind::Handler), interfaces::session_misfits(engine, &ty)),
        Ok(WorldKind::Authenticator) => (
            Some(WorldKind::Authenticator),
            interfaces::version_misfit(engine, &ty, AUTHENTICATOR).into_iter().collect(),
        ),
        Ok(WorldKind::Connection) => (
            Some(WorldKind::Connection),
            interfaces::version_misfit(engine, &ty, CONNECTION_HANDLER).into_iter().collect(),
        ),
        Ok(WorldKind::Program) => (Some(WorldKind::Program), interfaces::run_misfit(engine, &ty).into_iter().collect()),
        Err(reason) => (None, vec![reason]),
    };
    let controls = kind == Some(WorldKind::Connection);
    let is_program = kind == Some(WorldKind::Program);
    let misfit = |import| {
        interfaces::import_misfit(import)
            .or_else(|| interfaces::control_misfit(import, controls))
            .or_else(|| interfaces::program_misfit(import, is_program))
    };
    reasons.extend(ty.imports(engine).filter_map(|(import, _)| misfit(import)));
    kind.filter(|_| reasons.is_empty()).ok_or_else(|| Error::Refused(reasons.join("; ")))
}

/// Whether an interface of this name, in any version, is among the exports.
fn has(exports: &[&str], name: &str) -> bool {
    exports.iter().any(|export| export.split('@').next() == Some(name))
}

impl World {
    /// Whether a session can be served by it.
    pub(crate) fn serves_sessions(&self) -> bool {
        self.serves_no_sessions().is_none()
    }

    /// Its name in `wit/worlds.wit`.
    pub(super) fn name(&self) -> &'static str {
        let kind = match self {
            Self::Handler(_) => WorldKind::Handler,
            Self::Authenticator(_) => WorldKind::Authenticator,
            Self::Connection(_) => WorldKind::Connection,
            Self::Program(_) => WorldKind::Program,
        };
        kind.name()
    }

    /// Whether it decides about logins.
    pub(crate) fn decides_logins(&self) -> bool {
        matches!(self, Self::Authenticator(_))
    }

    /// Whether it handles whole connections.
    pub(crate) fn handles_connections(&self) -> bool {
        matches!(self, Self::Connection(_))
    }

    /// Why no session can be served by it; none if one can.
    pub(crate) fn serves_no_sessions(&self) -> Option<&'static str> {
        match self {
            Self::Handler(_) | Self::Program(_) => None,
            Self::Authenticator(_) => Some("it is an authenticator, which decides about logins and serves no sessions"),
            Self::Connection(_) => {
                Some("it is a connection plugin, which handles whole connections and serves no sessions")
            }
        }
    }

    /// Whether it is a program, which is run once.
    pub(crate) fn is_program(&self) -> bool {
        matches!(self, Self::Program(_))
    }

    /// Which requests are refused without asking it.
    pub(crate) fn missing_handlers(&self) -> MissingHandlers {
        let Self::Handler(exports) = self else { return MissingHandlers { requests: true, breaks: true } };
        MissingHandlers { requests: exports.request.is_none(), breaks: exports.line_break.is_none() }
    }

    /// Its optional handlers, in the order of the interfaces' names.
    pub(super) fn handlers(&self) -> Vec<&'static str> {
        let Self::Handler(exports) = self else { return Vec::new() };
        let handlers = [
            ("break-handler", exports.line_break.is_some()),
            ("drain-handler", exports.drain.is_some()),
            ("message-handler", exports.message.is_some()),
            ("request-handler", exports.request.is_some()),
            ("timer-handler", exports.timer.is_some()),
        ];
        handlers.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }
}

impl HandlerExports {
    fn find(pre: &InstancePre<State>) -> Result<Self, Error> {
        Ok(Self {
            session: exports::session::GuestIndices::new(pre).map_err(|error| refusal::not_a_session(&error))?,
            timer: refusal::optional(pre, "timer-handler", exports::timer_handler::GuestIndices::new)?,
            drain: refusal::optional(pre, "drain-handler", exports::drain_handler::GuestIndices::new)?,
            line_break: refusal::optional(pre, "break-handler", exports::break_handler::GuestIndices::new)?,
            request: refusal::optional(pre, "request-handler", exports::request_handler::GuestIndices::new)?,
            message: refusal::optional(pre, "message-handler", exports::message_handler::GuestIndices::new)?,
        })
    }
}

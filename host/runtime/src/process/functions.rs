//! What a store runs: the functions of its component, as the component's world has them.

use wasmtime::Store;
use wasmtime::component::Instance;

use crate::host::State;
use crate::host::bindings::exports::{
    authenticator, break_handler, connection_handler, drain_handler, message_handler, request_handler, session,
    timer_handler,
};
use crate::host::bindings::run;
use crate::plugin::world::{HandlerExports, World};

/// What a process runs.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
pub(crate) enum Functions {
    /// Functions that are called for each event (world `session-plugin`).
    Handler(HandlerFunctions),
    /// One function that decides about attempts to log in (world `authenticator-plugin`).
    Authenticator(authenticator::Guest),
    /// Functions that decide about channels and requests of a connection (world `connection-plugin`).
    Connection(connection_handler::Guest),
    /// One function that runs once (world `program`).
    Program(run::Guest),
}

/// The functions of the world `session-plugin`; a plugin need not have the optional ones.
pub(crate) struct HandlerFunctions {
    pub(super) session: session::Guest,
    pub(super) timer: Option<timer_handler::Guest>,
    pub(super) drain: Option<drain_handler::Guest>,
    pub(super) line_break: Option<break_handler::Guest>,
    pub(super) request: Option<request_handler::Guest>,
    pub(super) message: Option<message_handler::Guest>,
}

impl Functions {
    /// Looks up the functions of this instance. They were found when its plugin was loaded, so this fails only with
    /// the host.
    pub(super) fn load(world: &World, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self> {
        match world {
            World::Handler(exports) => HandlerFunctions::load(exports, store, instance).map(Self::Handler),
            World::Authenticator(exports) => exports.load(store, instance).map(Self::Authenticator),
            World::Connection(exports) => exports.load(store, instance).map(Self::Connection),
            World::Program(exports) => exports.load(store, instance).map(Self::Program),
        }
    }
}

impl HandlerFunctions {
    fn load(exports: &HandlerExports, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self> {
        Ok(Self {
            session: exports.session.load(&mut *store, instance)?,
            timer: exports.timer.as_ref().map(|timer| timer.load(&mut *store, instance)).transpose()?,
            drain: exports.drain.as_ref().map(|drain| drain.load(&mut *store, instance)).transpose()?,
            line_break: exports.line_break.as_ref().map(|line| line.load(&mut *store, instance)).transpose()?,
            request: exports.request.as_ref().map(|request| request.load(&mut *store, instance)).transpose()?,
            message: exports.message.as_ref().map(|message| message.load(&mut *store, instance)).transpose()?,
        })
    }
}

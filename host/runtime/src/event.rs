//! The events of the plugin host: one typed value for each thing that is worth a line of the log.
//!
//! [`events!`](crate::events) declares an enum of events, describes each variant and writes its line. Both crates use
//! it; this module has the events of the plugin host. `emit` writes the line, and hands the event to the program's
//! subscriber, if there is one.
//!
//! Names, fields and parts are stable: operators filter by them, and programs read them. `host/gateway/EVENTS.md` lists
//! them all.
//!
//! Decided 2026-11-29: the plugin host writes its own lines and knows of one function that also wants its events
//! ([`subscribe`]). Refused: a trait through which the gateway writes them (the plugin host would be silent in its own
//! tests), and a crate of its own for forty lines of macro. The part of a line is declared: while it was the module
//! that happened to emit the line, each move of a file broke filters.
//!
//! Decided 2026-11-29: a line shows a connection as `7f3a9c21-42`: a random number of this run of the program, and the
//! number of the connection in it ([`ConnectionIdentity`]). So one search finds the lines of one connection in the logs
//! of many machines and restarts, in both forms of the log, and an operator may name it in full or by the number alone.
//! Refused: a field of its own for the run, which a search would have to ask for as well; the time of the start, which
//! is longer and not unique. Events, tables and plugins keep the number.

mod path;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

pub use path::{PathText, ShownPath};
use tracing::Level;

use crate::error::label::FailureLabel;

/// Tells this run of the program from all others. Unset in a program that writes no log.
static RUN: OnceLock<u32> = OnceLock::new();

/// Sets the number by which lines tell this run of the program from all others: random, chosen at the start. False if
/// it was set before, and then nothing changes.
pub fn set_run(run: u32) -> bool {
    RUN.set(run).is_ok()
}

/// This run of the program, as lines show it: eight hexadecimal digits, or nothing if it has no number.
#[must_use]
pub fn run() -> String {
    RUN.get().map(|run| format!("{run:08x}")).unwrap_or_default()
}

/// A connection as lines show it. The number of the run is 32 random bits, so hardly any two runs share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionIdentity(
    /// Its number, from 1 on since the start.
    pub u64,
);

impl fmt::Display for ConnectionIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RUN.get() {
            Some(run) => write!(f, "{run:08x}-{}", self.0),
            None => self.0.fmt(f),
        }
    }
}

/// The number of a connection as the field of an event has it.
#[doc(hidden)]
pub trait ConnectionNumber {
    /// What is written.
    type Shown: tracing::Value;

    /// The identity of the connection.
    fn shown(self) -> Self::Shown;
}

impl ConnectionNumber for u64 {
    type Shown = tracing::field::DisplayValue<ConnectionIdentity>;

    fn shown(self) -> Self::Shown {
        tracing::field::display(ConnectionIdentity(self))
    }
}

impl ConnectionNumber for Option<u64> {
    type Shown = Option<tracing::field::DisplayValue<ConnectionIdentity>>;

    fn shown(self) -> Self::Shown {
        self.map(u64::shown)
    }
}

/// The value of one field of an event.
#[derive(Clone, Copy)]
pub enum FieldValue<'v> {
    /// The event does not have it.
    Nothing,
    /// A whole number.
    Number(u64),
    /// Another number.
    Float(f32),
    /// A text.
    Text(&'v str),
    /// A text, as its line shows it.
    Shown(&'v dyn fmt::Display),
    /// Bytes of which its line may show less.
    Bytes(&'v [u8]),
    /// A path of which its line may show the end alone.
    Path(&'v str),
}

/// A type of fields whose value needs no other form.
#[doc(hidden)]
pub trait Plain {
    /// The value.
    fn value(&self) -> FieldValue<'_>;
}

macro_rules! plain_numbers {
    ($($number:ty),*) => {
        $(
            impl Plain for $number {
                fn value(&self) -> FieldValue<'_> {
                    FieldValue::Number(*self as u64)
                }
            }
        )*
    };
}

plain_numbers!(u8, u16, u32, u64, usize);

impl Plain for f32 {
    fn value(&self) -> FieldValue<'_> {
        FieldValue::Float(*self)
    }
}

impl Plain for &str {
    fn value(&self) -> FieldValue<'_> {
        FieldValue::Text(self)
    }
}

impl Plain for PathText<'_> {
    fn value(&self) -> FieldValue<'_> {
        FieldValue::Path(self.whole)
    }
}

impl<T: Plain> Plain for Option<T> {
    fn value(&self) -> FieldValue<'_> {
        self.as_ref().map_or(FieldValue::Nothing, Plain::value)
    }
}

/// What is known of an event before it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// The stable name: the family, an underscore, and what happened.
    pub name: &'static str,
    /// The levels that its line can have: mostly one.
    pub levels: &'static [&'static str],
    /// The target of its line: the part of the server by which a filter selects it.
    pub part: &'static str,
    /// The message of its line, with values in braces. Empty if it has none, or if a field of that name is the message.
    pub message: &'static str,
    /// The fields of its line in their order: the name, and the type as it is written in Rust.
    pub fields: &'static [(&'static str, &'static str)],
    /// When it is emitted.
    pub when: &'static str,
}

/// Declares an enum of events.
///
/// ```text
/// events! {
///     /// What they have in common.
///     pub enum DiskEvent<'a> {
///         /// When this is emitted.
///         Full("disk_full", WARN, "whelk::disk", "the disk {name} is full") {
///             bytes: u64,
///             #[display] error: &'a io::Error,
///             ; name: &'a str,
///         }
///     }
/// }
/// ```
///
/// The parentheses hold the stable name, the level, the part, and the message if no field is called `message`. A field
/// `connection` is a number, and its line shows the [`ConnectionIdentity`].
/// `#[display]` writes a field with `Display`, `#[bytes]` one that is bytes and shows fewer, `#[path]` a path,
/// `#[escape_default]` a text that may hold anything, `#[shown]` a [`PathText`]. Fields after the `;` are not written
/// as fields: the message may show them, and subscribers read them. An event with a choice of levels (`INFO | WARN`)
/// has its own as the first of those, as `level: Level`.
#[macro_export]
macro_rules! events {
    (
        $(#[$about:meta])*
        pub enum $Events:ident<$life:lifetime> {
            $(
                $(#[doc = $when:literal])+
                $Event:ident($name:literal, $($level:ident)|+, $part:literal $(, $message:literal)?) {
                    $( $(#[$how:ident])? $field:ident : $type:ty ),* $(,)?
                    $( ; $( $beside:ident : $beside_type:ty ),* $(,)? )?
                }
            )*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy)]
        #[expect(missing_docs, reason = "fields are called as in the log; `EVENTS.md` says what each means")]
        pub enum $Events<$life> {
            $(
                $(#[doc = $when])+
                $Event { $( $field: $type, )* $( $( $beside: $beside_type, )* )? },
            )*
        }

        impl $Events<'_> {
            /// What is known of each of these events, in the order of the enum.
            pub const ALL: &'static [$crate::event::Description] = &[
                $(
                    $crate::event::Description {
                        name: $name,
                        levels: &[$(stringify!($level)),+],
                        part: $part,
                        message: concat!($($message)?),
                        fields: &[$((stringify!($field), stringify!($type))),*],
                        when: concat!($($when),+).trim_ascii(),
                    },
                )*
            ];

            /// The stable name of this event.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $( Self::$Event { .. } => $name, )*
                }
            }

            /// Shows each of its fields, in their order.
            pub fn visit(&self, visit: &mut dyn FnMut(&'static str, $crate::event::FieldValue<'_>)) {
                match *self {
                    $(
                        Self::$Event { $( $field, )* .. } => {
                            $( visit(stringify!($field), $crate::plain_value!($($how)? $field)); )*
                        }
                    )*
                }
            }

            /// Writes its line to the log, if lines of its level are wanted.
            pub fn log(&self) {
                match *self {
                    $(
                        Self::$Event { $( $field, )* $( $( $beside, )* )? } => {
                            $crate::write_line!(
                                $part, [$($level)+], [$( $( $beside )* )?],
                                { $( $field = $crate::field_value!($field; $($how)? $field) ),* },
                                [$($message)?]
                            );
                        }
                    )*
                }
            }
        }
    };
}

/// The line of one event, at its one level or at the one of several that it has.
#[doc(hidden)]
#[macro_export]
macro_rules! write_line {
    ($part:literal, [$level:ident], [$($beside:ident)*], $fields:tt, [$($message:literal)?]) => {
        // The message may show them or not.
        $( let _ = $beside; )*
        tracing::event!(target: $part, tracing::Level::$level, $fields $(, $message)?)
    };
    ($part:literal, [$($level:ident)+], [$own:ident $($beside:ident)*], $fields:tt, $message:tt) => {
        $( let _ = $beside; )*
        $( if $own == tracing::Level::$level { $crate::write_line!($part, [$level], [], $fields, $message) } )+
    };
}

/// A field's value by itself.
#[doc(hidden)]
#[macro_export]
macro_rules! plain_value {
    ($field:ident) => {
        $crate::event::Plain::value(&$field)
    };
    (display $field:ident) => {
        $crate::event::FieldValue::Shown(&$field)
    };
    (path $field:ident) => {
        $crate::event::FieldValue::Shown(&$field.display())
    };
    (escape_default $field:ident) => {
        $crate::event::FieldValue::Text($field)
    };
    (bytes $field:ident) => {
        $crate::event::FieldValue::Bytes($field.as_ref())
    };
    (shown $field:ident) => {
        $crate::event::Plain::value(&$field)
    };
}

/// A field's value as `tracing` takes it, by the name of the field and by how it is written.
#[doc(hidden)]
#[macro_export]
macro_rules! field_value {
    (connection; $field:ident) => {
        $crate::event::ConnectionNumber::shown($field)
    };
    ($name:ident; $field:ident) => {
        $field
    };
    ($name:ident; display $field:ident) => {
        tracing::field::display($field)
    };
    ($name:ident; path $field:ident) => {
        tracing::field::display($field.display())
    };
    ($name:ident; escape_default $field:ident) => {
        tracing::field::display($field.escape_default())
    };
    ($name:ident; bytes $field:ident) => {
        tracing::field::display($field)
    };
    ($name:ident; shown $field:ident) => {
        $crate::event::ShownPath::shown($field)
    };
}

/// Is told of an event, where it happens.
pub type EventSubscriber = fn(&LogEvent<'_>);

/// Who else wants the events.
static SUBSCRIBER: OnceLock<(EventSubscriber, FileEvents)> = OnceLock::new();

/// Which of the events of files a subscriber is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileEvents {
    /// All of them, which costs each operation on a file a microsecond.
    All,
    /// Those that have a line in the log.
    Logged,
}

/// Hands every event from now on to this function as well, after its line was written. It is called where the event
/// happens, so it must neither wait nor panic. A program does this once: false if it was done before, and then nothing
/// changes.
pub fn subscribe(subscriber: EventSubscriber, files: FileEvents) -> bool {
    SUBSCRIBER.set((subscriber, files)).is_ok()
}

/// Something has happened: writes it to the log, and tells the subscriber.
pub(crate) fn emit(event: LogEvent<'_>) {
    event.log();
    tell_subscriber(&event);
}

/// Whether somebody else wants the events of files that have no line.
pub(crate) fn wants_all_file_events() -> bool {
    SUBSCRIBER.get().is_some_and(|(_, files)| *files == FileEvents::All)
}

/// Tells the subscriber of an event whose line is not written.
pub(crate) fn tell_subscriber(event: &LogEvent<'_>) {
    if let Some((subscriber, _)) = SUBSCRIBER.get() {
        subscriber(event);
    }
}

events! {
    /// What happens in the plugin host.
    pub enum LogEvent<'a> {
        /// A session goes on with another plugin: a route or the plugin that had it said so.
        SessionPassedOn("session_passed_on", INFO, "whelk_runtime::session", "session passed on") {
            connection: Option<u64>,
            channel: u32,
            tenant: &'a str,
            plugin: &'a str,
            generation: u32,
            from: &'a str,
        }
        /// A start request was routed to a plugin that does not exist or lacks a grant, or the session has used up its
        /// `hand_overs`. Once a session.
        SessionRouteRefused("session_route_refused", WARN, "whelk_runtime::session", "route refused") {
            connection: Option<u64>,
            channel: u32,
            tenant: &'a str,
            plugin: &'a str,
            #[display] reason: &'a (dyn Error + 'a),
        }
        /// A start request led to a plugin that was still being compiled after `prepare_wait`: the client is told to
        /// try again.
        SessionPutOff(
            "session_put_off", INFO, "whelk_runtime::session", "session ended: its next plugin is not ready"
        ) {
            connection: Option<u64>,
            channel: u32,
            tenant: &'a str,
            reason: &'a str,
        }
        /// A request of the client that its plugin or the host refused. Ten a session.
        SessionRequestRefused("session_request_refused", INFO, "whelk_runtime::host::log", "request refused") {
            connection: Option<u64>,
            channel: u32,
            tenant: &'a str,
            user: &'a str,
            plugin: &'a str,
            what: &'a str,
            detail: Option<&'a str>,
            reason: &'a str,
            last: Option<&'a str>,
        }
        /// The plugin did not want a variable that the client set.
        SessionVariableRefused(
            "session_variable_refused", DEBUG, "whelk_runtime::process", "variable refused by the plugin"
        ) {
            plugin: &'a str,
            name: &'a str,
        }
        /// A client did not read the last output of an ended session for `output_stall`, while its tenant or the server
        /// ran short of space.
        SessionOutputDiscarded(
            "session_output_discarded", WARN, "whelk_runtime::limits::budget::unsent", "unread output discarded"
        ) {
            connection: Option<u64>,
            channel: u32,
            tenant: &'a str,
            #[escape_default] user: &'a str,
            plugin: &'a str,
            bytes: usize,
            unread_for: &'a str,
        }
        /// An instance of a plugin or program was made: of a session, of a process that another has started, or of an
        /// authenticator.
        ProcessStarted("process_started", DEBUG, "whelk_runtime::process", "process started") {
            connection: Option<u64>,
            channel: u32,
            tenant: &'a str,
            plugin: &'a str,
            generation: u32,
            took_ms: f32,
            ; purpose: &'static str,
        }
        /// A process that another one has started has failed: it trapped, met a limit, or the host is at fault. Its
        /// session goes on.
        ProcessChildFailed("process_child_failed", WARN, "whelk_runtime::process", "child process failed") {
            connection: Option<u64>,
            channel: u32,
            tenant: &'a str,
            plugin: &'a str,
            generation: u32,
            error: &'a str,
            ; failure: FailureLabel,
        }
        /// Processes have not ended ten seconds after SIGKILL: the host works for them, such as on a disk that does not
        /// answer. Their session ends without them. They count for their tenant until they are gone.
        ProcessLeft("process_left", ERROR, "whelk_runtime::session", "processes do not end") {
            connection: Option<u64>,
            channel: u32,
            tenant: &'a str,
            processes: &'a str,
        }
        /// The host panicked while it dropped a process: some of its memory may stay taken.
        ProcessDropFailed(
            "process_drop_failed", ERROR, "whelk_runtime::engine::reaper", "an instance was let go only in part"
        ) {
            panic: &'a str,
        }
        /// What a plugin writes to its log or to its standard streams.
        PluginLine("plugin_line", TRACE | DEBUG | INFO | WARN | ERROR, "plugin") {
            plugin: &'a str,
            connection: Option<u64>,
            channel: u32,
            message: &'a str,
            ; level: Level,
        }
        /// A plugin wanted to connect to something that its tenant is not granted.
        PluginDestinationDenied("plugin_destination_denied", WARN, "plugin", "destination denied") {
            tenant: &'a str,
            plugin: &'a str,
            connection: Option<u64>,
            channel: u32,
            destination: &'a str,
            reason: &'a str,
        }
        /// A version of a plugin that was given up is tried again, and starts.
        PluginResumed("plugin_resumed", INFO, "whelk_runtime::plugin::health::trial", "plugin resumed") {
            plugin: &'a str,
            generation: u32,
            tenant: &'a str,
            user: Option<&'a str>,
        }
        /// Sessions of a version crash as they start: for the time `pause`, new ones get the older version `to`.
        PluginRolledBack("plugin_rolled_back", ERROR, "whelk_runtime::plugin::health::trial", "plugin rolled back") {
            plugin: &'a str,
            generation: u32,
            to: u32,
            tenant: &'a str,
            user: Option<&'a str>,
            pause: &'a str,
        }
        /// Sessions of a version crash as they start, and there is no older one: for the time `pause`, none is started.
        PluginSuspended("plugin_suspended", ERROR, "whelk_runtime::plugin::health::trial", "plugin suspended") {
            plugin: &'a str,
            generation: u32,
            tenant: &'a str,
            user: Option<&'a str>,
            pause: &'a str,
        }
        /// More than `generations` versions of a plugin had sessions: those of the oldest are ended.
        PluginGenerationEnded(
            "plugin_generation_ended", WARN, "whelk_runtime::plugin::registry", "plugin generation ended"
        ) {
            plugin: &'a str,
            generation: u32,
        }
        /// Compiled code in the cache was damaged, or not ours. The plugin is compiled anew.
        PluginCodeDiscarded(
            "plugin_code_discarded", WARN, "whelk_runtime::plugin::compile::cache", "compiled code discarded"
        ) {
            #[path] file: &'a Path,
            reason: &'a str,
        }
        /// Compiled code could not be written to the cache. The plugin is compiled again at the next start.
        PluginCodeNotKept(
            "plugin_code_not_kept", WARN, "whelk_runtime::plugin::compile::loader", "compiled code cannot be kept"
        ) {
            #[display] error: &'a io::Error,
        }
        /// What a plugin did to a file, or was refused. `write-end` and `read-end` come once for each open file, when
        /// it is closed: `write-end` if it was written to, otherwise `read-end` if it was read. Lines are bounded by
        /// `log_rate`; programs in this process hear of all.
        FileUsed("file_used", INFO, "audit", "file") {
            tenant: &'a str,
            user: &'a str,
            plugin: &'a str,
            connection: Option<u64>,
            channel: u32,
            operation: &'a str,
            #[shown] path: PathText<'a>,
            #[shown] to_path: Option<PathText<'a>>,
            bytes: Option<u64>,
            read: Option<u64>,
            refused: Option<&'a str>,
        }
        /// There were more file events than `log_rate` lets through to the log.
        FileEventsLeftOut("file_events_left_out", WARN, "audit", "file events left out") {
            tenant: &'a str,
            plugin: &'a str,
            connection: Option<u64>,
            channel: u32,
            left_out: u64,
        }
        /// A home was made: of a principal, or a temporary one of a connection or session.
        HomeMade("home_made", INFO, "audit", "home made") {
            connection: Option<u64>,
            tenant: &'a str,
            #[escape_default] principal: &'a str,
            #[path] home: &'a Path,
            bytes: u64,
            files: u64,
            special_files: Option<&'a str>,
        }
        /// A session has no home, because that could not be made or opened. The session ends.
        HomeRefused("home_refused", WARN, "audit", "home refused") {
            connection: Option<u64>,
            tenant: &'a str,
            #[escape_default] principal: &'a str,
            reason: &'a str,
        }
        /// A temporary home was removed: after its connection or session, or because an earlier run had left it.
        HomeRemoved("home_removed", INFO, "audit", "home removed") {
            tenant: &'a str,
            #[path] home: &'a Path,
        }
        /// A temporary home cannot be removed. It stays, and is charged to its tenant, until the next start.
        HomeNotRemoved("home_not_removed", WARN, "whelk_runtime::grants::homes", "home cannot be removed") {
            tenant: &'a str,
            #[path] home: &'a Path,
            #[display] error: &'a io::Error,
        }
        /// A folder has the name of a temporary home and not its mark. It is left alone.
        HomeNotOurs("home_not_ours", WARN, "whelk_runtime::grants::homes", "folder without a mark is left alone") {
            tenant: &'a str,
            #[path] home: &'a Path,
        }
        /// The homes of a tenant are counted, as they are after a start.
        HomesCounted("home_count_ended", INFO, "whelk_runtime::grants::homes", "homes counted") {
            tenant: &'a str,
            #[path] home: &'a Path,
            homes: usize,
            bytes: u64,
            files: u64,
            took_ms: u64,
        }
        /// A home cannot be counted. What it holds is missing in the total until a session opens it.
        HomeNotCounted("home_not_counted", WARN, "whelk_runtime::grants::homes", "home cannot be counted") {
            tenant: &'a str,
            #[path] home: &'a Path,
            #[display] error: &'a io::Error,
        }
        /// All sessions together met a limit of the server. Again after a minute without;
        /// subscribers are told each time.
        LimitOfServer("limit_of_server", WARN, "whelk_runtime::host::log", "server over limit") {
            limit: &'static str,
            tenant: &'a str,
            plugin: &'a str,
            connection: Option<u64>,
            channel: u32,
        }
        /// All sessions of a tenant together met a limit. Again after a minute without;
        /// subscribers are told each time.
        LimitOfTenant("limit_of_tenant", WARN, "whelk_runtime::host::log", "tenant over limit") {
            tenant: &'a str,
            limit: &'static str,
            plugin: &'a str,
            connection: Option<u64>,
            channel: u32,
        }
        /// All sessions of a user together met a limit. Again after a minute without;
        /// subscribers are told each time.
        LimitOfUser("limit_of_user", WARN, "whelk_runtime::host::log", "user over limit") {
            limit: &'static str,
            tenant: &'a str,
            user: &'a str,
            plugin: &'a str,
            connection: Option<u64>,
            channel: u32,
        }
        /// A long-lived task or thread panicked. It is started again after the pause; without a pause the program ends.
        ServerTaskFailed("server_task_failed", ERROR, "whelk_runtime::supervise", "task failed") {
            task: &'a str,
            reason: &'a str,
            restart_ms: Option<u64>,
        }
        /// The file of a key-value store cannot be used: the disk is full, or damaged. Once for each time of trouble.
        ServerStoreFailing(
            "server_store_failing", ERROR, "whelk_runtime::grants::keyvalue::file", "key-value store failing"
        ) {
            reason: &'a str,
        }
        /// The file of a key-value store that could not be used was written to.
        ServerStoreRecovered(
            "server_store_recovered", INFO, "whelk_runtime::grants::keyvalue::file", "key-value store works again"
        ) {}
    }
}

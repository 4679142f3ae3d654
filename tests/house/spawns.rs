//! Where the server starts tasks, threads and processes. Long-lived ones are supervised: see
//! `host/runtime/src/supervise.rs`.

/// The files that spawn, how often, and why a panic there is noticed. A new task that outlives one session, connection
/// or question belongs into the table of `supervise.rs` first.
pub(crate) const KNOWN: &[(&str, usize, &str)] = &[
    ("host/gateway/src/server/control.rs", 2, "supervised; and an answer, whose asker sees the end of the stream"),
    ("host/gateway/src/server/control/kill.rs", 1, "ends of sessions, whose asker is told of a panic"),
    ("host/gateway/src/server/control/tenants.rs", 1, "a question to a store, whose panic is as no answer"),
    ("host/gateway/src/server/listener/header_reads.rs", 1, "the header of a proxy's connection, which a panic closes"),
    ("host/gateway/src/server/listener.rs", 2, "a connection, whose panic is caught and logged"),
    ("host/gateway/src/observe/http.rs", 1, "the answer to one request of HTTP, which a panic closes"),
    ("host/gateway/src/cli/running/console.rs", 1, "the thread that reads Enter: without it SIGUSR1 is left"),
    ("host/gateway/src/cli/serve.rs", 8, "six supervised; one that warns once; and reloads, whose panics are caught"),
    ("host/gateway/src/server/reload.rs", 1, "what warns once after a reload"),
    ("host/gateway/src/server/revocation.rs", 2, "supervised; a look, and a judgement, which are made anew"),
    ("host/gateway/src/observe/logging/queue.rs", 1, "the thread that writes the log, whose panic ends the process"),
    ("host/gateway/src/observe/audit.rs", 1, "the thread that writes the audit, whose panic fails the audit"),
    ("host/gateway/src/observe/recording.rs", 1, "supervised"),
    (
        "host/gateway/src/observe/recording/recorder.rs",
        1,
        "the end of a session whose recording has failed: after a panic it is held back, and ends with its connection",
    ),
    ("host/gateway/src/plugins/reload.rs", 1, "supervised"),
    ("host/gateway/src/plugins/reload/demand.rs", 1, "the load of a program, which a panic refuses for now"),
    ("host/gateway/src/plugins/reload/folder.rs", 1, "the end of a drain, which only waits and tells"),
    ("host/gateway/src/tenant/components.rs", 1, "the load of a component, which a panic refuses for now"),
    ("host/gateway/src/plugins/reload/task.rs", 2, "looks and loads: a panic refuses the file, which is tried again"),
    (
        "host/gateway/src/connection/bridge/delegation.rs",
        1,
        "a connection plugin's instance, whose panic is caught around the whole of it",
    ),
    ("host/gateway/src/connection/bridge/session.rs", 1, "a session, whose panic is caught around the whole of it"),
    ("host/gateway/src/auth/authenticators/pool.rs", 1, "the end of an instance, which is only dropped"),
    ("host/gateway/src/server/signals.rs", 1, "the thread whose end is the program's"),
    ("host/runtime/src/plugin/compile.rs", 1, "a process"),
    (
        "host/runtime/src/process/spawn.rs",
        2,
        "a process, whose panic ends it alone; and an instance, whose asker waits",
    ),
    ("host/runtime/src/host/wasi/files/session.rs", 3, "the close of files, which a panic closes as well"),
    ("host/runtime/src/host/wasi/files/streams.rs", 2, "one call of a plugin, which waits for it"),
    ("host/runtime/src/host/wasi/standard.rs", 2, "one read or write of a program, which waits for it"),
    ("host/runtime/src/host/wasi/http/exchange.rs", 1, "one request of a plugin"),
    ("host/runtime/src/supervise.rs", 2, "the supervision itself"),
];

//! The words that this project does not use, and the field's terms that it uses instead.

/// Words, each with the term to use instead. Matched regardless of case, also as a part of an identifier.
pub(crate) const WORDS: &[(&str, &str)] = &[
    ("burial", "drop, reap"),
    ("buried", "dropped, reaped"),
    ("bury", "drop, reap"),
    ("confess", "report, log"),
    ("confesses", "reports, logs"),
    ("crime", "behaviour of a hostile guest"),
    ("crimes", "behaviours of a hostile guest"),
    ("deed", "behaviour"),
    ("deeds", "behaviours"),
    ("doom", "delete on last close"),
    ("doomed", "pending delete"),
    ("farewell", "disconnect, linger"),
    ("happening", "event"),
    ("happenings", "events"),
    ("hush", "log throttle"),
    ("ill", "tripped (of a circuit breaker), malformed (of data)"),
    ("knock", "connection attempt"),
    ("knocks", "connection attempts, accept errors"),
    ("luggage", "hand-over state"),
    ("obituary", "session summary"),
    ("passage", "hand-over"),
    ("passages", "hand-overs"),
    ("patience", "timeout"),
    ("patient", "with a long timeout"),
    ("probation", "half-open (of a circuit breaker)"),
    ("shelf", "folder state"),
    ("shelves", "folder states"),
    ("stumble", "accept error, back off"),
    ("stumbles", "accept errors, backs off"),
    ("thrift", "heap trim"),
    ("undertaker", "reaper"),
    ("villain", "attacker"),
];

/// Names that no type may have, and the name to use instead.
pub(crate) const TYPES: &[(&str, &str)] = &[("House", "EngineSet"), ("Remains", "Finished")];

/// Names that no function may have, because they fit anything: the name, better ones, and the one file that may use it.
pub(crate) const FUNCTIONS: &[(&str, &str, Option<&str>)] = &[
    ("enter", "acquire_slot, register, add_session, log_in", None),
    ("admit", "check_grants, accept_connection, acquire_place", Some("host/ssh/src/connection.rs")),
];

//! Bindings generated from `wit/`: the host's functions, and an export macro for each interface that a plugin may
//! implement.
//!
//! The session interface, each optional handler and the authenticator have a world of their own, because a world cannot
//! have an optional export. The linker merges the worlds whose macros were used. This module is not part of the SDK's
//! stable API; it is public because [`plugin!`](crate::plugin) expands in the plugin's crate.

wit_bindgen::generate!({
    path: "../wit",
    world: "whelk:ssh/session-plugin",
    pub_export_macro: true,
    export_macro_name: "export_session",
    default_bindings_module: "whelk_guest::bindings",
    additional_derives: [PartialEq, Eq],
});

pub mod timers {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package whelk:guest; world timers { export whelk:ssh/timer-handler@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_timers",
        default_bindings_module: "whelk_guest::bindings::timers",
    });
}

pub mod drain {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package whelk:guest; world drain { export whelk:ssh/drain-handler@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_drain",
        default_bindings_module: "whelk_guest::bindings::drain",
    });
}

pub mod breaks {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package whelk:guest; world breaks { export whelk:ssh/break-handler@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_breaks",
        default_bindings_module: "whelk_guest::bindings::breaks",
    });
}

pub mod requests {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package whelk:guest; world requests { export whelk:ssh/request-handler@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_requests",
        default_bindings_module: "whelk_guest::bindings::requests",
    });
}

pub mod messages {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package whelk:guest; world messages { export whelk:ssh/message-handler@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_messages",
        default_bindings_module: "whelk_guest::bindings::messages",
    });
}

pub mod authenticator {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package whelk:guest; world authenticator { export whelk:ssh/authenticator@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_authenticator",
        default_bindings_module: "whelk_guest::bindings::authenticator",
        additional_derives: [PartialEq, Eq],
    });
}

pub mod connections {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package whelk:guest;
            world connections {
                import whelk:ssh/connection-control@0.1.0;
                export whelk:ssh/connection-handler@0.1.0;
            }
        ",
        pub_export_macro: true,
        export_macro_name: "export_connections",
        default_bindings_module: "whelk_guest::bindings::connections",
        generate_all,
        additional_derives: [PartialEq, Eq],
    });
}

/// What a program calls beside the standard library. Each interface is whole, since the linker merges it with that of
/// the C library.
pub mod command {
    wit_bindgen::generate!({
        inline: "
            package whelk:guest;
            world command {
                import wasi:cli/environment@0.2.12;
                import wasi:cli/exit@0.2.12;
            }
            package wasi:cli@0.2.12 {
                interface environment {
                    get-environment: func() -> list<tuple<string, string>>;
                    get-arguments: func() -> list<string>;
                    initial-cwd: func() -> option<string>;
                }
                interface exit {
                    exit: func(status: result);
                    exit-with-code: func(status-code: u8);
                }
            }
        ",
        world: "whelk:guest/command",
        generate_all,
    });
}

/// What a program has to know of its files beside WASI. A world of its own: only who calls it imports it.
pub mod space {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package whelk:guest; world space { import whelk:ssh/space@0.1.0; }",
        world: "whelk:guest/space",
        generate_all,
        additional_derives: [PartialEq, Eq],
    });
}

/// What a server of files calls. A world of its own: only who calls it imports it.
pub mod files {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package whelk:guest; world files { import whelk:ssh/files@0.1.0; }",
        world: "whelk:guest/files",
        generate_all,
        additional_derives: [PartialEq, Eq],
    });
}

/// Interfaces that need a grant, or whose contents the operator writes. Only a plugin that calls them imports them.
pub mod granted {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package whelk:guest;
            world granted {
                import whelk:ssh/topics@0.1.0;
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:config/store@0.2.0-rc.1;
            }
        ",
        world: "whelk:guest/granted",
        generate_all,
        additional_derives: [PartialEq, Eq],
    });
}

/// What a program calls to start and control others. It needs a grant: only who calls it imports it.
pub mod process {
    wit_bindgen::generate!({
        path: "../wit/process",
        inline: "
            package whelk:guest;
            world process {
                import whelk:process/process@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.0;
            }
            package wasi:clocks@0.2.0 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.0.{pollable};
                    type instant = u64;
                    type duration = u64;
                    now: func() -> instant;
                    resolution: func() -> duration;
                    subscribe-instant: func(when: instant) -> pollable;
                    subscribe-duration: func(when: duration) -> pollable;
                }
            }
        ",
        world: "whelk:guest/process",
        generate_all,
    });
}

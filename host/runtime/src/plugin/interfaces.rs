//! The interfaces that a plugin may import or must export, by name, version and types: a file is checked against them
//! before it is linked.

use wasmtime::Engine;
use wasmtime::component::types::{Component, ComponentItem};

use crate::grants::Grant;
use crate::host::bindings::imports::types as wit;

/// The export of a plugin that decides who may log in.
pub(super) const AUTHENTICATOR: &str = "whelk:ssh/authenticator";
/// The export of a plugin that handles whole connections ...
pub(super) const CONNECTION_HANDLER: &str = "whelk:ssh/connection-handler";
/// ... and the import that only such a plugin may have.
const CONNECTION_CONTROL: &str = "whelk:ssh/connection-control";
/// The package of which only programs may import something.
const PROCESS: &str = "whelk:process/";
/// The export of a plugin that serves sessions.
pub(super) const SESSION: &str = "whelk:ssh/session";
/// The export of a program.
pub(super) const RUN: &str = "wasi:cli/run";
/// The version of all but the last.
const VERSION: &str = "0.1.0";
/// The WASI version of the host's libraries.
const WASI: &str = "0.2.12";

/// The interfaces that can be imported: package, version, interfaces.
const PROVIDED: [(&str, &str, &[&str]); 9] = [
    (
        "whelk:ssh",
        VERSION,
        &["types", "channel", "terminal", "connection", "connection-control", "timers", "log", "space", "files"],
    ),
    ("wasi:io", WASI, &["error", "poll", "streams"]),
    (
        "wasi:cli",
        WASI,
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", WASI, &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", WASI, &["preopens", "types"]),
    ("wasi:random", WASI, &["random", "insecure", "insecure-seed"]),
    (
        "wasi:sockets",
        WASI,
        &["network", "instance-network", "ip-name-lookup", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
    ("wasi:http", WASI, &["types", "outgoing-handler"]),
    ("wasi:config", "0.2.0-rc.1", &["store"]),
];

/// Why an import is not available; `None` if it is, or if only the linker knows.
pub(super) fn import_misfit(import: &str) -> Option<String> {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    if name.starts_with("wasi:") && version.starts_with("0.3") {
        return Some(format!("imports {import}: WASI 0.3 {}; use WASI 0.2", super::validity::ASYNC));
    }
    let (package, interface) = name.split_once('/').unwrap_or((name, ""));
    match PROVIDED.iter().find(|(of, _, interfaces)| *of == package && interfaces.contains(&interface)) {
        Some((_, provided, _)) if fits(version, provided) => None,
        Some((_, provided, _)) => Some(format!("imports {import}, which is provided in version {provided}")),
        // The grant decides whether it is available.
        None if Grant::of_import(import).is_some() => None,
        None => Some(format!("imports {import}, which Whelk does not provide")),
    }
}

/// Why an import is not available to this kind of plugin: only a connection plugin `controls` its connection.
pub(super) fn control_misfit(import: &str, controls: bool) -> Option<String> {
    let is_control = import.split('@').next() == Some(CONNECTION_CONTROL);
    (is_control && !controls)
        .then(|| format!("imports {import}, which only a plugin that exports {CONNECTION_HANDLER} may use"))
}

/// Why an import is not available to this kind of plugin: only a program starts programs.
pub(super) fn program_misfit(import: &str, is_program: bool) -> Option<String> {
    (import.starts_with(PROCESS) && !is_program)
        .then(|| format!("imports {import}, which only a program (a component that exports {RUN}) may use"))
}

/// Whether versions are compatible in the component model: both without a pre-release, and the same up to the first
/// number that is not zero.
fn fits(wanted: &str, provided: &str) -> bool {
    let track = |version: &str| -> Option<Vec<u64>> {
        let numbers: Vec<u64> = version.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let first = numbers.iter().position(|number| *number != 0)?;
        (numbers.len() == 3).then(|| numbers[..=first].to_vec())
    };
    wanted == provided || track(wanted).is_some_and(|wanted| track(provided) == Some(wanted))
}

/// What is wrong with the version of an exported interface.
pub(super) fn version_misfit(engine: &Engine, ty: &Component, interface: &str) -> Option<String> {
    let exported = ty.exports(engine).map(|(name, _)| name).find(|name| name.split('@').next() == Some(interface))?;
    version_of(exported)
}

/// What is wrong with a program's exported `run`.
pub(super) fn run_misfit(engine: &Engine, ty: &Component) -> Option<String> {
    let (exported, export) = ty.exports(engine).find(|(name, _)| name.split('@').next() == Some(RUN))?;
    let version = exported.split_once('@').map_or("", |(_, version)| version);
    if version.starts_with("0.3") {
        return Some(format!("it exports {exported}: WASI 0.3 {}; use WASI 0.2", super::validity::ASYNC));
    }
    if !fits(version, WASI) {
        return Some(format!("it exports {exported}, of which version 0.2 is understood"));
    }
    let ComponentItem::ComponentInstance(interface) = export.ty else {
        return Some(format!("its {RUN} is not an interface"));
    };
    match interface.get_export(engine, "run").map(|export| export.ty) {
        Some(ComponentItem::ComponentFunc(function)) => {
            let fit = function.typecheck::<(), (Result<(), ()>,)>(&ty.instance_type());
            fit.err().map(|error| format!("its {RUN} does not fit version 0.2: run: {error:#}"))
        }
        Some(_) => Some(format!("its {RUN} does not fit version 0.2: run is not a function")),
        None => Some(format!("its {RUN} does not fit version 0.2: run is missing")),
    }
}

/// What is wrong with the version in an export's name.
fn version_of(name: &str) -> Option<String> {
    match name.split_once('@') {
        None => Some(format!("it exports {name} without a version; a plugin exports {name}@{VERSION}")),
        Some((_, version)) if fits(version, VERSION) => None,
        Some(_) => Some(format!("it exports {name}, of which version {VERSION} is understood")),
    }
}

/// What is wrong with each function of the exported session, in the order of the interface.
pub(super) fn session_misfits(engine: &Engine, ty: &Component) -> Vec<String> {
    let Some((name, ComponentItem::ComponentInstance(session))) = ty
        .exports(engine)
        .find(|(name, _)| name.split('@').next() == Some(SESSION))
        .map(|(name, export)| (name, export.ty))
    else {
        return vec![format!("its {SESSION} is not an interface")];
    };
    if let Some(misfit) = version_of(name) {
        return vec![misfit];
    }
    let whole = ty.instance_type();
    let mut misfits = Vec::new();
    macro_rules! hold {
        ($($function:literal: ($($parameter:ty,)*) -> ($($result:ty,)?);)*) => {$(
            match session.get_export(engine, $function).map(|export| export.ty) {
                Some(ComponentItem::ComponentFunc(function)) => {
                    if let Err(error) = function.typecheck::<($($parameter,)*), ($($result,)?)>(&whole) {
                        misfits.push(format!("{}: {error:#}", $function));
                    }
                }
                Some(_) => misfits.push(format!("{} is not a function", $function)),
                None => misfits.push(format!("{} is missing", $function)),
            }
        )*};
    }
    hold! {
        "open": () -> (bool,);
        "env": (String, Vec<u8>,) -> (bool,);
        "pty-req": (wit::Pty,) -> (bool,);
        "shell": () -> (bool,);
        "exec": (Vec<u8>,) -> (bool,);
        "subsystem": (String,) -> (bool,);
        "window-change": (wit::WindowSize,) -> ();
        "signal": (wit::SignalName,) -> ();
        "data": (Vec<u8>,) -> ();
        "extended-data": (u32, Vec<u8>,) -> ();
        "eof": () -> ();
        "close": () -> ();
        "closed": (wit::Ending,) -> ();
    }
    if misfits.is_empty() {
        return misfits;
    }
    vec![format!("its {SESSION} does not fit version {VERSION}: {}", misfits.join(", "))]
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Linker;

    use super::*;
    use crate::host;

    #[test]
    fn every_interface_in_the_table_is_linked_in_its_version() {
        let mut linker = Linker::new(&Engine::default());
        host::link(&mut linker).unwrap();
        for (package, version, interfaces) in PROVIDED {
            for interface in interfaces {
                let name = format!("{package}/{interface}@{version}");
                // An existing name cannot be used for something else.
                let free = linker.root().func_wrap(&name, |_, (): ()| Ok(())).is_ok();
                // An interface with types only needs nothing of the linker.
                assert!(!free || name.starts_with("whelk:ssh/types@"), "{name} is not linked");
            }
        }
    }

    #[test]
    fn versions_are_compatible_as_in_the_component_model() {
        for (wanted, provided) in [("0.1.0", "0.1.0"), ("0.2.0", "0.2.12"), ("0.2.99", "0.2.12"), ("1.5.0", "1.0.0")] {
            assert!(fits(wanted, provided), "{wanted}");
        }
        for (wanted, provided) in
            [("0.2.0", "0.1.0"), ("1.0.0", "0.1.0"), ("", "0.1.0"), ("0.2.0-draft", "0.2.0"), ("0.1", "0.1.0")]
        {
            assert!(!fits(wanted, provided), "{wanted}");
        }
    }

    #[test]
    fn each_unavailable_import_has_a_reason() {
        for fine in
            ["wasi:cli/stdout@0.2.0", "whelk:ssh/log@0.1.0", "wasi:http/types@0.2.3", "wasi:keyvalue/store@0.2.0-draft"]
        {
            assert_eq!(import_misfit(fine), None, "{fine}");
        }
        for (import, why) in [
            ("whelk:ssh/channel@0.2.0", "which is provided in version 0.1.0"),
            ("wasi:cli/stdin@1.0.0", "which is provided in version 0.2.12"),
            ("wasi:cli/stdin@0.3.0", "use WASI 0.2"),
            ("wasi:config/store@0.2.0-draft", "which is provided in version 0.2.0-rc.1"),
            ("wasi:http/incoming-handler@0.2.0", "which Whelk does not provide"),
            ("whelk:ssh/nonsense@0.1.0", "which Whelk does not provide"),
            ("wasi:nn/graph@0.2.0", "which Whelk does not provide"),
            ("acme:tools/hammer@2.0.0", "which Whelk does not provide"),
            ("bare", "which Whelk does not provide"),
        ] {
            assert!(import_misfit(import).is_some_and(|words| words.contains(why)), "{import}");
        }
    }
}

//! Invalid plugin files, files that are expensive to compile, and a plugin folder that changes: W34 to W42, W49.

use std::fs;
use std::io::Write as _;

use whelk_tests::{Event, Input, Running, size};

use crate::components::{Written, file, install, version, version_line};
use crate::world::{Plan, Told, World};

/// The plugin that is replaced in these tests.
const NAME: &str = "turncoat";

/// A gateway that checks its plugin folder often, with the plugin at its first version.
fn watched() -> World {
    Plan::watched().plugin(NAME, version(1)).start()
}

/// Replaces the plugin's file.
fn replace(world: &World, bytes: &[u8]) {
    install(&world.plugins(), NAME, bytes);
}

/// The output of a fresh session.
fn answer(world: &World) -> String {
    let finished = world.call(NAME).exec("which").run(Input::Nothing);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    finished.out.text()
}

/// The reasons for which the plugin's file was refused, once there are this many.
fn refusals(world: &World, count: usize) -> Vec<String> {
    world.gateway.wait_all(&format!("{count} refusals"), |events| {
        let it = |event: &&Event| event.message == "plugin refused" && event.field("file").contains(NAME);
        let reasons: Vec<String> = events.iter().filter(it).map(|event| event.field("reason")).collect();
        (reasons.len() >= count).then_some(reasons)
    })
}

/// Waits until it was loaded this often.
fn loaded(world: &World, count: usize) -> usize {
    world.gateway.wait_all(&format!("version number {count}"), |events| {
        let it = |event: &&Event| event.message == "plugin loaded" && event.field("plugin") == NAME;
        let found = events.iter().filter(it).count();
        (found >= count).then_some(found)
    })
}

/// A section of a binary module or component: its number, its length and its bytes.
fn section(number: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7f).expect("seven bits");
        length >>= 7;
        bytes.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// A component with these sections.
fn component(sections: &[u8]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0", sections].concat()
}

/// Files that are small to write and large to compile, or would be if a server compiled them.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: String| wat::parse_str(text).expect("our own text");
    let functions = size(20_000, 1_000_000);
    let length = usize::try_from(size(200_000, 10_000_000)).expect("a length");
    let types = size(5_000, 100_000);
    let names = |count: u64| (1..count).map(|at| format!("(type (list {}))", at - 1)).collect::<String>();
    // As deep as possible.
    let nested = (0..size(200, 10_000)).fold(component(&[]), |inner, _| component(&section(4, &inner)));
    vec![
        ("too large", component(&section(0, &[&[4, b'b', b'o', b'm', b'b'], vec![0; 3 << 20].as_slice()].concat()))),
        (
            "functions",
            text(format!(
                "(component (core module {}))",
                "(func)".repeat(usize::try_from(functions).expect("a count"))
            )),
        ),
        (
            "one function",
            text(format!(
                "(component (core module (func (param i32) (result i32) local.get 0 {})))",
                "local.get 0 i32.mul ".repeat(length / 4)
            )),
        ),
        ("types", text(format!("(component (type (list u8)) {})", names(types)))),
        // The host would copy these at each crash.
        ("a name", text(format!("(component (core module (func ${})))", "n".repeat(length)))),
        ("nested", nested),
    ]
}

#[test]
fn w34_a_compiler_bomb_fails_in_the_child_and_the_old_version_serves() {
    let limits = Plan::watched().limit("component", "\"2 MiB\"");
    // At full size the files are as large as a plugin may be.
    let plan = if size(0, 1) == 0 { limits } else { Plan::watched() };
    let mut world = plan.plugin(NAME, version(1)).start();
    for (number, (name, bytes)) in bombs().into_iter().enumerate() {
        replace(&world, &bytes);
        for _ in 0..5 {
            world.neighbour_goes_on();
        }
        let reasons = refusals(&world, number + 1);
        assert!(!reasons[number].is_empty() && reasons[number].len() < 2048, "{name}: {:?}", reasons[number]);
        assert_eq!(answer(&world), version_line(1), "after {name}");
        world.neighbour_goes_on();
    }
    // The compiler is available for the next one.
    replace(&world, &version(2));
    loaded(&world, 2);
    assert_eq!(answer(&world), version_line(2));
    world.end();
}

/// Compiled code with wasmtime's header: an ELF file for system 200 with the flags of a component.
fn compiled() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\xc8".to_vec();
    header.resize(64, 0);
    // Kind, machine and version; offset 48 has the flags, 52 the size of this header.
    (header[16], header[18], header[20]) = (1, 62, 1);
    (header[48], header[52]) = (2, 64);
    header
}

#[test]
fn w35_w37_a_file_of_another_kind_is_refused_by_name_and_the_old_version_serves() {
    let mut world = watched();
    let whole = version(2);
    let files: [(&str, Vec<u8>); 9] = [
        ("empty", Vec::new()),
        ("cut off", whole[..6].to_vec()),
        ("", whole[..whole.len() / 2].to_vec()),
        ("core module", wat::parse_str("(module)").expect("our own text")),
        ("as text", b"(component)".to_vec()),
        ("this is text", b"#!/bin/sh\nexec sh\n".to_vec()),
        ("ELF", b"\x7fELF\x02\x01\x01\0 and so on".to_vec()),
        (".cwasm", compiled()),
        ("not WebAssembly", vec![0xff; 4096]),
    ];
    for (number, (word, bytes)) in files.into_iter().enumerate() {
        replace(&world, &bytes);
        let reasons = refusals(&world, number + 1);
        assert!(reasons[number].contains(word), "no {word:?} in {:?}", reasons[number]);
        assert!(!reasons[number].is_empty());
        assert_eq!(answer(&world), version_line(1), "after {word:?}");
        world.neighbour_goes_on();
    }
    world.end();
}

/// Components whose imports or exports do not fit, and what the logged reason must contain.
const MISFITS: [(&str, &str, &[&str]); 6] = [
    ("w36-nothing", "", &["whelk:ssh/session"]),
    (
        "w36-unknown",
        r#"(import "nobody:knows/this@1.0.0" (instance))"#,
        &["nobody:knows/this@1.0.0", "whelk:ssh/session"],
    ),
    (
        "w36-version",
        r#"(import "whelk:ssh/channel@9.9.9" (instance (export "writable" (func (result u32)))))"#,
        &["whelk:ssh/session"],
    ),
    (
        "w36-both",
        r#"(import "one:odd/thing@1.0.0" (instance)) (import "two:odd/thing@1.0.0" (instance))"#,
        &["one:odd/thing", "two:odd/thing"],
    ),
    (
        "w36-empty-session",
        r#"(component $c) (instance $i (instantiate $c)) (export "whelk:ssh/session@0.1.0" (instance $i))"#,
        &["does not fit", "open"],
    ),
    (
        "w36-wrong-session",
        r#"(core module $m (func (export "open") (result i32) (i32.const 1)))
           (core instance $m (instantiate $m))
           (func $open (result u32) (canon lift (core func $m "open")))
           (instance $i (export "open" (func $open))) (export "whelk:ssh/session@0.1.0" (instance $i))"#,
        &["does not fit"],
    ),
];

#[test]
fn w36_imports_and_exports_that_do_not_fit_are_all_named() {
    let misfit = |plan: Plan, (name, text, _): &(&str, &str, &[&str])| {
        plan.file(name, wat::parse_str(format!("(component {text})")).expect("our own text"))
    };
    let world = MISFITS.iter().fold(Plan::default(), misfit).start();
    for (name, _, words) in MISFITS {
        let reason = world.refusal(name);
        assert!(words.iter().all(|word| reason.contains(word)), "{name}: {words:?} are not all in {reason}");
    }
    world.end();
}

/// Core modules and components that use proposals which the host does not enable.
const EXOTIC: [(&str, &str); 13] = [
    ("w49-memory64", "(core module (memory i64 1))"),
    ("w49-table64", "(core module (table i64 1 funcref))"),
    ("w49-shared-memory", "(core module (memory 1 1 shared))"),
    ("w49-atomics", "(core module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))"),
    ("w49-gc", "(core module (type (struct (field i32))))"),
    ("w49-exceptions", "(core module (tag))"),
    ("w49-stack-switching", "(core module (type $f (func)) (type (cont $f)))"),
    ("w49-page-sizes", "(core module (memory 1 (pagesize 1)))"),
    (
        "w49-relaxed-simd",
        "(core module (func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))))",
    ),
    ("w49-wide-arithmetic", "(core module (func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 1))))"),
    (
        "w49-function-references",
        "(core module (type $f (func)) (func (param (ref null $f)) (call_ref $f (local.get 0))))",
    ),
    ("w49-async", "(type (future u8))"),
    ("w49-gc-strings", "(core module (func (param anyref)))"),
];

#[test]
fn w49_unused_proposals_are_disabled() {
    let exotic = |plan: Plan, (name, text): &(&str, &str)| {
        plan.file(name, wat::parse_str(format!("(component {text})")).expect("our own text"))
    };
    let world = EXOTIC.iter().fold(Plan::default(), exotic).start();
    for (name, _) in EXOTIC {
        // A component without these proposals is refused for what it does not export.
        let reason = world.refusal(name);
        assert!(!reason.contains("whelk:ssh/session"), "{name} was compiled: {reason}");
    }
    world.end();
}

#[test]
fn w38_a_file_that_is_being_written_is_never_loaded_in_between() {
    let mut world = watched();
    let whole = version(2);
    let mut slow = fs::File::create(file(&world.plugins(), NAME)).expect("our own folder");
    let mut pieces = whole.chunks(whole.len() / 8 + 1).peekable();
    while let Some(piece) = pieces.next() {
        slow.write_all(piece).expect("our own file");
        if pieces.peek().is_some() {
            assert_eq!(answer(&world), version_line(1));
            world.neighbour_goes_on();
        }
    }
    drop(slow);
    assert_eq!(loaded(&world, 2), 2);
    assert_eq!(answer(&world), version_line(2));
    world.end();
}

#[test]
fn w39_of_many_replacements_few_are_loaded_and_the_last_one_wins() {
    let mut world = Plan::default().plugin(NAME, version(1)).start();
    let storm = size(100, 1_000);
    for number in 2..=storm {
        replace(&world, &version(number));
    }
    world.neighbour_goes_on();
    assert!((0..5_000).any(|_| answer(&world) == version_line(storm)), "the last version never came");
    let times = loaded(&world, 2);
    assert!(times < 20, "{storm} replacements in a moment were loaded {times} times");
    world.end();
}

#[test]
fn w40_an_unreadable_file_changes_nothing_and_a_deleted_one_ends_the_plugin() {
    let mut world = watched();
    let path = file(&world.plugins(), NAME);
    // A dangling link and a folder: neither can be read.
    fs::remove_file(&path).expect("our own file");
    world.gateway.wait("removal", |event| (event.message == "plugin removed").then_some(()));
    let seen = world.run(&world.call(NAME).exec("which"));
    assert_ne!(seen.out, version_line(1), "a plugin that was deleted goes on: {seen:?}");
    world.neighbour_goes_on();
    replace(&world, &version(2));
    loaded(&world, 2);
    assert_eq!(answer(&world), version_line(2));
    fs::remove_file(&path).and_then(|()| fs::create_dir(&path)).expect("our own folder");
    world.neighbour_goes_on();
    fs::remove_dir(&path).expect("our own folder");
    replace(&world, &version(3));
    loaded(&world, 3);
    assert_eq!(answer(&world), version_line(3));
    world.end();
}

/// Sessions that were opened now and go on; each has printed its version.
fn held(world: &World, count: u64, number: u64) -> Vec<Running> {
    let sessions: Vec<Running> = (0..count).map(|_| world.call(NAME).exec("stay").start()).collect();
    sessions.iter().for_each(|session| session.wait_for_output(&version_line(number)));
    sessions
}

#[test]
fn w41_sessions_end_on_the_code_that_they_began_with() {
    let mut world = watched();
    let mut first = held(&world, size(10, 100), 1);
    replace(&world, &version(2));
    loaded(&world, 2);
    let mut second = held(&world, 5, 2);
    for (sessions, number) in [(&mut first, 1), (&mut second, 2)] {
        for session in sessions.iter_mut() {
            session.type_in(b"x");
            let twice = version_line(number).repeat(2);
            session.wait_for_output(&twice);
        }
    }
    world.neighbour_goes_on();
    for session in first.into_iter().chain(second) {
        assert_eq!(session.finish().status, Some(0));
    }
    world.end();
}

/// The host ends the session with an ordinary exit status.
fn assert_retired(session: Running) {
    session.wait_for_stderr("exit-signal HUP");
    let finished = session.finish();
    assert!(finished.err.contains("whelk: "), "nobody was told why: {}", finished.err);
}

#[test]
fn w41_when_there_are_too_many_versions_the_oldest_sessions_end() {
    let mut world = Plan::watched().limit("generations", "2").plugin(NAME, version(1)).start();
    let mut kept = Vec::new();
    for number in 1..=3 {
        if number > 1 {
            replace(&world, &version(number));
            loaded(&world, usize::try_from(number).expect("a small number"));
        }
        kept.extend(held(&world, 1, number));
    }
    assert_retired(kept.remove(0));
    world.neighbour_goes_on();
    for session in kept {
        assert_eq!(session.finish().status, Some(0));
    }
    world.end();
}

#[test]
fn w41_sessions_of_an_old_version_end_at_the_configured_time() {
    let mut world = Plan::watched().limit("reload_drain", "\"1 s\"").plugin(NAME, version(1)).start();
    let mut old = held(&world, 2, 1);
    replace(&world, &version(2));
    loaded(&world, 2);
    let new = held(&world, 1, 2).remove(0);
    old.drain(..).for_each(assert_retired);
    assert!(new.is_alive());
    assert_eq!(new.finish().status, Some(0));
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w42_a_version_that_crashes_at_once_is_replaced_by_the_one_before() {
    let mut world = watched();
    let crashing = Written { bodies: vec![("shell", "unreachable".to_owned())], ..Written::default() };
    replace(&world, &crashing.component());
    loaded(&world, 2);
    // Each of these is refused at first; then the old version is back.
    let tries = (0..50).take_while(|_| {
        let seen = world.run(&world.call(NAME));
        world.neighbour_goes_on();
        seen.told != Told::Status(0)
    });
    let crashes = tries.count();
    assert!(crashes < 50, "the version that crashes was never given up");
    assert_eq!(answer(&world), version_line(1), "after {crashes} crashes");
    world.gateway.wait("rolling back", |event| (event.message == "plugin rolled back").then_some(()));
    world.end();
}

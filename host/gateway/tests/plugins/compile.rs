//! The compiler as a child process with limits of its own. W34, W35, W37.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use whelk_runtime::{
    Cache, CacheKey, CompileSettings, CompileSlots, Compiler, Engine, EngineSettings, Error, Grants, Limits, Loader,
    Plugin, Source, Tenant, Terms,
};

use crate::script::write_script;
use crate::{bombs, guests};

const INSTANCE_MEMORY: usize = 256 << 20;

fn engine() -> Engine {
    let settings = EngineSettings::of(&Limits { instances: 4, memory_slot: INSTANCE_MEMORY, ..Limits::default() });
    Engine::new(&settings).unwrap()
}

fn settings() -> CompileSettings {
    CompileSettings { memory: 1 << 30, time: Duration::from_secs(60), code: 64 << 20, instance_memory: INSTANCE_MEMORY }
}

fn loader(engine: &Engine, settings: CompileSettings, cache: Option<&Path>) -> Loader {
    let compiler = Compiler::new(env!("CARGO_BIN_EXE_whelk").into(), "compile", settings);
    let cache = cache.map(|folder| Cache::open(folder.into(), CacheKey::new([7; 32]), engine, 1 << 30).unwrap());
    Loader::new(engine.clone(), compiler, cache, Tenant::new("trial", Limits::default(), Grants::default()))
}

async fn load(loader: &Loader, wasm: Vec<u8>) -> Result<Arc<Plugin>, Error> {
    let slots = CompileSlots::new(1);
    loader.load("name", &Source::new(wasm), Terms { component: 64 << 20, slots: &slots, tenant: "" }).await
}

/// The permanent reason why a file is refused with these limits.
async fn refusal(settings: CompileSettings, wasm: Vec<u8>) -> String {
    match load(&loader(&engine(), settings, None), wasm).await {
        Err(Error::Refused(reason)) => reason,
        Err(error) => panic!("the host is at fault: {error}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[tokio::test]
async fn what_the_child_compiles_is_loaded_and_tried_here() {
    let plugin = load(&loader(&engine(), settings(), None), guests::plugin(1)).await.unwrap();
    assert_eq!((plugin.name(), plugin.digest_hex().len()), ("name", 64));
    assert!(plugin.code() > 0);
}

/// The outcome for a valid file with this shell script as the compiler.
async fn script(script: &str, settings: CompileSettings) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let reason = load(&scripted(folder.path(), script, settings), guests::plugin(1)).await;
    reason.expect_err("it was taken")
}

/// Loads with this shell script as the compiler.
fn scripted(folder: &Path, script: &str, settings: CompileSettings) -> Loader {
    let program = folder.join("compiler");
    write_script(&program, script);
    let compiler = Compiler::new(program, "compile", settings);
    Loader::new(engine(), compiler, None, Tenant::new("trial", Limits::default(), Grants::default()))
}

/// Why a script could give no verdict on a valid file.
async fn unfinished(text: &str) -> String {
    reason(script(text, settings()).await)
}

/// Why there was no verdict.
fn reason(error: Error) -> String {
    match error {
        Error::Unfinished(reason) => reason,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_compiler_above_its_cpu_time_is_killed_without_a_verdict_on_the_file() {
    let short = CompileSettings { time: Duration::from_secs(1), ..settings() };
    let loaded = load(&loader(&engine(), short, None), bombs::one_large_function(40_000)).await;
    let reason = reason(loaded.expect_err("it was taken"));
    assert_eq!(reason, "compiling it takes more than the 1 s of CPU time that are allowed: raise compile_time");
}

#[tokio::test]
async fn a_compiler_that_makes_no_progress_is_ended_after_twenty_times_its_time_and_the_file_can_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mark, pipe) = (folder.path().join("mark"), folder.path().join("pipe"));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // The first one prints its process id and stops. From then on it uses no processor time, and would wait for ever.
    let script = format!(
        "[ -e '{0}' ] || {{ : > '{0}'; echo $$ > '{1}'; kill -STOP $$; }}\nexec '{2}' \"$@\"",
        mark.display(),
        pipe.display(),
        env!("CARGO_BIN_EXE_whelk")
    );
    let loader = scripted(folder.path(), &script, settings());
    let stopped = async {
        let number = tokio::task::spawn_blocking(move || fs::read_to_string(pipe)).await.unwrap().unwrap();
        let process = Path::new("/proc").join(number.trim());
        let is_stopped = || fs::read_to_string(process.join("stat")).unwrap().contains(") T ");
        while !is_stopped() {
            tokio::task::yield_now().await;
        }
        // From now on the clock of this test jumps to whatever is waited for.
        tokio::time::pause();
        (process, tokio::time::Instant::now())
    };
    let (loaded, (process, began)) = tokio::join!(load(&loader, guests::plugin(1)), stopped);
    assert_eq!(
        reason(loaded.expect_err("it was taken")),
        "compiling it took more than 1200 s by the clock; the machine may be too busy"
    );
    let waited = began.elapsed().as_secs();
    // Minus the time before the clock was paused. The kill takes another five seconds, which pass at once.
    assert!((19 * 60..=20 * 60 + 5).contains(&waited), "{waited}");
    tokio::time::resume();
    let has_ended = || fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "));
    while !has_ended() {
        tokio::task::yield_now().await;
    }
    assert_eq!(load(&loader, guests::plugin(1)).await.unwrap().name(), "name");
}

#[tokio::test]
async fn a_compiler_that_was_killed_gives_no_verdict_on_the_file() {
    let killed = script("kill -KILL $$", settings()).await;
    assert!(matches!(killed, Error::Killed(_)), "{killed:?}");
    assert_eq!(killed.to_string(), "its compiler was killed; the machine may be out of memory");
    // Not HUP and INT: tests that run under nohup or in the background ignore them.
    for signal in ["TERM", "USR1", "BUS", "ABRT"] {
        let ended = unfinished(&format!("trap - {signal}; kill -{signal} $$")).await;
        assert!(ended.starts_with("its compiler died (signal: "), "{ended}");
    }
}

#[tokio::test]
async fn a_compiler_that_takes_too_much_memory_is_stopped() {
    let small = CompileSettings { memory: 128 << 20, ..settings() };
    let reason = refusal(small, bombs::many_functions(150_000)).await;
    assert!(reason.contains("memory"), "{reason}");
}

#[tokio::test]
async fn code_that_is_too_large_is_refused() {
    let small = CompileSettings { code: 1 << 20, ..settings() };
    let reason = refusal(small, bombs::many_functions(30_000)).await;
    let too_large = "compiled it would have more than the 1 MiB that are allowed: raise compile_code";
    assert_eq!(reason, too_large);
    // The rest of the compiler's output is not read.
    let small = CompileSettings { code: 1 << 20, ..settings() };
    let error = script("head -c 3000000 /dev/zero || exit 3", small).await;
    assert!(matches!(&error, Error::Refused(reason) if reason == too_large), "{error:?}");
}

#[tokio::test]
async fn a_compiler_that_fails_gives_no_verdict_on_the_file() {
    assert_eq!(unfinished("echo its compiler cannot start >&2; exit 4").await, "its compiler cannot start");
    // A panic, for example because a thread cannot be started.
    let panicked = unfinished("echo panicked >&2; exit 101").await;
    assert_eq!(panicked, "its compiler failed (exit status: 101): panicked");
    // The default of systemd's SystemCallFilter.
    let filtered = unfinished("kill -SYS $$").await;
    assert!(filtered.contains("SystemCallErrorNumber=EPERM"), "{filtered}");
    // The code cannot be returned: the real compiler's standard output is closed.
    let real = env!("CARGO_BIN_EXE_whelk");
    let closed = unfinished(&format!("exec {real} \"$@\" >/dev/full")).await;
    assert!(closed.starts_with("its compiler cannot return the code: "), "{closed}");
}

#[test]
fn the_child_offers_itself_to_the_oom_killer_and_keeps_inherited_limits() {
    // Lower than the limits of the command line: raising them needs a privilege.
    let inherited = "ulimit -t 7; ulimit -v 2000000; exec \"$0\" \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", inherited, env!("CARGO_BIN_EXE_whelk"), "compile", "4294967296", "60000", "1000000", "1000000"])
        .args(["64", "8", "20000", "1", "67108864", "67108864"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than the pipe holds: when it is written, the child has begun to read, and has limited itself before.
    stdin.write_all(&vec![0; 1 << 20]).unwrap();
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap();
    assert_eq!(read("oom_score_adj").trim(), "1000");
    let limits = read("limits");
    let of = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().rev().nth(1);
    assert_eq!(of("Max cpu time"), Some("7"), "{limits}");
    assert_eq!(of("Max address space"), Some("2048000000"), "{limits}");
    drop(stdin);
    child.wait().unwrap();
}

/// A compiler that records each file that it is given.
fn noting(folder: &Path, cache: bool) -> Loader {
    let program = folder.join("compiler");
    write_script(
        &program,
        &format!("echo >> '{}/runs'; exec '{}' \"$@\"", folder.display(), env!("CARGO_BIN_EXE_whelk")),
    );
    let (compiler, engine) = (Compiler::new(program, "compile", settings()), engine());
    let cache = cache.then(|| Cache::open(folder.join("cache"), CacheKey::new([7; 32]), &engine, 1 << 30).unwrap());
    Loader::new(engine, compiler, cache, Tenant::new("trial", Limits::default(), Grants::default()))
}

#[tokio::test]
async fn a_file_that_no_pool_can_hold_or_that_is_damaged_is_refused_before_it_is_compiled() {
    // Compiling the code beside it would take longer than this.
    let short = CompileSettings { time: Duration::from_secs(1), ..settings() };
    let (tables, memories) = ("(table 1 funcref)".repeat(500), "(memory 1)".repeat(90));
    for (fields, words) in [
        (tables.as_str(), "it needs 500 tables, and limits.tables is "),
        ("(table 9999999 funcref)", "it needs 9999999 elements in one table, and limits.table_elements is 20000"),
        (memories.as_str(), "it needs 90 memories, and limits.memories is "),
        ("(memory 16001)", "it needs 1000.1 MiB of memory to begin with, and limits.memory is "),
        ("(func (result i32) i64.const 1)", "it is damaged or wrongly built: type mismatch: expected i32, found i64"),
        ("(memory 1) (func (drop (i32.atomic.load (i32.const 0))))", "it uses threads"),
    ] {
        let reason = refusal(short.clone(), bombs::one_large_function_beside(40_000, fields)).await;
        assert!(reason.contains(words), "{words}: {reason}");
    }
}

#[tokio::test]
async fn a_program_may_begin_with_as_much_memory_as_a_program_may_have() {
    // In pages of 64 KiB; handlers may have 64 MiB, programs 256 MiB.
    for pages in [1025, 4000] {
        let plugin = load(&loader(&engine(), settings(), None), bombs::program(pages)).await.unwrap();
        assert_eq!(plugin.world_name(), "program");
        let reason = refusal(settings(), bombs::around(&format!("(memory {pages})"))).await;
        assert!(reason.contains(" of memory to begin with, and limits.memory is 64 MiB"), "{reason}");
    }
    let reason = refusal(settings(), bombs::program(4097)).await;
    let words = "it needs 256.1 MiB of memory to begin with, and limits.memory_program (at most limits.memory_slot) is \
                 256 MiB: build it smaller, or raise the limit";
    assert_eq!(reason, words);
}

#[tokio::test]
async fn a_file_that_only_the_pool_finds_too_large_is_compiled_once() {
    let folder = tempfile::tempdir().unwrap();
    let too_large = bombs::around(&"(global i64 (i64.const 0))".repeat(600_000));
    // A second server, too.
    for _ in 0..2 {
        let loader = noting(folder.path(), true);
        for _ in 0..2 {
            let Err(Error::Refused(reason)) = load(&loader, too_large.clone()).await else { panic!("not refused") };
            assert!(reason.contains("too many functions, imports or globals"), "{reason}");
        }
    }
    assert_eq!(fs::read_to_string(folder.path().join("runs")).unwrap().lines().count(), 1);
    // Without a cache the file is refused as well.
    let Err(Error::Refused(_)) = load(&noting(folder.path(), false), too_large).await else { panic!("not refused") };
}

#[tokio::test]
async fn deep_nesting_ends_only_the_compiler() {
    for wasm in [bombs::nested_types(100_000), bombs::nested_components(20_000)] {
        let reason = refusal(settings(), wasm).await;
        assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_component_is_refused_in_one_line() {
    let whole = guests::plugin(1);
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    let files = [
        Vec::new(),
        b"(component)".to_vec(),
        b"\0asm\x01\0\0\0".to_vec(),
        fs::read(env!("CARGO_BIN_EXE_whelk")).unwrap()[..1 << 20].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        damaged,
    ];
    for wasm in files {
        let reason = refusal(settings(), wasm).await;
        assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
    }
    let machine_code = cached(&whole).await;
    assert!(refusal(settings(), machine_code).await.contains(".cwasm"));
}

/// Compiled code as in a cache, without the seal.
async fn cached(wasm: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    load(&loader(&engine(), settings(), Some(folder.path())), wasm.to_vec()).await.unwrap();
    let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let sealed = fs::read(file).unwrap();
    let begin = sealed.windows(4).position(|window| window == b"\x7fELF").unwrap();
    sealed[begin..].to_vec()
}

#[tokio::test]
async fn a_second_start_compiles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine();
    load(&loader(&engine, settings(), Some(folder.path())), guests::plugin(1)).await.unwrap();
    let absent = Compiler::new("/nowhere".into(), "compile", settings());
    let cache = Cache::open(folder.path().into(), CacheKey::new([7; 32]), &engine, 1 << 30).unwrap();
    let trial = Tenant::new("trial", Limits::default(), Grants::default());
    let second = Loader::new(engine, absent, Some(cache), trial);
    load(&second, guests::plugin(1)).await.unwrap();
    assert!(matches!(load(&second, guests::plugin(2)).await, Err(Error::Host { .. })), "there is no compiler");
}

#[tokio::test]
async fn code_for_another_engine_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    load(&loader(&engine(), settings(), Some(folder.path())), guests::plugin(1)).await.unwrap();
    let small = EngineSettings::of(&Limits { instances: 1, memory_slot: 16 << 20, ..Limits::default() });
    let other = Engine::new(&small).unwrap();
    let fitting = CompileSettings { instance_memory: 16 << 20, ..settings() };
    load(&loader(&other, fitting, Some(folder.path())), guests::plugin(1)).await.unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

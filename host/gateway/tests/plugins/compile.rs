//! The compiler as a process of its own, with limits of its own. W34, W35, W37.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::sync::Semaphore;
use whelk_runtime::{
    Cache, CacheKey, CompileSettings, Compiler, Engine, EngineSettings, Error, Grants, Limits, Loader, Plugin, Source,
    Tenant, Terms,
};

use crate::script::write_script;
use crate::{bombs, guests};

const INSTANCE_MEMORY: usize = 64 << 20;

fn engine() -> Engine {
    let settings = EngineSettings { sessions: 4, memory: INSTANCE_MEMORY, ..EngineSettings::default() };
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
    let jobs = Semaphore::new(1);
    loader.load("name", &Source::new(wasm), Terms { component: 64 << 20, jobs: &jobs }).await
}

/// Why a file is refused with these limits, for good.
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

/// Why nothing could be said of a good file by a compiler that is this shell script.
async fn unfinished(script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    reason(load(&scripted(folder.path(), script), guests::plugin(1)).await)
}

/// Loads with a compiler that is this shell script.
fn scripted(folder: &Path, script: &str) -> Loader {
    let program = folder.join("compiler");
    write_script(&program, script);
    let compiler = Compiler::new(program, "compile", settings());
    Loader::new(engine(), compiler, None, Tenant::new("trial", Limits::default(), Grants::default()))
}

/// Why nothing could be said of a file.
fn reason(loaded: Result<Arc<Plugin>, Error>) -> String {
    match loaded {
        Err(Error::Unfinished(reason)) => reason,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[tokio::test]
async fn a_compiler_that_takes_too_much_processor_time_is_killed_and_that_is_no_verdict() {
    let short = CompileSettings { time: Duration::from_secs(1), ..settings() };
    match load(&loader(&engine(), short, None), bombs::one_large_function(40_000)).await {
        Err(Error::Unfinished(reason)) => {
            assert_eq!(reason, "compiling it takes more than the 1 s of processor time that are allowed");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_compiler_that_makes_no_progress_is_ended_after_twenty_times_its_time_and_the_file_can_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mark, pipe) = (folder.path().join("mark"), folder.path().join("pipe"));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // The first one says its number and stops. It uses no processor from then on, and would wait for ever.
    let script = format!(
        "[ -e '{0}' ] || {{ : > '{0}'; echo $$ > '{1}'; kill -STOP $$; }}\nexec '{2}' \"$@\"",
        mark.display(),
        pipe.display(),
        env!("CARGO_BIN_EXE_whelk")
    );
    let loader = scripted(folder.path(), &script);
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
    assert_eq!(reason(loaded), "compiling it took more than 1200 s by the clock; the machine may be too busy");
    let minutes = began.elapsed().as_secs().div_ceil(60);
    assert_eq!((minutes, process.exists()), (20, false));
    tokio::time::resume();
    assert_eq!(load(&loader, guests::plugin(1)).await.unwrap().name(), "name");
}

#[tokio::test]
async fn a_compiler_that_somebody_ends_says_nothing_of_the_file() {
    let killed = unfinished("kill -KILL $$").await;
    assert_eq!(killed, "its compiler was killed; the machine may be out of memory");
    for signal in ["TERM", "INT", "HUP", "USR1"] {
        let ended = unfinished(&format!("trap - {signal}; kill -{signal} $$")).await;
        assert!(ended.starts_with("its compiler was ended from outside (signal: "), "{ended}");
    }
}

#[tokio::test]
async fn a_compiler_that_takes_too_much_memory_is_stopped() {
    let small = CompileSettings { memory: 128 << 20, ..settings() };
    let reason = refusal(small, bombs::many_functions(150_000)).await;
    assert!(reason.contains("memory"), "{reason}");
}

#[tokio::test]
async fn code_that_is_too_large_is_not_taken() {
    let small = CompileSettings { code: 1 << 20, ..settings() };
    let reason = refusal(small, bombs::many_functions(30_000)).await;
    assert_eq!(reason, "compiled it would have more than the 1 MiB that are allowed");
}

#[tokio::test]
async fn nesting_ends_the_compiler_at_worst() {
    for wasm in [bombs::nested_types(100_000), bombs::nested_components(20_000)] {
        let reason = refusal(settings(), wasm).await;
        assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
    }
}

#[tokio::test]
async fn what_is_no_component_is_refused_in_one_line() {
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

/// Compiled code as it lies in a cache, without the seal.
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
    let small = EngineSettings { sessions: 1, memory: 16 << 20, ..EngineSettings::default() };
    let other = Engine::new(&small).unwrap();
    let fitting = CompileSettings { instance_memory: 16 << 20, ..settings() };
    load(&loader(&other, fitting, Some(folder.path())), guests::plugin(1)).await.unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

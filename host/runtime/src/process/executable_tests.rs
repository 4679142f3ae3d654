use std::collections::BTreeMap;
use std::fs;
use std::future::{Future, ready};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use crate::engine::{Engine, EngineSettings};
use crate::grants::{Access, Directory, FileTree, Grants, NameFolder, Quota, TreeSettings};
use crate::limits::Limits;
use crate::plugin::compile::loader::Source;
use crate::plugin::lookup::Unrunnable;
use crate::session_types::ProgramRequest;

/// A program, which imports these instances.
fn program(imports: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {imports}
            (core module $m (func (export "run") (result i32) i32.const 0))
            (core instance $c (instantiate $m))
            (func $run (result (result)) (canon lift (core func $c "run")))
            (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $i)))"#
    );
    wat::parse_str(text).unwrap()
}

fn plugin(name: &str, wasm: &[u8]) -> Arc<Plugin> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let settings = || EngineSettings::of(&Limits { instances: 1, ..Limits::default() });
    Plugin::load(ENGINE.get_or_init(|| Engine::new(&settings()).unwrap()), name, wasm).unwrap()
}

/// The program table of a tenant.
#[derive(Default)]
struct Table {
    programs: BTreeMap<&'static str, Lookup>,
    component_limit: Option<usize>,
    /// The last component that was asked for, which is still compiled.
    compiled: Mutex<Option<Source>>,
    /// The components that were asked for.
    asked: Mutex<Vec<(String, [u8; 32], usize)>>,
}

impl Plugins for Table {
    fn lookup(&self, name: &str) -> Lookup {
        self.programs.get(name).cloned().unwrap_or(Lookup::Absent)
    }

    fn route(&self, _: &ProgramRequest<'_>) -> Option<String> {
        None
    }

    fn component_limit(&self) -> Option<usize> {
        self.component_limit
    }

    fn component<'a>(&'a self, name: &'a str, file: Source) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        let found = Lookup::Found(plugin(name, &program("")));
        self.asked.lock().unwrap().push((name.to_owned(), *file.digest(), file.size()));
        *self.compiled.lock().unwrap() = Some(file);
        Box::pin(ready(found))
    }
}

/// What `/bin` shows.
#[derive(Debug)]
struct Names(Vec<&'static str>);

impl NameFolder for Names {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|name| (*name).to_owned()).collect()
    }

    fn size(&self, name: &str) -> Option<u64> {
        self.0.contains(&name).then_some(1)
    }
}

/// A tenant with a directory and the programs `ls`, `sh` and `lua`.
struct Place {
    folder: tempfile::TempDir,
    table: Table,
    tenant: Arc<Tenant>,
    files: ProgramFiles,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        let quota = Quota { bytes: 1 << 20, files: 100 };
        let directory = Directory::open(&folder.path().join("home"), Access::ReadWrite, quota, "/").unwrap();
        let names = ["ls", "sh", "lua"];
        let tree =
            FileTree::new(TreeSettings { programs: Some(Arc::new(Names(names.to_vec()))), ..TreeSettings::default() });
        let grants = Grants { directory: Some(directory), tree, ..Grants::default() };
        let limits = Limits { open_files: 2, ..Limits::default() };
        let tenant = Tenant::new("acme", limits, grants);
        let found = |name| (name, Lookup::Found(plugin(name, &program(""))));
        let table = Table { programs: names.map(found).into(), ..Table::default() };
        let files = ProgramFiles::of(&tenant);
        Self { folder, table, tenant, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("home").join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// The plugin and the arguments, joined by bars.
    async fn find(&self, directory: &str, program: &str) -> Result<String, Errno> {
        let programs = Programs { plugins: &self.table, tenant: &self.tenant, files: Some(&self.files), wait: None };
        let arguments = ["zero", "one", "two words"].map(str::to_owned).to_vec();
        let Executable { plugin, arguments } = programs.find(program, arguments, directory).await?;
        Ok(format!("{}: {}", plugin.name(), arguments.join("|")))
    }

    async fn fails(&self, program: &str) -> Errno {
        self.find("/", program).await.unwrap_err()
    }
}

#[tokio::test]
async fn a_process_begins_in_a_directory_that_is_there() {
    let place = Place::new();
    place.write("a/b/file", "");
    symlink("/a/b", place.path("link")).unwrap();
    for directory in ["/", "/a", "/a/b/", "/a/../a/b", "/link", "/dev", "/bin"] {
        assert_eq!(place.files.check_directory(directory).await, Ok(()), "{directory}");
    }
    for (directory, errno) in [("/absent", Errno::NoEntry), ("/a/b/file", Errno::NotADirectory)] {
        assert_eq!(place.files.check_directory(directory).await, Err(errno), "{directory}");
    }
}

#[tokio::test]
async fn a_name_and_every_path_that_leads_to_it_is_the_program_of_the_table() {
    let place = Place::new();
    fs::create_dir_all(place.path("a/b")).unwrap();
    symlink("/bin/ls", place.path("list")).unwrap();
    symlink("../../usr/bin", place.path("a/all")).unwrap();
    // Neither names nor paths are searched for in the directory.
    place.write("a/ls", "no program");
    for (directory, program) in [
        ("/", "ls"),
        ("/a", "ls"),
        ("/", "/bin/ls"),
        ("/a", "/usr/bin/ls"),
        ("/a/b", "../../bin/ls"),
        ("/bin", "./ls"),
        ("/", "./a/../usr//bin/../bin/ls"),
        ("/a", "/list"),
        ("/a", "../list"),
        ("/a", "all/ls"),
    ] {
        assert_eq!(place.find(directory, program).await.as_deref(), Ok("ls: zero|one|two words"), "{program}");
    }
    for program in ["none", "", ".", "..", "/bin/none", "/none/ls", "ls\0"] {
        assert_eq!(place.fails(program).await, Errno::NoEntry, "{program:?}");
    }
    let programs = Programs { plugins: &place.table, tenant: &place.tenant, files: None, wait: None };
    assert!(programs.find("ls", vec!["ls".to_owned()], "/").await.is_ok());
    assert_eq!(programs.find("/bin/ls", vec!["ls".to_owned()], "/").await.err(), Some(Errno::NoEntry));
    assert_eq!(programs.find("ls", Vec::new(), "/").await.err(), Some(Errno::Invalid));
}

#[tokio::test]
async fn a_program_that_cannot_be_run_has_the_error_of_its_reason() {
    let mut place = Place::new();
    let needy = plugin("ls", &program("(import \"wasi:keyvalue/store@0.2.0-draft2\" (instance))"));
    for (found, errno) in [
        (Lookup::Absent, Errno::NoEntry),
        (Lookup::Preparing, Errno::Again),
        (Lookup::Retried, Errno::Again),
        (Lookup::Unrunnable(Unrunnable::not_found()), Errno::NoEntry),
        (Lookup::Unrunnable(Unrunnable::not_yet("not ready yet")), Errno::Again),
        (Lookup::Unrunnable(Unrunnable::not_granted("it needs topics")), Errno::Access),
        (Lookup::Unrunnable(Unrunnable::because("this is text")), Errno::NoExecutable),
        (Lookup::Found(needy), Errno::Access),
    ] {
        place.table.programs.insert("ls", found);
        for program in ["ls", "/bin/ls"] {
            assert_eq!(place.fails(program).await, errno, "{program}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_program_is_refused_as_execve_does() {
    let place = Place::new();
    place.write("text", "hello");
    place.write("empty", "");
    place.write("a/component", program(""));
    symlink("loop", place.path("loop")).unwrap();
    symlink("/../../outside", place.path("out")).unwrap();
    fs::write(place.folder.path().join("outside"), "#!/bin/sh\n").unwrap();
    mknodat(CWD, place.path("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    for (program, errno) in [
        ("/text", Errno::NoExecutable),
        ("./empty", Errno::NoExecutable),
        ("/a", Errno::Access),
        ("/", Errno::Access),
        ("./", Errno::Access),
        ("/bin", Errno::Access),
        ("/usr", Errno::Access),
        ("/fifo", Errno::Access),
        ("/dev/null", Errno::Access),
        ("/dev/random", Errno::Access),
        // Its tenant may not deploy.
        ("/a/component", Errno::Access),
        ("/loop", Errno::LinkLoop),
        ("/out", Errno::NoEntry),
        ("/../outside", Errno::NoEntry),
        ("/text/", Errno::NotADirectory),
        ("/text/x", Errno::NotADirectory),
        ("/text/../bin/ls", Errno::NotADirectory),
        ("/bin/ls/", Errno::NotADirectory),
    ] {
        assert_eq!(place.fails(program).await, errno, "{program}");
    }
    assert_eq!(place.fails(&"/d".repeat(2_100)).await, Errno::NameTooLong);
    // Opened files count.
    let held = [place.files.open("/", "/text").await.unwrap(), place.files.open("/", "/empty").await.unwrap()];
    assert_eq!(place.fails("/text").await, Errno::TooManyFiles);
    drop(held);
    assert_eq!(place.fails("/text").await, Errno::NoExecutable);
}

#[tokio::test]
async fn a_script_is_an_argument_of_its_interpreter() {
    let place = Place::new();
    for (name, line, expected) in [
        ("plain", "#!/bin/sh", "sh: /bin/sh|/plain|one|two words"),
        ("blanks", "#! \t/usr/bin/sh \t ", "sh: /usr/bin/sh|/blanks|one|two words"),
        ("argument", "#!/bin/sh  -e -u x \t", "sh: /bin/sh|-e -u x|/argument|one|two words"),
        ("env", "#!/usr/bin/env lua", "lua: lua|/env|one|two words"),
        ("env2", "#!/bin/env\tlua ", "lua: lua|/env2|one|two words"),
        ("relative", "#!bin/../bin/lua", "lua: bin/../bin/lua|/relative|one|two words"),
    ] {
        for end in ["", "\n", "\nexit 1\n"] {
            place.write(name, format!("{line}{end}"));
            assert_eq!(place.find("/", &format!("/{name}")).await.as_deref(), Ok(expected));
        }
    }
    // The path stays as it was given.
    place.write("a/b/script", "#!/bin/sh\n");
    symlink("/a/b/script", place.path("link")).unwrap();
    for (directory, program) in [("/a", "b/script"), ("/a/b", "./script"), ("/a", "../link"), ("/", "/link")] {
        let expected = format!("sh: /bin/sh|{program}|one|two words");
        assert_eq!(place.find(directory, program).await, Ok(expected));
    }
    for (line, errno) in [
        ("#!\n/bin/sh", Errno::NoExecutable),
        ("#! \t \n", Errno::NoExecutable),
        ("#!", Errno::NoExecutable),
        ("#!/bin/none\n", Errno::NoEntry),
        // Its end is not that of this system.
        ("#!/bin/sh\r\n", Errno::NoEntry),
        ("#!/usr/bin/env none\n", Errno::NoEntry),
        // There is no program `env` that could make something of it.
        ("#!/usr/bin/env -S lua -x\n", Errno::NoEntry),
        ("#!/usr/bin/env\n", Errno::NoEntry),
        ("#!/usr/bin/env A=b\n", Errno::NoEntry),
        ("#!sh\n", Errno::NoEntry),
        ("#!/usr\n", Errno::Access),
        ("#!/dev/null\n", Errno::Access),
        ("#!/bin/sh \0\n", Errno::NoExecutable),
        ("#!/a/b/script\n", Errno::LinkLoop),
    ] {
        place.write("bad", line);
        assert_eq!(place.fails("/bad").await, errno, "{line:?}");
    }
}

#[test]
fn the_first_line_of_a_script_has_at_most_256_bytes() {
    let line = |length: usize| format!("#!/bin/sh {}", "x".repeat(length - 10)).into_bytes();
    let parsed = |head: &[u8]| Script::parse(head).map(|script| script.argument.unwrap().len());
    assert_eq!((parsed(&line(LINE)), parsed(&[&line(LINE)[..], b"\n"].concat())), (Some(246), Some(246)));
    assert_eq!((parsed(&line(LINE + 1)), parsed(&[&line(LINE + 1)[..], b"\n"].concat())), (None, None));
}

/// X11
#[tokio::test]
async fn scripts_that_interpret_each_other_are_a_loop_however_many_there_are() {
    let place = Place::new();
    for number in 0..50 {
        place.write(&format!("s{number}"), format!("#!/s{} x\n", number + 1));
    }
    place.write("s50", "#!/bin/sh\n");
    place.write("self", "#!/self\n");
    assert_eq!(place.find("/", "/s50").await.as_deref(), Ok("sh: /bin/sh|/s50|one|two words"));
    for script in ["/s0", "/s48", "/s49", "/self"] {
        assert_eq!(place.fails(script).await, Errno::LinkLoop, "{script}");
    }
}

#[tokio::test]
async fn a_component_by_path_is_read_whole_where_its_tenant_may_deploy() {
    let mut place = Place::new();
    // A custom section: its kind, its length in LEB128, the length of its name, its name, its contents.
    let contents = [&[1, b'v'][..], &[7; 0x3_fffe]].concat();
    let wasm = [&program("")[..], &[0, 0x80, 0x80, 0x10], &contents].concat();
    place.write("a/tool.wasm", &wasm);
    place.write("script", "#!/a/tool.wasm -x\n");
    place.table.component_limit = Some(wasm.len());
    for (program, expected) in [
        ("/a/tool.wasm", "tool.wasm: zero|one|two words"),
        ("a/../a/tool.wasm", "tool.wasm: zero|one|two words"),
        ("/script", "tool.wasm: /a/tool.wasm|-x|/script|one|two words"),
    ] {
        assert_eq!(place.find("/", program).await.as_deref(), Ok(expected));
        let asked = std::mem::take(&mut *place.table.asked.lock().unwrap());
        let digest = *Source::new(wasm.clone()).digest();
        assert_eq!(asked, [("tool.wasm".to_owned(), digest, wasm.len())], "{program}");
        // Nobody waits for it any more, and its bytes are still there.
        assert_eq!(place.tenant.memory(), wasm.len());
        *place.table.compiled.lock().unwrap() = None;
        assert_eq!(place.tenant.memory(), 0);
    }
    place.table.component_limit = Some(wasm.len() - 1);
    assert_eq!(place.fails("/a/tool.wasm").await, Errno::NoExecutable);
    assert!(place.table.asked.lock().unwrap().is_empty());
}

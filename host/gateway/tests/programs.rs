//! The program table of a server, with our own client: programs are loaded when they are needed, have other names, are
//! replaced while they run, and fail as under a shell. W34, W35, W40.
//!
//! The programs are plugins that send back what they get; some of the compilers are scripts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod guest;
#[path = "../../../tests/client/peer.rs"]
#[expect(dead_code, reason = "what nobody expected is shown whole")]
mod peer;
#[expect(unreachable_pub, reason = "other tests have it from their library")]
#[path = "../../../tests/src/script.rs"]
mod script;
#[path = "../../../tests/client/visit.rs"]
mod visit;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use peer::{Happened, Peer};
use script::write_script;
use serde_json::{Value, json};
use tokio::time::timeout;
use whelk::config::{Config, Overrides};
use whelk::connection::driver;
use whelk::plugins::reload::Reload;
use whelk::server::control::{Control, PLUGINS, Requests, ask};
use whelk::server::drain::Stopper;
use whelk::server::gateway::Gateway;
use whelk::server::listener::Listener;
use whelk::state::State;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::Request;

/// Long enough for a busy machine; a passing test never waits that long.
const TIMEOUT: Duration = Duration::from_secs(240);

/// The program of these tests. `version` changes the file and nothing else.
fn echo(version: u8) -> Vec<u8> {
    let mut wasm = fs::read(guest::build(&["bare"]).join("bare.wasm")).unwrap();
    // A custom section: its kind, its length, the length of its name, its name, its contents.
    wasm.extend([0, 3, 1, b'v', version]);
    wasm
}

/// A folder with the files of a server. Alice and bob have the plugin `home`, carol the program `echo`; each may name
/// any program.
struct Place {
    folder: tempfile::TempDir,
    settings: String,
}

impl Place {
    fn new() -> Place {
        Place::with("")
    }

    /// With these limits.
    fn with(limits: &str) -> Place {
        let place = Place {
            folder: tempfile::tempdir().unwrap(),
            settings: format!(
                "listen = [\"127.0.0.1:0\"]\nplugins = \"plugins\"\nstate = \"state\"\n\
                 [users.alice]\ntenant = \"acme\"\nauth = \"none\"\n\
                 [users.carol]\ntenant = \"acme\"\nplugin = \"echo\"\nauth = \"none\"\n\
                 [users.bob]\ntenant = \"bolt\"\nauth = \"none\"\n\
                 [tenants.acme]\nplugin = \"home\"\nplugins = \"acme\"\nexec_programs = true\n\
                 [tenants.bolt]\nplugin = \"home\"\nexec_programs = true\n[limits]\n{limits}\n"
            ),
        };
        for folder in ["plugins/bin", "acme/bin"] {
            fs::create_dir_all(place.path(folder)).unwrap();
        }
        place.put("plugins/home.wasm", &echo(0));
        place.put("plugins/bin/echo.wasm", &echo(1));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Installs a file atomically.
    fn put(&self, name: &str, wasm: &[u8]) {
        let temporary = self.path("being written");
        fs::write(&temporary, wasm).unwrap();
        fs::rename(temporary, self.path(name)).unwrap();
    }

    fn link(&self, name: &str, target: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    fn config(&self) -> Config {
        let file = self.path("whelk.toml");
        fs::write(&file, &self.settings).unwrap();
        Config::load(&file, &Overrides::default()).unwrap()
    }

    /// Serves while `client` runs.
    async fn serve<C: Future<Output = ()>>(&self, client: impl FnOnce(Served) -> C) {
        self.serve_with(Path::new(env!("CARGO_BIN_EXE_whelk")), client).await;
    }

    async fn serve_with<C: Future<Output = ()>>(&self, compiler: &Path, client: impl FnOnce(Served) -> C) {
        let (mut config, stopper) = (self.config(), Stopper::new());
        config.limits.plugins.instances = 100;
        // Bob waits for a program as long as it takes, whatever the others do.
        config.tenants.get_mut("bolt").unwrap().limits.plugins.prepare_wait = TIMEOUT;
        let gateway = Arc::new(Gateway::new(&config, vec![HostKey::generate().unwrap()], &stopper).unwrap());
        let state = State::open(&config.state).unwrap();
        let listener = Listener::bind(&config).unwrap();
        let address = listener.addresses().unwrap()[0];
        let reload = gateway.load(&config, &state, compiler).await.unwrap();
        let serve = listener
            .serve(&stopper, move |stream, peer, permit| driver::run(stream, peer, permit, Arc::clone(&gateway)));
        let client = async {
            client(Served { address, reload, state }).await;
            stopper.stop();
        };
        timeout(TIMEOUT, async { tokio::join!(serve, client) }).await.unwrap();
    }
}

/// A running server.
struct Served {
    address: SocketAddr,
    reload: Reload,
    state: State,
}

impl Served {
    /// What the server says of the operator's programs, and of acme's.
    async fn lists(&self) -> [Value; 2] {
        let _control = Control::open(&self.state, Requests::new(&self.reload)).unwrap();
        let state = self.state.folder().to_owned();
        let answer = tokio::task::spawn_blocking(move || ask(&state, PLUGINS)).await.unwrap().unwrap();
        let folders = answer["folders"].as_array().unwrap().iter().filter(|folder| !folder["programs"].is_null());
        let folders: Vec<_> = folders.cloned().collect();
        folders.try_into().unwrap()
    }

    /// The operator's loaded programs, each with the number of its version.
    async fn loaded(&self) -> Vec<(String, u64)> {
        let [folder, _] = self.lists().await;
        let plugins = folder["plugins"].as_array().unwrap().iter().filter(|plugin| !plugin["current"].is_null());
        let version = |plugin: &Value| {
            (plugin["name"].as_str().unwrap().to_owned(), plugin["current"]["generation"].as_u64().unwrap())
        };
        plugins.map(version).collect()
    }

    async fn until_loaded(&self, wanted: &[(&str, u64)]) {
        let wanted: Vec<_> = wanted.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        while self.loaded().await != wanted {}
    }

    /// A session of this user that has been started, and sends hello.
    async fn session(&self, user: &str, request: &Request<'_>) -> Session {
        let mut peer = visit::log_in(self.address, user).await;
        let channel = visit::open(&mut peer, Some(request)).await;
        Session { peer, channel }
    }

    /// What comes of a session: hello, or why the program cannot be run, and the status.
    async fn run(&self, user: &str, command: &str) -> Result<(), (String, u32)> {
        self.session(user, &Request::Exec { command: command.as_bytes() }).await.greet().await
    }
}

struct Session {
    peer: Peer,
    channel: ChannelId,
}

impl Session {
    async fn greet(&mut self) -> Result<(), (String, u32)> {
        self.peer.connection.write(self.channel, Stream::Data, b"hello");
        let mut said = String::new();
        loop {
            match self.peer.happens().await.unwrap() {
                Happened::Data(_, Stream::Data, text) => {
                    assert_eq!(text, b"hello");
                    return Ok(());
                }
                Happened::Data(_, _, text) => said.push_str(str::from_utf8(&text).unwrap()),
                Happened::ExitStatus(_, status) => return Err((said, status)),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn failed(text: &str, status: u32) -> Result<(), (String, u32)> {
    Err((text.to_owned(), status))
}

#[tokio::test]
async fn a_program_is_compiled_when_it_is_needed_and_other_names_are_the_same_component() {
    let place = Place::new();
    place.put("plugins/bin/other.wasm", &echo(2));
    place.link("plugins/bin/ls.wasm", "echo.wasm");
    place
        .serve(async |served| {
            served.reload.prepared().await;
            let [folder, own] = served.lists().await;
            assert_eq!((&folder["plugins"], &folder["pending"], &own["plugins"]), (&json!([]), &json!([]), &json!([])));
            let size = echo(1).len();
            assert_eq!(
                folder["programs"],
                json!([
                    { "name": "echo", "program": "echo", "size": size },
                    { "name": "ls", "program": "echo", "size": size },
                    { "name": "other", "program": "other", "size": size },
                ])
            );
            let mut home = served.session("carol", &Request::Shell).await;
            assert_eq!(home.greet().await, Ok(()));
            assert_eq!(served.loaded().await, [("echo".to_owned(), 1)]);
            for command in ["ls -l", "  'ls' /tmp", "/bin/ls", "/usr/bin/ls x"] {
                assert_eq!(served.run("alice", command).await, Ok(()), "{command}");
            }
            assert_eq!(served.run("bob", "ls").await, Ok(()));
            assert_eq!(served.loaded().await, [("echo".to_owned(), 1)]);
            assert_eq!(served.lists().await[0]["plugins"][0]["current"]["sessions"], 1);
            assert_eq!(served.run("alice", "other").await, Ok(()));
            assert_eq!(served.loaded().await, [("echo".to_owned(), 1), ("other".to_owned(), 1)]);
        })
        .await;
}

#[tokio::test]
async fn a_command_that_cannot_be_run_fails_as_under_a_shell() {
    let place = Place::new();
    place.put("plugins/bin/text.wasm", b"hello");
    place.put("plugins/bin/doorman.wasm", &fs::read(guest::build(&["doorman"]).join("doorman.wasm")).unwrap());
    place.put("plugins/bin/needy.wasm", &fs::read(guest::build(&["neighbour"]).join("neighbour.wasm")).unwrap());
    place.put("secret.wasm", &echo(1));
    place.link("plugins/bin/out.wasm", "../../secret.wasm");
    place.link("plugins/bin/one.wasm", "two.wasm");
    place.link("plugins/bin/two.wasm", "one.wasm");
    place
        .serve(async |served| {
            for (command, text, status) in [
                ("absent -x", "absent: not found\n", 127),
                ("../echo", "../echo: not found\n", 127),
                ("'echo\u{1b}[2J'", "echo\\u{1b}[2J: not found\n", 127),
                ("/etc/echo", "/etc/echo: not found\n", 127),
                ("text", "text: this is text, not a WebAssembly component\n", 126),
                ("doorman", "doorman: it is an authenticator, which decides about logins\n", 126),
                ("needy", "needy: it needs keyvalue and topics, which is not granted here\n", 126),
                ("one", "one: it is a symbolic link to \"two.wasm\", which is a link, too: link to the file\n", 126),
                (
                    "out",
                    "out: it is a symbolic link to \"../../secret.wasm\", which is not the name of a program's file in \
                     the same folder, such as \"coreutils.wasm\"\n",
                    126,
                ),
            ] {
                // The second time it is known.
                for _ in 0..2 {
                    assert_eq!(served.run("alice", command).await, failed(text, status), "{command}");
                }
            }
            let refused = served.lists().await[0]["refused"].clone();
            assert_eq!((refused.as_array().unwrap().len(), &refused[0]["file"]), (1, &json!("text.wasm")));
            // Nothing else has suffered, and what was mended can be run.
            assert_eq!(served.run("alice", "echo").await, Ok(()));
            place.put("plugins/bin/text.wasm", &echo(3));
            while served.run("alice", "text").await.is_err() {}
            fs::remove_file(place.path("plugins/bin/one.wasm")).unwrap();
            place.put("plugins/bin/one.wasm", &echo(3));
            while served.run("alice", "two").await.is_err() {}
        })
        .await;
}

#[tokio::test]
async fn a_program_is_replaced_while_it_runs_and_a_broken_file_replaces_nothing() {
    let place = Place::new();
    place.link("plugins/bin/ls.wasm", "echo.wasm");
    place
        .serve(async |served| {
            let mut old = served.session("alice", &Request::Exec { command: b"ls" }).await;
            assert_eq!(old.greet().await, Ok(()));
            place.put("plugins/bin/echo.wasm", &echo(2));
            served.until_loaded(&[("echo", 2)]).await;
            assert_eq!(served.run("alice", "ls").await, Ok(()));
            assert_eq!(old.greet().await, Ok(()));
            let plugin = served.lists().await[0]["plugins"][0].clone();
            assert_eq!((&plugin["older"][0]["generation"], &plugin["older"][0]["sessions"]), (&1.into(), &1.into()));
            place.put("plugins/bin/echo.wasm", b"not wasm");
            let refused = loop {
                let refused = served.lists().await[0]["refused"].clone();
                if !refused.as_array().unwrap().is_empty() {
                    break refused;
                }
            };
            assert_eq!(refused[0]["reason"], "this is text, not a WebAssembly component");
            assert_eq!(served.run("alice", "ls").await, Ok(()));
            // The same contents as before are no new version.
            place.put("plugins/bin/echo.wasm", &echo(2));
            while !served.lists().await[0]["refused"].as_array().unwrap().is_empty() {}
            assert_eq!(served.loaded().await, [("echo".to_owned(), 2)]);
            fs::remove_file(place.path("plugins/bin/echo.wasm")).unwrap();
            served.until_loaded(&[]).await;
            assert_eq!(old.greet().await, Ok(()));
            assert_eq!(served.run("alice", "echo").await, failed("echo: not found\n", 127));
        })
        .await;
}

/// A place whose tenant acme deploys into the directory that sftp and scp reach. bolt's files are closed to them.
fn serving_files() -> Place {
    let mut place = Place::new();
    place.settings = place.settings.replace(
        "plugins = \"acme\"\n",
        "plugins = \"acme\"\nfiles = true\n\
         grants = { directory = { path = \"acme\", access = \"read-write\" }, deploy = true }\n",
    );
    place.settings = place.settings.replace("[tenants.bolt]\n", "[tenants.bolt]\nfiles = false\n");
    place
}

#[tokio::test]
async fn what_a_tenant_deploys_never_serves_its_files() {
    let place = serving_files();
    for file in ["plugins/bin/sftp.wasm", "plugins/bin/scp.wasm"] {
        place.put(file, &echo(1));
    }
    for file in ["acme/sftp.wasm", "acme/bin/sftp.wasm", "acme/bin/scp.wasm", "acme/bin/mine.wasm"] {
        place.put(file, b"of the tenant");
    }
    let is_the_tenants = |name: &str| failed(&format!("{name}: this is text, not a WebAssembly component\n"), 126);
    place
        .serve(async |served| {
            for command in ["internal-sftp -R", "scp -t /", "'/bin/scp' -t /", "sftp", "/usr/bin/sftp"] {
                assert_eq!(served.run("alice", command).await, Ok(()), "{command}");
            }
            assert_eq!(served.run("alice", "mine").await, is_the_tenants("mine"));
            // Nor is there any other once the operator's has gone.
            fs::remove_file(place.path("plugins/bin/scp.wasm")).unwrap();
            while served.lists().await[0]["programs"].as_array().unwrap().iter().any(|known| known["name"] == "scp") {}
            let mut peer = visit::log_in(served.address, "alice").await;
            let channel = peer.connection.open_session().unwrap();
            while !matches!(peer.happens().await.unwrap(), Happened::Opened(_)) {}
            let scp = Request::Exec { command: b"scp -t /" };
            assert!(peer.connection.request(channel, scp.kind(), &scp.body(), true));
            assert!(matches!(peer.happens().await.unwrap(), Happened::Answered(_, false)));
        })
        .await;
}

#[tokio::test]
async fn programs_that_serve_files_are_refused_where_files_are_closed() {
    let place = serving_files();
    for file in ["plugins/bin/sftp.wasm", "plugins/bin/scp.wasm", "plugins/bin/internal-sftp.wasm"] {
        place.put(file, &echo(1));
    }
    place
        .serve(async |served| {
            for (command, name) in [
                ("scp -f x", "scp"),
                ("'scp' -f x", "scp"),
                ("/bin/scp -f x", "scp"),
                ("/usr/bin/sftp", "sftp"),
                ("internal-sftp -R", "internal-sftp"),
            ] {
                let told = failed(&format!("{name}: sftp and scp reach no files here\n"), 126);
                assert_eq!(served.run("bob", command).await, told, "{command}");
            }
            assert_eq!(served.run("bob", "echo").await, Ok(()));
        })
        .await;
}

#[tokio::test]
async fn a_tenants_own_program_comes_first_and_is_its_own_alone() {
    let place = Place::new();
    place
        .serve(async |served| {
            assert_eq!(served.run("alice", "echo").await, Ok(()));
            place.put("acme/bin/mine.wasm", &echo(7));
            // At once, before the folder is listed again.
            assert_eq!(served.run("alice", "mine").await, Ok(()));
            assert_eq!(served.run("bob", "mine").await, failed("mine: not found\n", 127));
            place.put("acme/bin/echo.wasm", b"text");
            let text = "echo: this is text, not a WebAssembly component\n";
            while served.run("alice", "echo").await != failed(text, 126) {}
            assert_eq!(served.run("bob", "echo").await, Ok(()));
            let [_, own] = served.lists().await;
            assert_eq!((&own["tenant"], &own["plugins"][0]["name"]), (&"acme".into(), &"mine".into()));
        })
        .await;
}

#[tokio::test]
async fn sixty_five_programs_are_loaded_one_after_the_other_and_sixty_four_stay() {
    let place = Place::new();
    for number in 0..65 {
        // Compiled once: the code is found by the contents.
        place.put(&format!("plugins/bin/p{number:02}.wasm"), &echo(1));
    }
    place
        .serve(async |served| {
            let mut running = served.session("alice", &Request::Exec { command: b"p00" }).await;
            assert_eq!(running.greet().await, Ok(()));
            for number in 1..65 {
                assert_eq!(served.run("alice", &format!("p{number:02}")).await, Ok(()));
            }
            let loaded: BTreeSet<_> = served.loaded().await.into_iter().map(|(name, _)| name).collect();
            // p00 was used before all others, and runs.
            assert_eq!((loaded.len(), loaded.contains("p00"), loaded.contains("p01")), (64, true, false));
            assert_eq!(running.greet().await, Ok(()));
            assert_eq!(served.run("alice", "p01").await, Ok(()));
            let loaded = served.loaded().await;
            assert!(loaded.contains(&("p01".to_owned(), 1)) && loaded.len() == 64, "{loaded:?}");
        })
        .await;
}

#[tokio::test]
async fn ten_thousand_files_cost_little_and_each_of_them_can_be_run() {
    let place = Place::with("programs = 2");
    for number in 0..10_000 {
        fs::write(place.path(&format!("plugins/bin/f{number:04}.wasm")), "").unwrap();
    }
    place.put("plugins/bin/zz.wasm", &echo(1));
    place
        .serve(async |served| {
            let began = Instant::now();
            assert_eq!(served.run("alice", "zz").await, Ok(()));
            println!("the last of 10,002 programs ran {:?} after the start", began.elapsed());
            for name in ["f0000", "f5000", "f9999"] {
                let text = format!("{name}: the file is empty\n");
                assert_eq!(served.run("alice", name).await, failed(&text, 126));
            }
            let [folder, _] = served.lists().await;
            assert_eq!(folder["programs"].as_array().unwrap().len(), 10_002);
            assert_eq!(served.run("alice", "zz").await, Ok(()));
        })
        .await;
}

#[tokio::test]
async fn a_program_that_takes_long_is_not_ready_yet_and_delays_no_other_tenant() {
    let place = Place::with("prepare_wait = \"0 s\"");
    let gate = place.path("gate");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &gate,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let slow = |number: u8| [echo(number), [&[0, 16, 15][..], b"slow to compile"].concat()].concat();
    for number in 0..4 {
        place.put(&format!("plugins/bin/slow{number}.wasm"), &slow(number));
    }
    let compiler = place.path("compiler");
    write_script(
        &compiler,
        &format!(
            "PATH=/usr/bin:/bin; file=$(mktemp '{0}/XXXXXX'); cat > \"$file\"; exec < \"$file\"\n\
             if grep -q 'slow to compile' \"$file\"; then read go < '{0}/gate'; fi\nexec '{1}' \"$@\"",
            place.folder.path().display(),
            env!("CARGO_BIN_EXE_whelk")
        ),
    );
    place
        .serve_with(&compiler, async |served| {
            served.reload.prepared().await;
            for number in 0..4 {
                let text = format!("slow{number}: not ready yet\n");
                assert_eq!(served.run("alice", &format!("slow{number}")).await, failed(&text, 126));
            }
            assert_eq!(served.run("bob", "echo").await, Ok(()));
            assert_eq!(served.run("alice", "slow3").await, failed("slow3: not ready yet\n", 126));
            // They are compiled after all.
            let mut go = fs::File::options().read(true).write(true).open(&gate).unwrap();
            std::io::Write::write_all(&mut go, "go\n".repeat(64).as_bytes()).unwrap();
            assert_eq!(served.run("bob", "slow3").await, Ok(()));
            assert_eq!(served.run("alice", "slow3").await, Ok(()));
        })
        .await;
}

#[tokio::test]
async fn a_shell_and_coreutils_are_loaded_in_the_background_at_the_start() {
    let place = Place::new();
    place.put("plugins/bin/brush.wasm", &echo(2));
    place.link("plugins/bin/sh.wasm", "brush.wasm");
    place.put("plugins/bin/coreutils.wasm", &echo(3));
    place.serve(async |served| served.until_loaded(&[("brush", 1), ("coreutils", 1)]).await).await;
}

#[tokio::test]
async fn a_folder_that_appears_later_is_noticed_and_one_that_is_lost_keeps_what_is_loaded() {
    let mut place = Place::new();
    let (bin, away) = (place.path("plugins/bin"), place.path("away"));
    fs::rename(&bin, &away).unwrap();
    place.settings = place.settings.replace(
        "exec_programs = true\n[tenants.bolt]",
        "exec_programs = true\nroutes.exec = { git = \"home\" }\n[tenants.bolt]",
    );
    place.settings = place.settings.replace("plugin = \"echo\"", "plugin = \"home\"");
    place
        .serve(async |served| {
            assert_eq!(served.run("alice", "home").await, Ok(()), "the plugin of this name");
            assert_eq!(served.run("alice", "git status").await, Ok(()), "routes come first");
            fs::rename(&away, &bin).unwrap();
            fs::rename(place.path("plugins/bin/echo.wasm"), place.path("plugins/bin/late.wasm")).unwrap();
            assert_eq!(served.run("alice", "late").await, Ok(()));
            fs::rename(&bin, &away).unwrap();
            while served.lists().await[0]["trouble"].is_null() {}
            assert_eq!(served.run("alice", "late").await, Ok(()));
            fs::rename(&away, &bin).unwrap();
            while !served.lists().await[0]["trouble"].is_null() {}
            assert_eq!(served.loaded().await, [("late".to_owned(), 1)]);
        })
        .await;
}

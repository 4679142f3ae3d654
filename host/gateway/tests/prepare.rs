//! A server that listens while its plugins are compiled, and the clients of those plugins, with our own client.
//!
//! The compiler of these tests is a shell script that waits until a test lets it continue.
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

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use peer::Happened;
use rustix::fs::{CWD, FileType, Mode, mknodat};
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
use whelk_ssh::message::mux::Stream;
use whelk_ssh::message::request::Request;

/// Long enough for a busy machine; a passing test never waits that long.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Marks a plugin file that takes long to compile.
const SLOW: &str = "slow to compile";

/// A folder with an echo plugin, and the other files of a server.
struct Place {
    folder: tempfile::TempDir,
    config: Config,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        put_echo(&plugins);
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let overrides = Overrides { listen, plugins: Some(plugins), state: Some(folder.path().join("state")) };
        let config = Config::demonstration(&overrides).unwrap();
        Place { folder, config }
    }

    /// A place with the tenant `acme`, whose user alice gets `echo` and, for the command `git`, the plugin of that
    /// name. The tenant has an `echo` of its own. The operator's plugins take long to compile.
    fn configured() -> Place {
        let mut place = Place::new();
        let folder = place.folder.path();
        let own = folder.join("acme/plugins");
        fs::create_dir_all(&own).unwrap();
        let echo = fs::read(folder.join("plugins/echo.wasm")).unwrap();
        fs::write(own.join("echo.wasm"), &echo).unwrap();
        // A custom section.
        let slow = [&echo, &[0, 16, 15][..], SLOW.as_bytes()].concat();
        for name in ["echo.wasm", "git.wasm"] {
            fs::write(folder.join("plugins").join(name), &slow).unwrap();
        }
        let text = "listen = [\"127.0.0.1:0\"]\nplugins = \"plugins\"\nstate = \"state\"\n\
            [users.alice]\ntenant = \"acme\"\nauth = \"none\"\n\
            [tenants.acme]\nplugin = \"echo\"\nplugins = \"acme/plugins\"\nroutes.exec = { git = \"git\" }\n";
        let file = folder.join("whelk.toml");
        fs::write(&file, text).unwrap();
        place.config = Config::load(&file, &Overrides::default()).unwrap();
        place
    }

    /// A place with the tenant `acme`, which has an empty plugin folder.
    fn with_a_tenant() -> Place {
        let mut place = Place::new();
        let folder = place.folder.path();
        fs::create_dir_all(folder.join("acme/plugins")).unwrap();
        let text = "listen = [\"127.0.0.1:0\"]\nplugins = \"plugins\"\nstate = \"state\"\n\
            [users.alice]\ntenant = \"acme\"\nauth = \"none\"\n\
            [tenants.acme]\nplugin = \"echo\"\nplugins = \"acme/plugins\"\n";
        let file = folder.join("whelk.toml");
        fs::write(&file, text).unwrap();
        place.config = Config::load(&file, &Overrides::default()).unwrap();
        place
    }

    /// A pipe on which a compiler can wait.
    fn gate(&self) -> PathBuf {
        let gate = self.folder.path().join("gate");
        mknodat(CWD, &gate, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        gate
    }

    /// A compiler that runs this first.
    fn compiler(&self, first: &str) -> PathBuf {
        let path = self.folder.path().join("compiler");
        write_script(&path, &format!("{first}\nexec '{}' \"$@\"", env!("CARGO_BIN_EXE_whelk")));
        path
    }

    /// A compiler that waits at the gate for files that are marked slow, and writes its process id to the file
    /// `compiling`.
    fn slow_compiler(&self, gate: &Path) -> PathBuf {
        self.compiler(&format!(
            "PATH=/usr/bin:/bin; file=$(mktemp '{0}/XXXXXX'); cat > \"$file\"; exec < \"$file\"\n\
             if grep -q '{SLOW}' \"$file\"; then echo $$ > '{0}/compiling'; read go < '{1}'; fi",
            self.folder.path().display(),
            gate.display()
        ))
    }

    /// A running server's report on the operator's plugins.
    async fn list(&self, reload: &Reload) -> Value {
        self.list_folder(reload, 0).await
    }

    /// The same for any folder.
    async fn list_folder(&self, reload: &Reload, number: usize) -> Value {
        let _control = Control::open(&State::open(&self.config.state).unwrap(), Requests::new(reload)).unwrap();
        let state = self.config.state.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&state, PLUGINS)).await.unwrap().unwrap();
        answer["folders"][number].clone()
    }

    /// Serves while `client` runs, with this compiler.
    async fn serve<C: Future<Output = ()>>(&self, compiler: &Path, client: impl FnOnce(SocketAddr, Reload) -> C) {
        let (mut config, stopper) = (self.config.clone(), Stopper::new());
        config.limits.plugins.instances = 100;
        let gateway = Arc::new(Gateway::new(&config, vec![HostKey::generate().unwrap()], &stopper).unwrap());
        let state = State::open(&self.config.state).unwrap();
        let listener = Listener::bind(&self.config).unwrap();
        let address = listener.addresses().unwrap()[0];
        let reload = gateway.load(&self.config, &state, compiler).await.unwrap();
        let serve = listener
            .serve(&stopper, move |stream, peer, permit| driver::run(stream, peer, permit, Arc::clone(&gateway)));
        let client = async {
            client(address, reload).await;
            stopper.stop();
        };
        timeout(TIMEOUT, async { tokio::join!(serve, client) }).await.unwrap();
    }
}

/// Installs the runtime tests' echo plugin.
fn put_echo(folder: &Path) {
    fs::copy(guest::build(&["bare"]).join("bare.wasm"), folder.join("echo.wasm")).unwrap();
}

/// The output that a client gets in a session in which it asks for a shell and sends hello.
async fn visit(address: SocketAddr, user: &str) -> Vec<Happened> {
    start(address, user, &Request::Shell).await
}

/// The same with another request.
async fn start(address: SocketAddr, user: &str, request: &Request<'_>) -> Vec<Happened> {
    let mut peer = visit::log_in(address, user).await;
    let channel = visit::open(&mut peer, Some(request)).await;
    peer.connection.write(channel, Stream::Data, b"hello");
    let mut heard = Vec::new();
    loop {
        let happened = peer.happens().await.unwrap();
        let is_last =
            matches!(happened, Happened::Closed(_) | Happened::ExitStatus(..) | Happened::Data(_, Stream::Data, _));
        heard.push(happened);
        if is_last {
            return heard;
        }
    }
}

/// The text and the status of a client without a plugin.
fn told(heard: &[Happened]) -> (String, u32) {
    match heard {
        [Happened::Data(_, Stream::STDERR, text), Happened::ExitStatus(_, status)] => {
            (String::from_utf8_lossy(text).into_owned(), *status)
        }
        other => panic!("{other:?}"),
    }
}

/// Whether an echo plugin served the client.
fn is_served(heard: &[Happened]) -> bool {
    matches!(heard, [Happened::Data(_, Stream::Data, text)] if text == b"hello")
}

/// Lets this many compilers pass a gate, now or later, as long as the returned value exists. A server that was stopped
/// may have left one that takes the word before it is killed: count those, too.
fn let_go(gate: &Path, compilers: usize) -> fs::File {
    let mut file = fs::File::options().read(true).write(true).open(gate).unwrap();
    file.write_all("go\n".repeat(compilers).as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn while_a_plugin_is_compiled_its_clients_are_told_to_try_again_or_wait_for_it() {
    let mut place = Place::new();
    let gate = place.gate();
    let compiler = place.compiler(&format!("read go < '{}'", gate.display()));
    place.config.limits.plugins.prepare_wait = Duration::ZERO;
    place
        .serve(&compiler, async |address, reload| {
            let (text, status) = told(&visit(address, "echo").await);
            assert_eq!((text.as_str(), status), ("plugin \"echo\" is still being prepared; try again\r\n", 1));
            // An unknown name is different, and the list shows which plugins are coming.
            let (text, status) = told(&visit(address, "absent").await);
            assert!(text.contains("  echo (still being prepared)\r\n") && status == 1, "{text}");
            assert_eq!(place.list(&reload).await["preparing"], json!(["echo"]));
        })
        .await;
    place.config.limits.plugins.prepare_wait = TIMEOUT;
    place
        .serve(&compiler, async |address, reload| {
            let (heard, _go) = tokio::join!(visit(address, "echo"), async { let_go(&gate, 2) });
            assert!(is_served(&heard), "{heard:?}");
            reload.prepared().await;
        })
        .await;
}

#[tokio::test]
async fn the_list_of_the_demonstration_shows_no_name_that_changes_the_text_around_it() {
    let mut place = Place::new();
    let gate = place.gate();
    let plugins = place.folder.path().join("plugins");
    fs::rename(plugins.join("echo.wasm"), plugins.join("a\u{202e}b\\c.wasm")).unwrap();
    place.config.limits.plugins.prepare_wait = Duration::ZERO;
    place
        .serve(&place.compiler(&format!("read go < '{}'", gate.display())), async |address, reload| {
            let (text, _) = told(&visit(address, "absent").await);
            assert!(text.contains("  a\\u{202e}b\\\\c (still being prepared)\r\n"), "{text:?}");
            let _go = let_go(&gate, 1);
            reload.prepared().await;
            let (text, _) = told(&visit(address, "absent").await);
            assert!(text.contains("  a\\u{202e}b\\\\c\r\n"), "{text:?}");
        })
        .await;
}

#[tokio::test]
async fn a_session_waits_for_the_plugins_that_it_needs_and_for_no_others() {
    let mut place = Place::configured();
    let gate = place.gate();
    let compiler = place.slow_compiler(&gate);
    let git = Request::Exec { command: b"git status" };
    place.config.tenants.get_mut("acme").unwrap().limits.plugins.prepare_wait = Duration::ZERO;
    place
        .serve(&compiler, async |address, _reload| {
            // The tenant's own plugin takes precedence, so nobody waits for the operator's of the same name.
            while !is_served(&visit(address, "alice").await) {}
            let (text, status) = told(&start(address, "alice", &git).await);
            assert_eq!((text.as_str(), status), ("whelk: plugin \"git\" is still being prepared; try again\n", 1));
        })
        .await;
    place.config.tenants.get_mut("acme").unwrap().limits.plugins.prepare_wait = TIMEOUT;
    place
        .serve(&compiler, async |address, _reload| {
            assert!(is_served(&visit(address, "alice").await));
            let (heard, _go) = tokio::join!(start(address, "alice", &git), async { let_go(&gate, 4) });
            assert!(is_served(&heard), "{heard:?}");
        })
        .await;
}

/// The echo plugin with additional data in its file. One that compiles slowly has a large file.
fn echo(version: u8, slow: bool) -> Vec<u8> {
    let echo = fs::read(guest::build(&["bare"]).join("bare.wasm")).unwrap();
    let padding = if slow { [SLOW.as_bytes(), &[0; 1 << 20]].concat() } else { Vec::new() };
    // A custom section: its kind, its length in four bytes, the length of its name, its name, its contents.
    let content = [&[1, b'v', version][..], &padding].concat();
    let length = [0, 7, 14, 21].map(|shift| u8::try_from(content.len() >> shift & 127).unwrap());
    let length = [length[0] | 128, length[1] | 128, length[2] | 128, length[3]];
    [&echo, &[0][..], &length, &content].concat()
}

/// The process that compiles a slow plugin. `None` if there is none yet, or if it is that one.
fn compiling(place: &Place, but: Option<u32>) -> Option<u32> {
    let text = fs::read_to_string(place.folder.path().join("compiling")).unwrap_or_default();
    text.strip_suffix('\n').and_then(|text| text.parse::<u32>().ok()).filter(|id| Some(*id) != but)
}

fn is_alive(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The plugin of this name in a server's report on a folder.
fn served<'l>(list: &'l Value, name: &str) -> Option<&'l Value> {
    let plugins = list["plugins"].as_array().unwrap().iter();
    plugins.map(|plugin| (plugin, &plugin["current"])).find(|(plugin, _)| plugin["name"] == name).map(|(_, now)| now)
}

#[tokio::test]
async fn one_plugin_that_compiles_for_long_holds_up_no_other_of_its_folder_and_gives_way_to_a_newer_one() {
    for (number, folder) in [(0, "plugins"), (1, "acme/plugins")] {
        let place = Place::with_a_tenant();
        let own = place.folder.path().join(folder);
        let put = |name: &str, wasm: Vec<u8>| {
            let temporary = place.folder.path().join("being written");
            fs::write(&temporary, wasm).unwrap();
            fs::rename(temporary, own.join(format!("{name}.wasm"))).unwrap();
        };
        put("echo", echo(1, false));
        put("other", echo(2, false));
        let gate = place.gate();
        let compiler = place.slow_compiler(&gate);
        place
            .serve(&compiler, async |_, reload| {
                reload.prepared().await;
                let list = async || place.list_folder(&reload, number).await;
                put("slow", echo(3, true));
                while compiling(&place, None).is_none() {
                    list().await;
                }
                let first = compiling(&place, None).unwrap();
                put("echo", echo(4, false));
                while served(&list().await, "echo").is_none_or(|echo| echo["generation"] != 2) {}
                fs::remove_file(own.join("other.wasm")).unwrap();
                while served(&list().await, "other").is_some() {}
                let now = list().await;
                assert_eq!(now["pending"][0]["file"], "slow.wasm", "{now}");
                assert!(is_alive(first), "it was compiled all the time");
                // A newer version ends the compiler of the older one ...
                put("slow", echo(5, true));
                while is_alive(first) || compiling(&place, Some(first)).is_none() {
                    list().await;
                }
                let newer = list().await["pending"][0]["digest"].clone();
                assert_ne!(newer, now["pending"][0]["digest"]);
                // ... and so does its removal.
                let second = compiling(&place, Some(first)).unwrap();
                fs::remove_file(own.join("slow.wasm")).unwrap();
                while !list().await["pending"].as_array().unwrap().is_empty() || is_alive(second) {}
                put("slow", echo(5, true));
                let _go = let_go(&gate, 1);
                while served(&list().await, "slow").is_none_or(|slow| slow["digest"] != newer) {}
            })
            .await;
    }
}

#[tokio::test]
async fn a_plugin_that_was_refused_is_tried_again_when_its_file_is_touched() {
    let place = Place::new();
    let mark = place.folder.path().join("mark");
    // The first reports that it is not a plugin: status 3.
    let compiler = place.compiler(&format!("if [ ! -e '{0}' ]; then : > '{0}'; exit 3; fi", mark.display()));
    place
        .serve(&compiler, async |address, reload| {
            reload.prepared().await;
            let refused = place.list(&reload).await["refused"][0].clone();
            assert_eq!((&refused["file"], &refused["retry_s"]), (&json!("echo.wasm"), &Value::Null), "{refused}");
            let file = fs::File::options().write(true).open(place.folder.path().join("plugins/echo.wasm")).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            while !is_served(&visit(address, "echo").await) {}
        })
        .await;
}

#[tokio::test]
async fn a_plugin_whose_compiler_died_is_tried_again() {
    let place = Place::new();
    let (mark, gate) = (place.folder.path().join("mark"), place.gate());
    // The first dies, and the others wait.
    let first = format!(
        "if [ -e '{0}' ]; then read go < '{1}'; else : > '{0}'; kill -TERM $$; fi",
        mark.display(),
        gate.display()
    );
    let compiler = place.compiler(&first);
    place
        .serve(&compiler, async |address, reload| {
            reload.prepared().await;
            let refused = place.list(&reload).await["refused"][0].clone();
            assert_eq!((&refused["file"], refused["retry_s"].is_u64()), (&json!("echo.wasm"), true), "{refused}");
            let (text, status) = told(&visit(address, "echo").await);
            assert_eq!((text.as_str(), status), ("plugin \"echo\" could not be prepared yet; try again later\r\n", 1));
            let (text, _) = told(&visit(address, "absent").await);
            assert!(text.contains("  echo (could not be prepared yet)\r\n"), "{text}");
            // Until it is ready after all.
            let _go = let_go(&gate, 1);
            while !is_served(&visit(address, "echo").await) {}
        })
        .await;
}

//! The configuration is reloaded again and again while people log in and work.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use whelk_tests::{Call, Client, Finished, Gateway, Input, MIB, Running, SOON, Setup, figure, program, size};

/// Clients that log in at the same time, each again and again.
const CLIENTS: usize = 4;
/// Logins that end between two reloads.
const BETWEEN: usize = 2;

/// The configuration of one generation, with its number in the banner, and with a user of its own.
fn configuration(generation: u64) -> String {
    let drain = if generation == 0 { "1 h" } else { "1 s" };
    format!(
        "banner = \"generation {generation}.\"\npenalty_exempt = [\"127.0.0.0/8\"]\n\
         [users.guest]\nplugin = \"probe\"\nauth = \"none\"\n\
         [users.user{generation}]\nplugin = \"probe\"\nauth = \"none\"\n\
         [limits]\ndrain = \"{drain}\"\n"
    )
}

fn replace(file: &Path, text: &str) {
    let next = file.with_extension("next");
    std::fs::write(&next, text).expect("our own folder");
    std::fs::rename(next, file).expect("our own folder");
}

fn reload(gateway: &Gateway) -> Finished {
    let mut command = Command::new(program());
    command.args(["reload", "--state"]).arg(gateway.folder().join("state"));
    Running::run(command, Input::Nothing, SOON)
}

fn login(gateway: &Gateway, user: &str) -> Finished {
    let call = Call::new(Client::OpenSsh100, gateway, user).option("-o").option("LogLevel=INFO");
    call.exec("exit 5").run(Input::Nothing)
}

/// The number in the banner that a client has shown.
fn generation_of(finished: &Finished) -> u64 {
    let number = finished.err.split_once("generation ").and_then(|(_, rest)| rest.split_once('.'));
    let number = number.and_then(|(number, _)| number.parse().ok());
    number.unwrap_or_else(|| panic!("status {:?}, no banner: {}", finished.status, finished.err))
}

/// What the reloads and the logins tell each other.
#[derive(Default)]
struct Progress {
    /// The newest file.
    written: AtomicU64,
    /// The newest file that has been loaded.
    loaded: AtomicU64,
    over: AtomicBool,
}

impl Progress {
    /// Logs in again and again: each login has a generation between the newest that was loaded before it began and the
    /// newest that was written before it ended.
    fn log_in(&self, gateway: &Gateway, ended: &Sender<()>) {
        while !self.over.load(Ordering::SeqCst) {
            let oldest = self.loaded.load(Ordering::SeqCst);
            let finished = login(gateway, "guest");
            let newest = self.written.load(Ordering::SeqCst);
            assert_eq!(finished.status, Some(5), "{}", finished.err);
            let generation = generation_of(&finished);
            assert!((oldest..=newest).contains(&generation), "{generation} is not in {oldest}..={newest}");
            // The reloads are over.
            let _ = ended.send(());
        }
    }
}

#[test]
fn no_login_fails_while_the_configuration_is_reloaded_and_each_sees_the_newest_file() {
    let gateway = Setup::default().configuration(&configuration(0)).start();
    let file = gateway.configuration().expect("it has one").to_owned();
    let reloads = size(20, 1_000);
    let progress = Progress::default();
    let mut live = Call::new(Client::OpenSsh100, &gateway, "guest").exec("cat").start_long();
    live.type_in(b"before\n");
    live.wait_for_output("before");
    let (started, memory) = (Instant::now(), gateway.resident_memory());
    let (ended, logins) = channel();
    let (longest, logins) = std::thread::scope(|scope| {
        // However the thread ends.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        for _ in 0..CLIENTS {
            let (ended, progress, gateway) = (ended.clone(), &progress, &gateway);
            scope.spawn(move || {
                let _over = Over(&progress.over);
                progress.log_in(gateway, &ended);
            });
        }
        drop(ended);
        let _over = Over(&progress.over);
        let (mut longest, mut count) = (0.0_f64, 0_u32);
        for generation in 1..=reloads {
            progress.written.store(generation, Ordering::SeqCst);
            replace(&file, &configuration(generation));
            let began = Instant::now();
            let finished = reload(&gateway);
            longest = longest.max(began.elapsed().as_secs_f64());
            assert_eq!((finished.status, finished.err.as_str()), (Some(0), ""));
            progress.loaded.store(generation, Ordering::SeqCst);
            for _ in 0..BETWEEN {
                logins.recv().expect("no login has failed");
                count += 1;
            }
        }
        (longest, count)
    });
    let took = started.elapsed().as_secs_f64();
    figure("reloads beside logins and a live session, none failed", format!("{reloads}, the longest {longest:.3} s"));
    figure("logins meanwhile, none failed", format!("{logins}, {:.0} a second", f64::from(logins) / took));
    let more = gateway.resident_memory().saturating_sub(memory) / MIB;
    figure("memory of the server after them", format!("{more} MiB more than before"));
    // Whose file is loaded gets in, and nobody of an older one.
    assert_eq!(login(&gateway, &format!("user{reloads}")).status, Some(5));
    assert_eq!(login(&gateway, "user1").status, Some(255));
    live.type_in(b"after\n");
    live.wait_for_output("after");
    // With the first file it would go on for an hour.
    gateway.end();
    live.wait("end of the client", |seen| seen.status);
}

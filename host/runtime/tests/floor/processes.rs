//! Programs that start programs. The program of these tests does what its arguments say, and prints what came of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use whelk_runtime::{ChannelEvent, Ending, Exit, Facts, Grants, Limits, Output, Plugin, Plugins, SignalName, Tenant};

use crate::client::{Client, Recorder};
use crate::guests::{self, FixedPlugins};
use crate::program::{command, signal};
use crate::session::pty;

pub(crate) fn program() -> Arc<Plugin> {
    static PROGRAM: OnceLock<Arc<Plugin>> = OnceLock::new();
    let load = || Plugin::load(guests::engine(), "processes", &guests::wasm("processes")).unwrap();
    Arc::clone(PROGRAM.get_or_init(load))
}

pub(crate) fn tenant(name: &str, limits: Limits) -> Arc<Tenant> {
    Tenant::new(name, limits, Grants { process: true, ..Grants::default() })
}

/// The program table: the program of these tests, and one that starts no others.
fn table() -> Arc<dyn Plugins> {
    Arc::new(FixedPlugins { plugins: vec![program(), command()], ..FixedPlugins::default() })
}

/// A session of the tenant that has not started a program.
fn session(tenant: &Arc<Tenant>) -> Client {
    let facts = Facts::from_iter([("user", "somebody")]).on_channel(7);
    Client::started(tenant, &table(), &program(), String::new(), facts)
}

/// A session that does this.
pub(crate) fn begin(tenant: &Arc<Tenant>, actions: &str) -> Client {
    let client = session(tenant);
    client.run(&format!("'{actions}'"));
    client
}

/// The same with a terminal.
fn at_terminal(actions: &str) -> Client {
    let client = session(&tenant("acme", Limits::default())).and(pty());
    client.run(&format!("'{actions}'"));
    client
}

/// What a session prints that does this.
async fn told(limits: Limits, actions: &str) -> String {
    let client = begin(&tenant("acme", limits), actions);
    let (recorder, report) = client.end().await;
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(recorder.exit(), Some(Exit::Status(0)), "{:?}", recorder.heard);
    recorder.text()
}

async fn lines(actions: &str) -> Vec<String> {
    told(Limits::default(), actions).await.lines().map(str::to_owned).collect()
}

fn errors(recorder: &Recorder) -> String {
    String::from_utf8(recorder.bytes_of(Output::Stderr)).unwrap()
}

#[tokio::test]
async fn a_program_starts_another_and_is_told_how_it_ended() {
    assert_eq!(
        lines("who;spawn a who|args|env WHO|exit 7;wait a;poll a;wait a").await,
        [
            "1 0 1 None",
            "2 1 1 None",
            "[\"processes\", \"who;args;env WHO;exit 7\"]",
            "child",
            "(0, Change::Exited(Ending::Status(7)))",
            "None",
            "child",
        ]
    );
    assert_eq!(
        lines("spawn a exit 1;spawn b exit 2;wait b;wait b a;wait-none").await,
        ["(0, Change::Exited(Ending::Status(2)))", "(1, Change::Exited(Ending::Status(1)))", "child"]
    );
    assert_eq!(
        lines("run a command exit_3;wait a;run b command finish_4;wait b;run c command exit_5;wait c").await,
        [3, 4, 5].map(|status| format!("(0, Change::Exited(Ending::Status({status})))"))
    );
    // Three generations.
    assert_eq!(
        lines("spawn a spawn b who||exit 2|wait b|exit 1;wait a").await,
        ["3 2 1 None", "(0, Change::Exited(Ending::Status(2)))", "(0, Change::Exited(Ending::Status(1)))"]
    );
}

#[tokio::test]
async fn what_cannot_be_started_has_an_error_and_takes_no_place() {
    assert_eq!(
        lines("run a nothing;run a /bin/nothing;with-group 9;spawn a exit 0;who;spawn a exit 0;id a").await,
        ["no-entry", "no-entry", "not-permitted", "1 0 1 None", "2"]
    );
    assert_eq!(lines("with-foreground;spawn a exit 0;foreground 1").await, ["no-terminal", "no-terminal"]);
    assert_eq!(lines("with-ignored nonsense;spawn a exit 0").await, ["invalid"]);
    // Start functions that never return, of a plugin that is no program.
    let refused = begin(&Tenant::new("none", Limits::default(), Grants::default()), "who");
    let (recorder, report) = refused.end().await;
    assert!(!report.opened, "{:?}", recorder.heard);
}

#[tokio::test]
async fn pipes_join_programs_and_a_write_without_readers_ends_the_writer() {
    assert_eq!(
        lines("spawn-from p print hello;read-text p;read-text p;wait p").await,
        ["\"hello\"", "\"\"", "(0, Change::Exited(Ending::Status(0)))"]
    );
    assert_eq!(
        lines("spawn-from p flood;read p;close p;wait p").await[1..],
        ["(0, Change::Exited(Ending::Signal(\"PIPE\")))"]
    );
    assert_eq!(
        lines("with-ignored PIPE;spawn-from p flood;read p;close p;wait p").await[1..],
        ["(0, Change::Exited(Ending::Status(9)))"]
    );
    // X2: a pipe that nobody reads.
    assert_eq!(
        lines("spawn-from p flood;sleep 20;poll p;signal p TERM;wait p").await,
        ["None", "(0, Change::Exited(Ending::Signal(\"TERM\")))"]
    );
}

#[tokio::test]
async fn signals_stop_continue_and_end_children() {
    assert_eq!(
        lines("spawn a sleep 10000000;signal a STOP;wait a;signal a CONT;wait a;signal a TERM;wait a").await,
        ["Stopped(\"STOP\")", "Continued", "Exited(Ending::Signal(\"TERM\"))"]
            .map(|change| format!("(0, Change::{change})"))
    );
    assert_eq!(
        lines("spawn a spin;signal a STOP;ready a;signal a KILL;ready a").await,
        ["Some(Change::Stopped(\"STOP\"))", "Some(Change::Exited(Ending::Signal(\"KILL\")))"]
    );
    assert_eq!(
        lines("spawn-from a catch USR1|print ready|await|next|exit 3;read-text a;signal a USR1;wait a;read-text a")
            .await,
        // It writes twice, so it has ended before that is read.
        ["\"ready\"", "(0, Change::Exited(Ending::Status(3)))", "\"USR1\\nnone\""]
    );
    assert_eq!(
        lines("catch CHLD;spawn a exit 0;await;wait a;next").await,
        ["CHLD", "(0, Change::Exited(Ending::Status(0)))", "none"]
    );
    // A caught signal interrupts the wait.
    let mut said = lines("catch USR1;spawn a kill 1 USR1|sleep 10000000;wait a;next").await;
    // The child says that it has sent it when it likes, or is ended with the session before.
    said.retain(|line| line != "()");
    assert_eq!(said, ["interrupted", "USR1"]);
    // A read through WASI goes on, and takes what comes: a standard library would report an error of the device.
    let mut client = begin(&tenant("acme", Limits::default()), "catch USR1;kill 1 USR1;print ready;line;next");
    client.until(|recorder| recorder.text().contains("ready")).await;
    client.send(b"text\n");
    assert_eq!(client.end().await.0.text(), "()\nready\n\"text\\n\"\nUSR1\n");
    // X5: numbers that are nobody's.
    assert_eq!(
        lines("kill 2;kill 4294967295 KILL;kill-group 7 TERM;kill 1;kill 0 nonsense;disposition INT;catch KILL").await,
        ["no-process", "no-process", "no-process", "()", "invalid", "Disposition::Default", "invalid"]
    );
    assert_eq!(
        lines("with-ignored INT TERM;spawn a disposition INT|disposition HUP;wait a").await[..2],
        ["Disposition::Ignore", "Disposition::Default"]
    );
}

#[tokio::test]
async fn a_child_that_fails_says_why_and_ends_as_a_shell_knows_it() {
    let limits = || Limits { memory_program: 16 << 20, ..Limits::default() };
    for (actions, ending, line) in [
        ("spawn a trap;wait a", "ABRT", "processes: the plugin crashed\n"),
        ("with-cpu 20;spawn a spin;wait a", "XCPU", "processes: cpu budget exhausted\n"),
        ("spawn a hoard;wait a", "KILL", "processes: out of memory\n"),
        ("with-memory 4096;spawn a hoard;wait a", "KILL", "processes: out of memory\n"),
    ] {
        let (recorder, report) = begin(&tenant("acme", limits()), actions).end().await;
        assert!(report.error.is_none(), "{report:?}");
        assert_eq!(recorder.text(), format!("(0, Change::Exited(Ending::Signal(\"{ending}\")))\n"));
        let errors = errors(&recorder);
        assert!(errors.ends_with(line), "{errors}");
    }
}

#[tokio::test]
async fn a_child_that_fails_waits_for_room_to_say_why_but_not_for_long() {
    let graced = |grace| Limits { grace, ..Limits::default() };
    let (long, short) = (graced(Duration::from_secs(600)), graced(Duration::from_millis(50)));
    let fails = "spawn-errors a fill-errors|print full|trap;read-text a";
    let (full, crashed) = ("\"full\"", "(0, Change::Exited(Ending::Signal(\"ABRT\")))");
    let text = told(long.clone(), &format!("{fails};sleep 50;read-last a!;wait a")).await;
    assert_eq!(text.lines().collect::<Vec<_>>(), [full, "processes: the plugin crashed", crashed]);
    // Nobody reads it.
    for (limits, actions) in [(short, "wait a"), (long, "sleep 50;signal a KILL;wait a")] {
        let text = told(limits, &format!("{fails};{actions}")).await;
        assert_eq!(text.lines().collect::<Vec<_>>(), [full, crashed]);
    }
}

#[tokio::test]
async fn limits_only_shrink() {
    assert_eq!(
        lines("with-cpu 5000;spawn a limits|with-cpu 9000|spawn b limits||exit 0|wait b;wait a;limits").await,
        [
            "Some(5000) None None",
            "Some(5000) None None",
            "(0, Change::Exited(Ending::Status(0)))",
            "(0, Change::Exited(Ending::Status(0)))",
            "None None None",
        ]
    );
    assert_eq!(
        lines("with-processes 2;spawn a spawn b exit 0;wait a").await,
        ["too-many-processes", "(0, Change::Exited(Ending::Status(0)))"]
    );
    let usage = "usage;spawn a work 300000000;wait a;usage";
    let told = lines(usage).await;
    assert_eq!((told[0].as_str(), told[2].as_str()), ("false true", "true true"), "{told:?}");
}

#[tokio::test]
async fn exec_takes_the_place_of_a_program_with_its_number() {
    assert_eq!(lines("who;exec who;print never").await, ["1 0 1 None", "1 0 1 None"]);
    assert_eq!(
        lines("spawn a who|exec who||exit 6|print never;wait a").await,
        ["2 1 1 None", "2 1 1 None", "(0, Change::Exited(Ending::Status(6)))"]
    );
    assert_eq!(
        lines("catch INT;ignore TERM;exec disposition INT|disposition TERM").await,
        ["Disposition::Default", "Disposition::Default"]
    );
    // One that fails leaves the program as it was.
    assert_eq!(lines("exec-program nothing;print here").await, ["no-entry", "here"]);
    assert_eq!(lines("exec-program command print_x").await, ["x"]);
    // Signals of the client reach the new program.
    let mut client = begin(&tenant("acme", Limits::default()), "exec print ready|sleep 10000000");
    client.until_stdout(6).await;
    client.happen(ChannelEvent::Signal(SignalName::Term));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.exit(), Some(signal(SignalName::Term)));
}

#[tokio::test]
async fn a_session_ends_with_its_first_process_and_what_others_wrote_is_sent_before() {
    let limits = Limits { grace: Duration::from_millis(50), ..Limits::default() };
    // By themselves, without a terminal.
    let to_the_end = "spawn-to a cat|sleep 20|print last;print first";
    assert_eq!(told(Limits::default(), to_the_end).await, "first\nlast\n");
    let (recorder, _) = at_terminal(to_the_end).end().await;
    assert_eq!(recorder.text(), "first\r\n");
    // By SIGHUP.
    assert_eq!(told(limits.clone(), "spawn a print x|sleep 10000000;sleep 50").await, "x\n");
    // It has some time to do something on SIGHUP.
    let actions = "spawn-from a catch HUP|print ready|await|exit 0;read-text a";
    assert_eq!(told(Limits::default(), actions).await, "\"ready\"\n");
    let actions = "spawn a catch HUP|await|print last;sleep 50";
    assert_eq!(told(Limits::default(), actions).await, "HUP\nlast\n");
    // One that ignores it is killed, stopped or not.
    let actions = "with-ignored HUP;spawn a ticks;with-ignored HUP;spawn b spin;signal b STOP;sleep 20";
    let text = told(limits, actions).await;
    assert!(text.chars().all(|tick| tick == '.'), "{text}");
}

#[tokio::test]
async fn a_lost_connection_and_a_dropped_session_end_all_processes() {
    let tenant = tenant("acme", Limits { grace: Duration::from_millis(50), ..Limits::default() });
    let actions = "with-ignored HUP;spawn a spin;with-ignored HUP;spawn b sleep 10000000;spawn c hoard;print ready;cat";
    let mut client = begin(&tenant, actions);
    client.until_stdout(6).await;
    client.inbox.end(Ending::ConnectionLost);
    client.task.await.unwrap();
    assert_eq!(tenant.memory(), 0);
    let mut client = begin(&tenant, "spawn a spin;spawn b sleep 10000000;print ready;cat");
    client.until_stdout(6).await;
    client.task.abort();
    assert!(client.task.await.is_err());
    let gone = async {
        while tenant.memory() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
}

#[tokio::test]
async fn keys_reach_the_foreground_and_the_background_waits_for_its_terminal() {
    // ^C ends the job and not the shell.
    let mut client = at_terminal("with-group new;with-foreground;spawn a print job|sleep 10000000;wait a;print shell");
    client.until_stdout(5).await;
    client.send(b"\x03");
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.exit(), Some(Exit::Status(0)));
    assert!(recorder.text().contains("Exited(Ending::Signal(\"INT\"))"), "{}", recorder.text());
    // ^Z stops it; the shell takes the terminal back, which it may because it ignores SIGTTOU, and continues it.
    let actions = "ignore TTOU;with-group new;with-foreground;spawn a print job|line;wait a;foreground 1;who;\
                   foreground 2;kill-group 2 CONT;wait a;wait a";
    let mut client = at_terminal(actions);
    client.until_stdout(5).await;
    client.send(b"\x1a");
    client.until(|recorder| recorder.text().contains("Continued")).await;
    client.send(b"text\n");
    let (recorder, _) = client.end().await;
    let text = recorder.text().replace("\r\n", "\n");
    let shows = |part: &str| assert!(text.contains(part), "{part}: {text}");
    shows("Stopped(\"TSTP\")");
    shows("1 0 1 Some(1)");
    shows("\"text\\n\"");
    shows("Exited(Ending::Status(0))");
    // A read in the background stops the job, and nothing is taken from the shell.
    let actions = "with-group new;spawn a line;wait a;line;ignore TTOU;foreground 2;kill-group 2 CONT;wait a;wait a";
    let mut client = at_terminal(actions);
    client.until(|recorder| recorder.text().contains("TTIN")).await;
    client.send(b"mine\n");
    client.until(|recorder| recorder.text().contains("Continued")).await;
    client.send(b"yours\n");
    let (recorder, _) = client.end().await;
    let text = recorder.text();
    let (mine, yours) = (text.find("\"mine\\n\""), text.find("\"yours\\n\""));
    assert!(mine.is_some() && mine < yours, "{text}");
}

#[tokio::test]
async fn a_fork_bomb_gets_an_error_and_nobody_else_notices() {
    // X1
    let limits = Limits { processes: 8, process_depth: 5, tenant_processes: 10, ..Limits::default() };
    assert_eq!(told(limits.clone(), "bomb").await, "7 too-many-processes\n");
    assert_eq!(told(limits.clone(), "dive").await, "too-many-processes\n");
    let acme = tenant("acme", limits);
    let mut bomb = begin(&acme, "bomb;cat");
    bomb.until_stdout(5).await;
    // The tenant has room for three more, and another session is there.
    let (recorder, _) = begin(&acme, "bomb").end().await;
    assert_eq!(recorder.text(), "3 too-many-processes\n");
    assert_eq!(told(Limits::default(), "spawn a exit 0;wait a").await, "(0, Change::Exited(Ending::Status(0)))\n");
    bomb.happen(ChannelEvent::Eof);
    bomb.end().await;
    let (recorder, _) = begin(&acme, "bomb").end().await;
    assert_eq!(recorder.text(), "7 too-many-processes\n");
}

#[tokio::test]
async fn children_that_nobody_waits_for_count_and_those_that_are_dropped_do_not() {
    // X3
    let limits = Limits { processes: 8, ..Limits::default() };
    assert_eq!(told(limits.clone(), "zombies").await, "7 too-many-processes\n");
    assert_eq!(told(limits, "churn 50").await, "churned\n");
}

#[tokio::test]
async fn a_storm_of_signals_takes_no_memory_and_is_survived() {
    // X4
    let actions = "with-ignored USR1;spawn a sleep 10000000;storm 2 20000;signal a CONT;signal a TERM;ready a;wait a";
    let told = lines(actions).await;
    assert_eq!(told[0], "stormed");
    assert_eq!(told.last().unwrap(), "(0, Change::Exited(Ending::Signal(\"TERM\")))", "{told:?}");
}

#[tokio::test]
async fn a_loop_of_exec_ends_at_the_limit_of_processor_time() {
    // X7
    let limits = Limits { cpu_program: Duration::from_millis(300), ..Limits::default() };
    let tenant = tenant("acme", Limits { cpu_session: Duration::from_millis(300), ..limits });
    let (recorder, report) = begin(&tenant, "exec-loop").end().await;
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Kill, .. })), "{report:?}");
    assert_eq!(tenant.memory(), 0);
}

#[tokio::test]
async fn processes_that_run_at_once_share_the_processor_time_of_their_session() {
    let tenant = tenant("acme", Limits { cpu_session: Duration::from_millis(300), ..Limits::default() });
    let actions = "spawn a spin;spawn b spin;spawn c spin;spin";
    let (recorder, report) = begin(&tenant, actions).end().await;
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Kill, .. })), "{report:?}");
    // Each may notice it a tick late, on a processor that was taken away from it later still.
    assert!(report.cpu_ticks < 600, "{report:?}");
    assert_eq!(tenant.memory(), 0);
}

#[tokio::test]
async fn no_process_outlives_its_session_by_exec() {
    let limits = Limits { grace: Duration::from_millis(50), ..Limits::default() };
    // KILL and STOP cannot be ignored.
    let actions = "spawn-from a with-ignored HUP STOP KILL|exec print ready||spin;read-text a";
    assert_eq!(told(limits.clone(), actions).await, "\"ready\"\n");
    // A program that follows another has no grace period of its own once the session is over.
    let tenant = tenant("acme", limits);
    let mut client = begin(&tenant, "print ready;exec-loop");
    client.until_stdout(6).await;
    client.inbox.end(Ending::ConnectionLost);
    client.task.await.unwrap();
    assert_eq!(tenant.memory(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_are_stopped_wherever_they_are_keep_nobody_waiting() {
    // X6
    let (acme, other) = (tenant("acme", Limits::default()), tenant("other", Limits::default()));
    let mut busy = begin(&acme, "juggle 24 20000");
    let mut rounds = 0;
    while !busy.task.is_finished() {
        for tenant in [&acme, &other] {
            let (recorder, _) = begin(tenant, "spawn a exit 3;wait a;churn 3").end().await;
            assert_eq!(recorder.text(), "(0, Change::Exited(Ending::Status(3)))\nchurned\n");
        }
        busy.drain();
        rounds += 1;
    }
    let (recorder, _) = busy.end().await;
    assert_eq!((recorder.text().as_str(), rounds > 0), ("juggled\n", true));
    assert_eq!((acme.memory(), other.memory()), (0, 0));
}

#[tokio::test]
async fn a_ring_of_descriptors_ends_with_its_session() {
    // X8
    let acme = tenant("acme", Limits::default());
    let (recorder, report) = begin(&acme, "ring 12;sleep 20;poll r0").end().await;
    assert_eq!(recorder.text(), "closed\nNone\n", "{report:?}");
    assert_eq!(acme.memory(), 0);
}

#[tokio::test]
async fn the_background_does_not_change_the_terminal() {
    // X9
    let actions = "with-group new;run a command modes-are_53=0 modes-are_53=1 exit_3;wait a;signal a CONT;wait a;wait a;\
                   signal a KILL;wait a";
    let (recorder, _) = at_terminal(actions).end().await;
    let text = recorder.text();
    let endings: Vec<&str> = text.lines().collect();
    let expected = ["Stopped(\"TTOU\")", "Continued", "Stopped(\"TTOU\")", "Exited(Ending::Signal(\"KILL\"))"];
    assert_eq!(endings, expected.map(|change| format!("(0, Change::{change})")));
    // One that ignores the signal may, as under POSIX, and so may the foreground.
    let storm = "modes-are_53=0 modes-are_53=1 ".repeat(50);
    for with in ["with-ignored TTOU;with-group new", "with-group new;with-foreground"] {
        let (recorder, _) = at_terminal(&format!("{with};run a command {storm}exit_3;ignore TTOU;wait a")).end().await;
        assert!(recorder.text().contains("Exited(Ending::Status(3))"), "{}", recorder.text());
    }
}

#[tokio::test]
async fn a_child_has_its_own_end_and_no_channel_of_its_own() {
    assert_eq!(
        lines("run a command write_x finish_4 print_y;wait a").await,
        ["xOk(())", "y(0, Change::Exited(Ending::Status(4)))"]
    );
    let refused = &lines("run a command hand-over_processes;wait a").await[0];
    assert!(refused.contains("not-permitted"), "{refused}");
    // One that does not return after `finish` has the grace period.
    let limits = Limits { grace: Duration::from_millis(20), ..Limits::default() };
    assert_eq!(told(limits, "run a command finish_5 spin;wait a").await, "(0, Change::Exited(Ending::Status(5)))\n");
    // Its terminal is the session's.
    let (recorder, _) = at_terminal("run a command size tty;wait a").end().await;
    assert!(recorder.text().starts_with("Some((80, 24))\r\ntrue true true"), "{}", recorder.text());
}

#[tokio::test]
async fn a_version_that_is_retired_ends_its_children_and_not_their_sessions() {
    let other = Plugin::load(guests::engine(), "other", &guests::wasm("command")).unwrap();
    let plugins: Arc<dyn Plugins> =
        Arc::new(FixedPlugins { plugins: vec![program(), Arc::clone(&other)], ..FixedPlugins::default() });
    let facts = Facts::from_iter([("user", "somebody")]).on_channel(7);
    let mut client = Client::started(&tenant("acme", Limits::default()), &plugins, &program(), String::new(), facts);
    client.run("'run a other sleep_10000000;print ready;wait a;print here'");
    client.until_stdout(6).await;
    assert_eq!(other.sessions(), 1);
    other.retire("it was replaced");
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "ready\n(0, Change::Exited(Ending::Signal(\"KILL\")))\nhere\n");
    assert_eq!(other.sessions(), 0);
}

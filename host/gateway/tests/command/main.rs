//! The command line: exit status, output and log. No test here needs a connection.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod log_file;
mod running;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process};

use running::{Running, Server, place, run, whelk};

const GUEST: &str = "[users.guest]\nplugin = \"echo\"\nauth = \"none\"\n";

#[test]
fn an_invalid_command_line_ends_with_status_2() {
    let place = place();
    for arguments in [&["serve", "--banana"][..], &["banana"], &["serve", "--listen", "example.org"], &["check"], &[]] {
        let (status, _, stderr) = run(place.path(), arguments);
        assert_eq!(status, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains("Usage") || stderr.contains("--help"), "{stderr}");
    }
    assert_eq!(run(place.path(), &["--help"]).0, 0);
    assert_eq!(run(place.path(), &["--version"]).1, concat!("whelk ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn without_a_configuration_only_loopback_is_listened_on() {
    let place = place();
    for address in ["0.0.0.0:0", "[::]:0", "192.168.0.1:2222", "[fe80::1%2]:2222"] {
        let (status, stdout, stderr) = run(place.path(), &["serve", "--listen", address]);
        assert_eq!((status, stdout.as_str()), (2, ""));
        assert_eq!(stderr, format!("a configuration is needed to listen on {address}\n"));
    }
    assert!(!place.path().join("state").exists(), "nothing is written by a start that is refused");
}

#[test]
fn the_demonstration_says_what_it_is_and_ends_cleanly_on_either_signal() {
    for (address, signal) in [("127.0.0.1:0", Signal::TERM), ("localhost:0", Signal::INT)] {
        let place = place();
        let mut server = Server::start(place.path(), &["serve", "--listen", address]);
        server.line("DEMONSTRATION: anyone on this machine can log in");
        let line = server.line("listening");
        let (_, bound) = line.split_once("address=127.0.0.1:").unwrap();
        assert_ne!(bound.parse::<u16>().unwrap(), 0);
        server.signal(signal);
        server.line("stopped");
        assert_eq!(server.status(), Some(0));
    }
}

#[test]
fn signals_without_a_meaning_for_a_server_are_logged_and_ignored() {
    let place = place();
    let text = format!("listen = [\"127.0.0.1:0\"]\nstate = \"state\"\n{GUEST}");
    fs::write(place.path().join("whelk.toml"), text).unwrap();
    // The tests may run with SIGHUP ignored.
    let mut server = Server::start_by("--default-signal=HUP", place.path(), &["serve", "--config", "whelk.toml"]);
    server.line("listening");
    server.signal(Signal::HUP);
    server.line("configuration reloaded");
    let others = [
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::VTALARM, "SIGVTALRM"),
        (Signal::PROF, "SIGPROF"),
        (Signal::IO, "SIGIO"),
        (Signal::POWER, "SIGPWR"),
        (Signal::STKFLT, "SIGSTKFLT"),
    ];
    // It means that a write has failed, which is reported there.
    server.signal(Signal::XFSZ);
    for (signal, name) in others {
        server.signal(signal);
        assert!(server.line(&format!("signal={name}")).contains("signal ignored"), "{name}");
    }
    server.signal(Signal::TERM);
    server.line("stopped");
    assert_eq!(server.status(), Some(0));
}

#[test]
fn a_closed_terminal_drains_a_demonstration_unless_it_was_started_to_outlive_it() {
    let place = place();
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let mut server = Server::start_by("--default-signal=HUP", place.path(), &arguments);
    server.line("listening");
    server.signal(Signal::HUP);
    server.line("signal=SIGHUP");
    server.line("stopped");
    assert_eq!(server.status(), Some(0));
    // As nohup(1) does.
    let mut server = Server::start_by("--ignore-signal=HUP", place.path(), &arguments);
    server.line("listening");
    server.signal(Signal::HUP);
    server.signal(Signal::USR1);
    let until: Vec<String> =
        server.lines.by_ref().map(Result::unwrap).take_while(|line| !line.contains("SIGUSR1")).collect();
    assert!(until.iter().all(|line| !line.contains("stopping")), "{until:?}");
    server.signal(Signal::TERM);
    assert_eq!(server.status(), Some(0));
}

#[test]
fn closing_the_terminal_during_the_start_stops_the_server_cleanly() {
    let place = place();
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let mut server = Server::start_by("--default-signal=HUP", place.path(), &arguments);
    // The first line of all: neither the state folder nor the host key exists yet.
    server.line("");
    server.signal(Signal::HUP);
    server.line("signal=SIGHUP");
    assert_eq!(server.status(), Some(0));
}

#[test]
fn a_server_whose_threads_all_hang_ends_with_status_1_after_repeated_signals() {
    let place = place();
    let mut server = Server::start(place.path(), &["serve", "--listen", "127.0.0.1:0"]);
    server.line("plugins prepared");
    // As if a disk did not answer, or a library blocked for ever.
    server.child.stop_threads(&["signals", "log"]);
    // The second signal asks for an immediate end; later ones, one after each log line about the previous one, do not
    // delay it.
    let mut told = 0;
    let line = loop {
        // It may have ended in the meantime.
        let _ = kill_process(server.child.pid(), Signal::TERM);
        let is_about_stopping = |line: &String| line.contains("stopping") || line.contains("shutdown");
        let line = server.lines.by_ref().map(Result::unwrap).find(is_about_stopping).unwrap();
        if !line.contains("stopping") {
            break line;
        }
        told += 1;
    };
    assert!(told > 1, "{line}");
    assert!(line.ends_with("shutdown timed out after 5s; exiting"), "{line}");
    assert_eq!(server.status(), Some(1));
}

#[test]
fn a_problem_that_the_operator_must_fix_ends_with_status_2() {
    let place = place();
    let (status, _, stderr) = run(place.path(), &["serve", "--listen", "127.0.0.1:0", "--plugins", "absent"]);
    assert_eq!(status, 2, "{stderr}");
    assert!(stderr.contains("the plugin folder absent cannot be read: "), "{stderr}");
    // Less address space than the plugins' memory reserves.
    let inner = whelk(place.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 2000000 && exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(place.path()).env_remove("WHELK_LOG").env("XDG_STATE_HOME", place.path().join("state"));
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("this machine: the address space in bytes (RLIMIT_AS) is 2048000000, and at least "),
        "{stderr}"
    );
    assert!(stderr.contains("ulimit -v unlimited"), "{stderr}");
}

#[test]
fn an_unread_log_blocks_neither_serving_nor_ending() {
    let place = place();
    let (reader, writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut filler = fs::OpenOptions::new().write(true).custom_flags(flags).open(path).unwrap();
    // Both streams are one pipe, as under many supervisors.
    let mut command = whelk(place.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let server = Running::new(command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap());
    drop(command);
    let mut lines = BufReader::new(reader).lines();
    let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("listening")).unwrap();
    let (_, address) = line.split_once("address=").unwrap();
    // From here on nobody reads. Each of these logs two lines, more than the queue and the pipe hold together.
    for _ in 0..8_000 {
        let mut greeting = [0; 4];
        TcpStream::connect(address).unwrap().read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"SSH-");
    }
    // Not even a short line has room now.
    while filler.write(b".").is_ok() {}
    server.signal(Signal::TERM);
    assert_eq!(server.status(), Some(0));
    drop(lines);
}

#[test]
fn in_json_a_failed_start_is_one_object() {
    let place = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    fs::write(place.path().join("whelk.toml"), "lisen = []\nbanana = 1\n").unwrap();
    let starts: [(&[&str], &str, &str); 6] = [
        (&["--config", "absent.toml", "--log", "json"], "", "--config: absent.toml: "),
        (&["--config", "whelk.toml", "--log=json"], "", "did you mean `listen`?"),
        (&["--listen", "0.0.0.0:0", "--log", "json"], "", "a configuration is needed to listen on 0.0.0.0:0"),
        (&["--listen", &taken, "--log", "json"], "", "the port is in use"),
        (&["--banana", "--log", "json"], "", "--banana"),
        (&["--listen", "127.0.0.1:0", "--log", "json"], "verbose!!", "WHELK_LOG: \"verbose!!\" is no level"),
    ];
    for (arguments, filter, reason) in starts {
        let mut command = whelk(place.path(), &[&["serve"], arguments].concat());
        let output = command.env("WHELK_LOG", filter).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_fatal = |line: &&serde_json::Value| line["fields"]["message"] == "fatal error";
        let fatal: Vec<_> = lines.iter().filter(is_fatal).collect();
        assert!(fatal.len() == 1 && lines.last() == Some(fatal[0]), "{text}");
        let fields = &fatal[0]["fields"];
        assert!(fatal[0]["level"] == "ERROR" && fields["status"] == 2, "{text}");
        assert!(fields["reason"].as_str().unwrap().contains(reason), "{text}");
    }
}

#[test]
fn in_json_every_line_of_the_log_is_an_object() {
    let place = place();
    let mut server = Server::start(place.path(), &["serve", "--listen", "127.0.0.1:0", "--log", "json"]);
    loop {
        let line: serde_json::Value = serde_json::from_str(&server.line("")).unwrap();
        if line["fields"]["message"] == "listening" {
            assert!(line["fields"]["address"].as_str().unwrap().starts_with("127.0.0.1:"));
            break;
        }
    }
    server.signal(Signal::TERM);
    for line in server.lines.by_ref() {
        serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap();
    }
    assert_eq!(server.status(), Some(0));
}

#[test]
fn files_that_others_may_change_are_served_only_with_no_strict_modes() {
    let place = place();
    let file = place.path().join("whelk.toml");
    fs::write(&file, format!("listen = [\"127.0.0.1:0\"]\n{GUEST}")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    let (status, _, stderr) = run(place.path(), &["serve", "--config", "whelk.toml"]);
    assert_eq!(status, 2, "{stderr}");
    assert!(stderr.contains("others may write to whelk.toml (mode 0664): chmod go-w whelk.toml"), "{stderr}");
    let mut server = Server::start(place.path(), &["serve", "--config", "whelk.toml", "--no-strict-modes"]);
    server.line("listening");
    server.signal(Signal::TERM);
    assert_eq!(server.status(), Some(0));
    // Verbs that do not serve still report.
    let (status, text, stderr) = run(place.path(), &["tenants", "whelk.toml"]);
    assert_eq!((status, text.contains("guest")), (0, true), "{stderr}");
}

#[test]
fn a_configuration_may_come_through_a_pipe() {
    let place = place();
    let mut command = Command::new("sh");
    let inner = whelk(place.path(), &["check", "/dev/stdin"]);
    command.args(["-c", "cat whelk.toml | \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(place.path()).env_remove("WHELK_LOG").env("XDG_STATE_HOME", place.path().join("state"));
    let plugins = place.path().join("plugins");
    fs::write(place.path().join("whelk.toml"), format!("plugins = {plugins:?}\nstate = \"/nowhere\"\n{GUEST}"))
        .unwrap();
    let stderr = String::from_utf8(command.output().unwrap().stderr).unwrap();
    // It was read: the errors are about its contents.
    assert!(!stderr.contains("is no file"), "{stderr}");
    assert!(stderr.contains("echo"), "{stderr}");
}

#[test]
fn a_port_in_use_is_reported_and_nothing_is_served() {
    let place = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, _, stderr) = run(place.path(), &["serve", "--listen", "127.0.0.1:0", "--listen", &address]);
    assert_eq!(status, 2);
    assert!(stderr.ends_with(&format!("cannot listen on {address}: the port is in use\n")), "{stderr}");
    assert!(!stderr.contains("listening"), "{stderr}");
}

#[test]
fn serve_and_check_report_a_wrong_configuration_whole_with_status_2() {
    let place = place();
    let file = place.path().join("whelk.toml");
    fs::write(&file, "lisen = []\n[users.x]\nplugin = \"echo\"\n[limits]\nsessions = 0\n").unwrap();
    let expected = "whelk.toml:1: lisen: there is no such setting (did you mean `listen`?)\n\
                    whelk.toml:2: users.x: could never enter: add a password, a key, or auth = \"none\" to let everybody in\n\
                    whelk.toml:5: limits.sessions: must be from 1 to 1000, is 0\n";
    for arguments in [&["check", "whelk.toml"][..], &["serve", "--config", "whelk.toml"]] {
        assert_eq!(run(place.path(), arguments), (2, String::new(), expected.to_owned()));
    }
    let (status, _, stderr) = run(place.path(), &["serve", "--config", "absent.toml"]);
    assert_eq!((status, stderr.starts_with("--config: absent.toml: ")), (2, true), "{stderr}");
}

#[test]
fn a_reader_that_closes_the_reference_early_is_not_a_failure() {
    let place = place();
    let mut child = whelk(place.path(), &["config"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn with_a_configuration_any_address_may_be_listened_on() {
    let place = place();
    let text = format!("listen = [\"0.0.0.0:0\"]\nstate = \"state\"\n{GUEST}");
    fs::write(place.path().join("whelk.toml"), text).unwrap();
    let mut server = Server::start(place.path(), &["serve", "--config", "whelk.toml"]);
    assert!(server.line("listening").contains("address=0.0.0.0:"));
    server.signal(Signal::TERM);
    assert_eq!(server.status(), Some(0));
}

#[test]
fn a_state_folder_that_others_may_write_to_is_refused() {
    let place = place();
    let state = place.path().join("wide");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let (status, _, stderr) = run(place.path(), &["serve", "--listen", "127.0.0.1:0", "--state", "wide"]);
    assert_eq!(status, 2);
    assert!(stderr.ends_with("wide: others may write to the state folder (mode 0777): chmod go-w wide\n"), "{stderr}");
}

#[test]
fn an_invalid_log_filter_ends_with_status_2() {
    let place = place();
    for filter in ["whelk=loud", "verbose!!", "3", "whelk", "info,whlk=debug", "whelk::conection=debug", "info;debug"] {
        let mut command = whelk(place.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let output = command.env("WHELK_LOG", filter).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{filter}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("WHELK_LOG: ") && text.lines().count() == 1, "{filter}: {text}");
    }
}

#[test]
fn tenants_prints_what_a_user_gets_and_ends_with_status_2_for_a_wrong_file_or_user() {
    let place = place();
    let text = format!("{GUEST}[tenants.default.routes]\nexec = {{ ls = \"echo\" }}\n");
    fs::write(place.path().join("whelk.toml"), text).unwrap();
    let (status, told, _) = run(place.path(), &["tenants", "whelk.toml"]);
    assert_eq!((status, told.starts_with("guest\n  tenant    default\n")), (0, true), "{told}");
    let (status, told, _) = run(place.path(), &["tenants", "whelk.toml", "guest", "--exec", "ls -l"]);
    let served = "  exec \"ls -l\" is served by echo, by the route exec \"ls\": plugins/echo.wasm\n";
    assert_eq!((status, told.ends_with(served)), (0, true), "{told}");
    let unknown = run(place.path(), &["tenants", "whelk.toml", "mallory"]);
    assert_eq!(unknown, (2, String::new(), "there is no user \"mallory\"\n".to_owned()));
    assert_eq!(run(place.path(), &["tenants", "absent.toml"]).0, 2);
}

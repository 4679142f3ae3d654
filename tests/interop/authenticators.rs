//! The shipped authenticators with other projects' clients: one-time passwords, and tenants by certificates.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use whelk_tests::{
    Access, Call, Client, Finished, Gateway, Input, Keys, LATER, Output, Running, SOON, Setup, build_guest,
    client_program, figure, repository, size, write_script,
};

use crate::credentials::{Authority, call, fresh, keygen, refused};
use crate::interactive::{by_library, openssh, with_both};
use crate::stdio::proxy_command;

const KIB: u64 = 1 << 10;
/// How much memory may come and go in the short form of a measurement, in bytes.
const SLACK: u64 = 4 << 20;
/// 20 bytes.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// What everybody is asked.
const QUESTION: &str = r#"{"name": "", "instruction": "", "prompts": [["Verification code: ", false]]}"#;

/// The present code and the next one, by Python's HMAC. The present one is right for another 30 seconds at least, the
/// next one for a minute.
fn codes(hash: &str, digits: u32) -> [String; 2] {
    let script = "import base64, hmac, struct, sys, time\n\
                  secret, hash, digits = base64.b32decode(sys.argv[1]), sys.argv[2], int(sys.argv[3])\n\
                  for step in range(int(time.time()) // 30, int(time.time()) // 30 + 2):\n    \
                      mac = hmac.new(secret, struct.pack('>Q', step), hash).digest()\n    \
                      number = struct.unpack_from('>I', mac, mac[-1] & 15)[0] & 0x7fffffff\n    \
                      print(str(number % 10 ** digits).zfill(digits))";
    let mut command = Command::new(client_program("python"));
    command.args(["-c", script, SECRET, hash, &digits.to_string()]);
    let finished = Running::run(command, Input::Nothing, SOON);
    let text = finished.out.text();
    let mut lines = text.lines().map(str::to_owned);
    let mut next = || lines.next().unwrap_or_else(|| panic!("two codes: {}", finished.err));
    [next(), next()]
}

/// A code that is neither of these.
fn wrong(codes: &[String; 2]) -> String {
    let other = |candidate: &&str| codes.iter().all(|code| code != *candidate);
    ["000000", "111111", "222222"].iter().find(|candidate| other(candidate)).expect("two are not three").to_string()
}

/// A gateway whose users end in `@acme` and are the business of this authenticator, with these lines in its table.
fn gateway(setup: Setup, plugin: &str, lines: &str) -> Gateway {
    gateway_with(setup, "", plugin, lines)
}

/// The same with these lines before all of that.
fn gateway_with(setup: Setup, head: &str, plugin: &str, lines: &str) -> Gateway {
    let configuration = format!(
        "{head}[users.static]\nplugin = \"probe\"\nauth = \"none\"\n[tenants.acme]\nplugin = \"probe\"\n[tenants.zeta]\nplugin = \
         \"probe\"\n[[authenticators]]\nname = \"acme\"\nplugin = {plugin:?}\nusers = \"*@acme\"\ntenants = [\"acme\"]\n{lines}"
    );
    setup.configuration(&configuration).start()
}

/// Waits for a line of the plugin's.
fn told(gateway: &Gateway, words: &str) {
    gateway.wait(words, |event| (event.is_from_plugin() && event.line.contains(words)).then_some(()));
}

/// Three users with one secret, and after how many wrong codes none is right.
fn one_time_passwords(wrong_codes: u32) -> Gateway {
    let lines = format!(
        "config = {{ \"alice@acme\" = {SECRET:?}, \"bob@acme\" = {SECRET:?}, wrong-codes = \"{wrong_codes}\", \
         \"carol@acme\" = \"otpauth://totp/carol?secret={SECRET}&algorithm=SHA256&digits=8\" }}\n"
    );
    gateway(Setup::default(), "totp", &lines)
}

#[test]
fn a_code_lets_in_once_and_no_older_one_after_it() {
    let gateway = one_time_passwords(2);
    let [present, next] = codes("sha1", 6);
    let login = |client, code: &str| openssh(client, &gateway, "alice@acme", code).run(Input::Nothing);
    for (client, code, status) in [
        (Client::OpenSsh92, &present, 5),
        (Client::OpenSsh92, &present, 255),
        (Client::OpenSsh100, &next, 5),
        (Client::OpenSsh100, &present, 255),
        (Client::OpenSsh100, &next, 255),
    ] {
        let finished = login(client, code);
        assert_eq!(finished.status, Some(status), "{client:?}: {}", finished.err);
    }
    told(&gateway, "has used this code or a later one before");
    // As people type it, and with the libraries.
    let spaced = format!("{} {}", &present[..3], &present[3..]);
    let finished = openssh(Client::OpenSsh100, &gateway, "bob@acme", &spaced).run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    for (library, code) in ["paramiko", "asyncssh"].into_iter().zip(codes("sha256", 8)) {
        let arguments = ["--method", "keyboard-interactive", "--answer", &code];
        let finished = by_library(library, &gateway, "carol@acme", &arguments);
        assert_eq!(finished.status, Some(5), "{library}: {}{}", finished.out.text(), finished.err);
        assert!(finished.out.text().contains(QUESTION), "{library}: {}", finished.out.text());
    }
    gateway.end();
}

#[test]
fn of_many_logins_with_one_code_at_the_same_time_one_succeeds() {
    let gateway = one_time_passwords(100);
    for code in codes("sha1", 6) {
        let call = openssh(Client::OpenSsh100, &gateway, "alice@acme", &code);
        let running: Vec<_> = (0..8).map(|_| call.start()).collect();
        let statuses: Vec<_> = running.into_iter().map(|running| running.finish().status).collect();
        let count = |status| statuses.iter().filter(|ended| **ended == Some(status)).count();
        assert_eq!((count(5), count(255)), (1, 7), "{statuses:?}");
    }
    gateway.end();
}

/// What OpenSSH hears from the first question to its end.
fn transcript(gateway: &Gateway, user: &str, code: &str) -> String {
    let finished = openssh(Client::OpenSsh100, gateway, user, code).option("-vv").run(Input::Nothing);
    assert_eq!(finished.status, Some(255), "{user}: {}", finished.err);
    let lines = finished.err.replace(user, "USER");
    let speaks = ["Authentications that can continue", "Permission denied", "prompts", "packet: type 6", "code"];
    lines.lines().filter(|line| speaks.iter().any(|word| line.contains(word))).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_wrong_code_a_used_one_and_an_unknown_user_are_refused_alike_and_wrong_ones_are_counted() {
    let gateway = one_time_passwords(2);
    let codes = codes("sha1", 6);
    let wrong = wrong(&codes);
    let refused = transcript(&gateway, "alice@acme", &wrong);
    assert!(refused.contains("num_prompts 1") && refused.contains("Permission denied"), "{refused}");
    let finished = openssh(Client::OpenSsh100, &gateway, "alice@acme", &codes[0]).run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    assert_eq!(transcript(&gateway, "alice@acme", &codes[0]), refused);
    for unknown in ["mallory@acme", "wrong-codes@acme"] {
        for code in [&wrong, &codes[0]] {
            assert_eq!(transcript(&gateway, unknown, code), refused, "{unknown}");
        }
    }
    // The right one is refused after two wrong ones.
    for code in [&wrong, &wrong, &codes[0]] {
        assert_eq!(transcript(&gateway, "bob@acme", code), refused);
    }
    told(&gateway, "has had 2 wrong codes");
    gateway.end();
}

/// The server demands another password, finds the first one too short, and takes the second.
#[test]
fn openssh_changes_a_password_that_has_expired() {
    let setup = Setup::default();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let doorman = build_guest("host/runtime/tests/guests/doorman", "doorman", &target);
    let plugins = setup.folder().join("own");
    std::fs::create_dir(&plugins).expect("our own folder");
    std::fs::write(plugins.join("doorman.wasm"), doorman).expect("our own folder");
    std::fs::copy(repository().join("plugins/probe.wasm"), plugins.join("probe.wasm")).expect("the plugins are built");
    let gateway = gateway(setup.plugins(plugins), "doorman", "");
    let (asked, ask) = (gateway.folder().join("asked"), gateway.folder().join("ask"));
    // `doorman` does what passwords say. OpenSSH asks for a new one twice.
    let script = format!(
        "printf '%s\\n' \"$1\" >>'{0}'\n\
         case \"$1\" in\n\
         *ew\\ password*) if [ $(grep -c 'ew password' '{0}') -lt 3 ]; then echo 'change Longer.'; \
         else echo 'accept acme probe'; fi ;;\n\
         *) echo 'change It has expired.' ;;\n\
         esac\n",
        asked.display()
    );
    write_script(&ask, &script);
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        std::fs::write(&asked, "").expect("our own folder");
        let call = Call::new(client, &gateway, "bob@acme").access(Access::right_password());
        let mut command = call.option("-o").option("LogLevel=INFO").exec("exit 5").command();
        command.env("SSH_ASKPASS", &ask);
        let finished = Running::run(command, Input::Nothing, SOON);
        let asked = std::fs::read_to_string(&asked).expect("it was asked");
        assert_eq!(finished.status, Some(5), "{}\n{asked}", finished.err);
        assert!(finished.err.contains("It has expired.") && finished.err.contains("Longer."), "{}", finished.err);
    }
    gateway.end();
}

#[test]
fn a_key_and_then_a_code_let_in_whoever_has_both() {
    let (key, _) = Access::fresh_key();
    let (stranger, _) = Access::fresh_key();
    let Access::Key(keys) = &key else { panic!("it is a key") };
    let lines = format!(
        "methods = [\"publickey,keyboard-interactive\"]\nconfig = {{ \"alice@acme\" = \"{SECRET} {}\" }}\n",
        fingerprint(keys)
    );
    let gateway = gateway(Setup::default(), "totp", &lines);
    let [present, next] = codes("sha1", 6);
    let wrong = wrong(&[present.clone(), next.clone()]);
    let both = "publickey,keyboard-interactive";
    for (user, access, code, methods, status) in [
        ("alice@acme", &key, &wrong, both, 255),
        ("alice@acme", &key, &present, both, 5),
        ("alice@acme", &key, &present, both, 255),
        ("alice@acme", &key, &next, "keyboard-interactive", 255),
        ("alice@acme", &key, &next, "publickey", 255),
        ("alice@acme", &stranger, &next, both, 255),
        ("mallory@acme", &key, &next, both, 255),
        ("alice@acme", &key, &next, both, 5),
    ] {
        let finished = with_both(&gateway, user, access, code, methods);
        assert_eq!(finished.status, Some(status), "{user} {methods}: {}", finished.err);
        let heard = finished.err.replace('\r', "");
        // The first list is that of the server, for everybody.
        assert!(heard.contains("can continue: publickey,password,keyboard-interactive\n"), "{heard}");
        let proven = user == "alice@acme" && Arc::ptr_eq(keys, as_keys(access)) && methods != "keyboard-interactive";
        assert_eq!(heard.contains("using \"publickey\" with partial success"), proven, "{heard}");
        assert_eq!(heard.contains("can continue: keyboard-interactive\n"), proven, "{heard}");
    }
    gateway.end();
}

fn as_keys(access: &Access) -> &Arc<Keys> {
    let Access::Key(keys) = access else { panic!("it is a key") };
    keys
}

/// As ssh-keygen prints it.
fn fingerprint(keys: &Keys) -> String {
    let mut command = Command::new(client_program("ssh-keygen"));
    command.arg("-lf").arg(keys.openssh().with_extension("pub"));
    let shown = Running::run(command, Input::Nothing, SOON).out.text();
    shown.split(' ').nth(1).expect("ssh-keygen -l shows the fingerprint second").to_owned()
}

/// What needs one counter for all is not there in a process for one connection.
#[test]
fn without_a_store_nobody_logs_in_by_code() {
    let gateway = one_time_passwords(2);
    let [present, _] = codes("sha1", 6);
    let login = || openssh(Client::OpenSsh100, &gateway, "alice@acme", &present);
    let finished = login().option("-o").option(&proxy_command(&gateway)).run(Input::Nothing);
    assert_eq!(finished.status, Some(255), "{}", finished.err);
    let log = std::fs::read_to_string(gateway.folder().join("log")).expect("the log of that process");
    let words = "nobody can log in, since used codes cannot be kept: there is no key-value store";
    assert!(log.contains(words), "{log}");
    let finished = login().run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    gateway.end();
}

/// The rules of the tests: everybody is in acme, one in a tenant that may not be granted, and one by the certificate.
const RULES: &str = "config = { \"*@acme\" = \"acme\", \"root@acme\" = \"zeta\", \"dba@acme\" = \"tenant:*\" }\n";

#[test]
fn a_certificate_lets_its_principals_in_to_the_tenant_of_the_rule() {
    let setup = Setup::default();
    let (keys, _) = fresh("ed25519");
    let ours = Authority::new(setup.folder(), "ed25519");
    let lines = format!("trusted_user_ca_keys = {:?}\n{RULES}", ours.public());
    let gateway = gateway(setup, "principals", &lines);
    let rows: [(&str, &str, &[&str]); 3] = [
        ("alices-laptop", "alice@acme", &["-n", "bob,alice@acme", "-z", "41"]),
        ("near", "alice@acme", &["-n", "alice@acme", "-z", "41", "-O", "source-address=127.0.0.0/8"]),
        ("by-principal", "dba@acme", &["-n", "dba@acme,tenant:acme", "-z", "41"]),
    ];
    for (id, user, arguments) in rows {
        let certificate = ours.sign(&keys, id, arguments);
        for client in [Client::OpenSsh92, Client::OpenSsh100] {
            let finished = call(client, &gateway, user, &keys, &certificate).exec("facts").run(Input::Nothing);
            assert_eq!(finished.status, Some(0), "{client:?} {id}: {}", finished.err);
            let facts = finished.out.text();
            let expected = [("user", user), ("principal", user), ("tenant", "acme"), ("method", "publickey")];
            for (name, value) in expected.into_iter().chain([("attr.key-id", id), ("attr.serial", "41")]) {
                assert!(facts.lines().any(|fact| fact == format!("{name}={value}")), "{name}={value}: {facts}");
            }
        }
    }
    // Who is in the configuration is none of its business, and whoever is neither is nobody.
    let finished = Call::new(Client::OpenSsh100, &gateway, "static").exec("exit 5").run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    let certificate = ours.sign(&keys, "elsewhere", &["-n", "alice"]);
    let finished = call(Client::OpenSsh100, &gateway, "alice", &keys, &certificate).exec("exit 5").run(Input::Nothing);
    assert_eq!(finished.status, Some(255), "{}", finished.err);
    gateway.end();
}

#[test]
fn a_certificate_that_is_not_good_is_refused_before_the_plugin_sees_it() {
    let setup = Setup::default();
    let folder = setup.folder().to_owned();
    let (keys, _) = fresh("ed25519");
    let (ours, other) = (Authority::new(&folder, "ed25519"), Authority::new(&folder, "ecdsa"));
    let list = folder.join("revoked");
    std::fs::write(folder.join("revoked.txt"), "serial: 42\n").expect("our own folder");
    keygen(&["-k", "-f", text(&list), "-s", text(&ours.public()), text(&folder.join("revoked.txt"))]);
    let head = "revoked_keys = \"revoked\"\n";
    let lines = format!("trusted_user_ca_keys = {:?}\n{RULES}", ours.public());
    let gateway = gateway_with(setup, head, "principals", &lines);
    let denied = |id: &str, user: &str, certificate: &Path| {
        let finished = call(Client::OpenSsh100, &gateway, user, &keys, certificate).exec("exit 5").run(Input::Nothing);
        assert_eq!(finished.status, Some(255), "{id}: {}", finished.err);
        finished
    };
    let rows: [(&str, &[&str], &str); 6] = [
        ("old", &["-n", "alice@acme", "-V", "20200101:20210101"], "it has expired"),
        ("new", &["-n", "alice@acme", "-V", "20400101:20500101"], "it is not yet valid"),
        ("far", &["-n", "alice@acme", "-O", "source-address=203.0.113.0/24"], "source-address"),
        ("odd", &["-n", "alice@acme", "-O", "critical:any@example.org=x"], "any@example.org is not known"),
        ("gone", &["-n", "alice@acme", "-z", "42"], "it is revoked"),
        ("nobodys", &[], "it names no principals"),
    ];
    for (id, arguments, why) in rows {
        denied(id, "alice@acme", &ours.sign(&keys, id, arguments));
        refused(&gateway, id, why);
    }
    denied("strange", "alice@acme", &other.sign(&keys, "strange", &["-n", "alice@acme"]));
    refused(&gateway, "strange", "its authority is not trusted");
    // What only the plugin refuses looks the same: another's certificate, a key alone, and no tenant for it.
    let bobs = denied("bobs", "alice@acme", &ours.sign(&keys, "bobs", &["-n", "bob@acme,@acme,*@acme"]));
    let bare = Call::new(Client::OpenSsh100, &gateway, "alice@acme").access(Access::Key(Arc::clone(&keys)));
    let bare = bare.exec("exit 5").run(Input::Nothing);
    denied("untold", "dba@acme", &ours.sign(&keys, "untold", &["-n", "dba@acme"]));
    told(&gateway, "has no principal like");
    let said = |finished: &Finished| (finished.status, finished.err.clone());
    assert_eq!(said(&bobs), said(&bare));
    // The rule gives a tenant that the operator does not let it give.
    denied("roots", "root@acme", &ours.sign(&keys, "roots", &["-n", "root@acme"]));
    gateway.wait("the refusal of the grant", |event| {
        (event.message == "grant refused" && event.field("reason").contains("\"zeta\"")).then_some(())
    });
    gateway.end();
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Logs in by our own client this many times, and returns the server's processor time for each.
fn logins(gateway: &Gateway, user: &str, access: &Access, count: u64, options: &[String]) -> f64 {
    let count_text = count.to_string();
    let load = ["--load", "handshake", "--ask", "--count", &count_text];
    let call = load.into_iter().fold(Call::new(Client::Ours, gateway, user).access(access.clone()), Call::option);
    let call = options.iter().fold(call, |call, option| call.option(option));
    let mut running = Running::start(call.command(), Input::Held, Output::Read, LATER);
    running.wait_for_output("ready");
    let before = gateway.processor_time();
    running.type_in(b"\n");
    running.wait_for_output("done");
    let took = gateway.processor_time().saturating_sub(before);
    running.type_in(b"\n");
    let finished = running.finish();
    assert_eq!(finished.status, Some(0), "{user}: {}", finished.err);
    took.as_secs_f64() / count as f64
}

#[test]
fn ten_thousand_users_need_one_rule_and_no_memory() {
    let setup = Setup::default();
    let authority = Authority::new(setup.folder(), "ed25519");
    let (key, line) = Access::fresh_key();
    let trusted = std::fs::read_to_string(authority.public()).expect("our own file");
    let head = format!(
        "trusted_user_ca_keys = [{:?}]\n[users.known]\nplugin = \"probe\"\nkeys = [{:?}]\n",
        trusted.trim(),
        line.trim()
    );
    let gateway = gateway_with(setup, &head, "principals", RULES);
    let certified = |user: &str, first: u64, count: u64| {
        let private = text(&authority.private()).to_owned();
        let options = ["--authority".to_owned(), private, "--first".to_owned(), first.to_string()];
        logins(&gateway, user, &key, count, &options)
    };
    let by_plugin = |first: u64, count: u64| certified("user{}@acme", first, count);
    let users = size(200, 10_000);
    // What every server keeps once it has been in use: code, buffers, the allocator's pages.
    let warm = size(200, 2_000);
    logins(&gateway, "known", &key, warm, &[]);
    by_plugin(0, warm);
    let before = gateway.anonymous_memory();
    // In turns, so that what else the machine does slows all of them.
    let turns = size(2, 20);
    let (mut plugin, mut own_key, mut own_certificate) = (0.0, 0.0, 0.0);
    for turn in 0..turns {
        let count = users / turns;
        own_key += logins(&gateway, "known", &key, count / 2, &[]) / turns as f64;
        plugin += by_plugin(warm + turn * count, count) / turns as f64;
        own_certificate += certified("known", 0, count / 2) / turns as f64;
    }
    let grown = gateway.anonymous_memory().saturating_sub(before);
    gateway.wait_all("all logins", |events| {
        let entered = events.iter().filter(|event| event.message == "authenticated");
        let entered = entered.filter(|event| event.field("user").ends_with("@acme")).count() as u64;
        (entered == warm + users).then_some(())
    });
    let (ratio, each) = (plugin / own_key, grown as f64 / users as f64);
    figure(
        &format!("processor time of a login, one of {users} users by certificate and a plugin"),
        format!(
            "{:.2} ms: {ratio:.2} of a static user's by key ({:.2} ms), {:.2} of one's by certificate ({:.2} ms)",
            plugin * 1e3,
            own_key * 1e3,
            plugin / own_certificate,
            own_certificate * 1e3
        ),
    );
    figure(&format!("memory of the server for each of {users} users"), format!("{each:.0} bytes"));
    // The kernel counts in units that are several logins, of which the short form has few.
    let most = size(4, 2) as f64;
    assert!(ratio <= most, "a login costs {ratio:.2} times that of a static user");
    // In the short form a single page of the allocator's would count for much.
    assert!(grown <= users * KIB + size(SLACK, 0), "{each:.0} bytes for each user");
    gateway.end();
}

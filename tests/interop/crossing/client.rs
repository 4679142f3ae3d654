//! How each client is told to offer one name only, and how it says which names it knows.

use std::process::Command;

use whelk_tests::AlgorithmKind::{self, Cipher, Compression, Kex, Key, Mac};
use whelk_tests::{Call, Client, Input, Offer, Running, SOON, client_program};

use super::server::WITH_MAC;

/// The columns of the matrix: a client and its heading.
pub(super) const CLIENTS: [(Client, &str); 16] = [
    (Client::OpenSsh92, "OpenSSH 9.2"),
    (Client::OpenSsh100, "OpenSSH 10.0"),
    (Client::Dbclient, "dbclient"),
    (Client::Plink, "plink"),
    (Client::Curl, "curl (libssh2)"),
    (Client::NetSsh2, "Net::SSH2 (libssh2)"),
    (Client::Libssh, "libssh"),
    (Client::AsyncSsh, "AsyncSSH"),
    (Client::Paramiko, "paramiko"),
    (Client::Conch, "Twisted Conch"),
    (Client::NetSsh, "Ruby net-ssh"),
    (Client::XCrypto, "Go x/crypto"),
    (Client::Jsch, "JSch"),
    (Client::Ssh2, "node ssh2"),
    (Client::Russh, "russh"),
    (Client::Ours, "our own"),
];

/// How a client is narrowed to one name.
pub(super) enum Way {
    /// By these arguments, one process for each crossing.
    Arguments(Vec<String>),
    /// By a line for its driver, one process for all crossings.
    Line(String),
    /// Not at all: the server offers only this name.
    Server,
}

/// How this client crosses this name.
pub(super) fn way(client: Client, kind: AlgorithmKind, name: &str) -> Way {
    let arguments = |words: &[String]| Way::Arguments(words.to_vec());
    match (client, kind) {
        (Client::OpenSsh92 | Client::OpenSsh100, kind) => arguments(&openssh(kind, name)),
        (Client::Dbclient, Cipher) => arguments(&["-c".to_owned(), name.to_owned()]),
        (Client::Dbclient, Mac) => arguments(&["-c", WITH_MAC, "-m", name].map(str::to_owned)),
        (Client::Plink, Compression) => arguments(&["-C".to_owned()]),
        (Client::Curl, Compression) => arguments(&["--compressed-ssh".to_owned()]),
        (Client::Ours, Kex) => arguments(&["--kex".to_owned(), name.to_owned()]),
        (Client::Ours, Cipher) => arguments(&["--cipher".to_owned(), name.to_owned()]),
        (Client::Dbclient | Client::Plink | Client::Curl | Client::Ours, _) => Way::Server,
        (_, Mac) => Way::Line(format!("mac={name} cipher={WITH_MAC}")),
        (_, kind) => Way::Line(format!("{}={name}", kind.word())),
    }
}

fn openssh(kind: AlgorithmKind, name: &str) -> Vec<String> {
    match kind {
        Kex => vec![format!("-oKexAlgorithms={name}")],
        Key => vec![format!("-oHostKeyAlgorithms={name}")],
        Cipher => vec![format!("-oCiphers={name}")],
        Mac => vec![format!("-oMACs={name}"), format!("-oCiphers={WITH_MAC}")],
        Compression => vec!["-C".to_owned()],
    }
}

/// How this client is told to change keys, and after how many bytes. `None` for those that have no setting for it.
pub(super) fn rekey(client: Client) -> Option<Way> {
    Some(match client {
        Client::OpenSsh92 | Client::OpenSsh100 => Way::Arguments(vec!["-oRekeyLimit=1K".to_owned()]),
        Client::Plink => Way::Arguments(["-load", "rekey"].map(str::to_owned).to_vec()),
        Client::Ours => Way::Arguments(vec!["--rekey".to_owned(), "1024".to_owned()]),
        Client::AsyncSsh | Client::Libssh | Client::NetSsh | Client::XCrypto => Way::Line("rekey=1024".to_owned()),
        Client::Conch | Client::Jsch | Client::Paramiko | Client::Ssh2 => Way::Line("rekey=16384".to_owned()),
        Client::Dbclient | Client::Curl | Client::NetSsh2 | Client::Russh => return None,
    })
}

/// The names of a kind that a client knows: as it lists them itself, else what it offers.
pub(super) fn names(client: Client) -> impl Fn(AlgorithmKind) -> Vec<String> {
    let listed: Box<dyn Fn(AlgorithmKind) -> Vec<String>> = match client {
        Client::OpenSsh92 => Box::new(|kind| queried("ssh-9.2", kind)),
        Client::OpenSsh100 => Box::new(|kind| queried("ssh-10.0", kind)),
        Client::AsyncSsh => {
            let text = said(Call::to(client, 1, "nobody").option("--names").command());
            Box::new(move |kind| {
                let line = text.lines().find_map(|line| line.strip_prefix(kind.word()));
                line.map(|line| line.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
            })
        }
        _ => {
            let offer = Offer::of_client(|port| Call::to(client, port, "nobody").exec("exit 0").command());
            Box::new(move |kind| offer.names(kind))
        }
    };
    move |kind| {
        let mut names = listed(kind);
        // These compress only when asked.
        let on_request = [Client::Paramiko, Client::Plink, Client::Curl, Client::NetSsh2, Client::NetSsh, Client::Jsch];
        if kind == Compression && on_request.contains(&client) && names.iter().all(|name| name == "none") {
            names.push("zlib@openssh.com".to_owned());
        }
        names
    }
}

/// What `ssh -Q` lists.
fn queried(program: &str, kind: AlgorithmKind) -> Vec<String> {
    let query = match kind {
        Kex => "kex",
        Key => "HostKeyAlgorithms",
        Cipher => "cipher",
        Mac => "mac",
        Compression => "compression",
    };
    let mut command = Command::new(client_program(program));
    command.arg("-Q").arg(query);
    said(command).lines().map(str::to_owned).collect()
}

fn said(command: Command) -> String {
    let name = format!("{command:?}");
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{name}: {}", finished.err);
    finished.out.text()
}

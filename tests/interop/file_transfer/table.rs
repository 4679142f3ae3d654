//! Every client with every operation.

use super::client::{all, perform_all};
use super::operation::Operation;
use super::row::{Cell, Client};
use super::server::{Kind, Server};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Clients at the same time.
const AT_ONCE: usize = 4;

/// What a client cannot do with Whelk and can with sshd, and why.
const DIFFERENCES: [(&str, Operation, &str); 1] = [(
    "libssh",
    Operation::Link,
    "it sends the arguments of SYMLINK in OpenSSH's order only to a software version like OpenSSH_10.0, with a number",
)];

/// What came of each operation of a client, and how long they took together.
type Row = (Vec<(Operation, Cell)>, Duration);

/// What came of every operation of every client.
fn fill(server: &Server, clients: &[Client]) -> Vec<Row> {
    let left = Mutex::new((0..clients.len()).rev().collect::<Vec<_>>());
    let rows = Mutex::new(vec![(Vec::new(), Duration::ZERO); clients.len()]);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no thread panics while it holds the list").pop();
                    let Some(number) = next else { break };
                    let client = &clients[number];
                    let site = server.site(&client.name.replace([' ', ':'], "_"), client.without);
                    let start = Instant::now();
                    // A client that does not end is a row of the table like any other.
                    let row = catch_unwind(|| perform_all(client, &site)).unwrap_or_else(|_| {
                        let failed = Cell::Failed("it did not end, see above".to_owned());
                        Operation::ALL.iter().map(|operation| (*operation, failed.clone())).collect()
                    });
                    rows.lock().expect("no thread panics while it holds the list")[number] = (row, start.elapsed());
                }
            });
        }
    });
    rows.into_inner().expect("the threads have ended")
}

/// Prints the table, and gives what failed.
fn report(clients: &[Client], rows: &[Row]) -> Vec<String> {
    let titles: Vec<&str> = Operation::ALL.iter().map(|operation| operation.title()).collect();
    println!("{:<18}{} seconds", "", titles.join(" "));
    let (mut failed, mut reasons) = (Vec::new(), Vec::new());
    for (client, (row, took)) in clients.iter().zip(rows) {
        let mut line = format!("{:<18}", client.name);
        for (operation, cell) in row {
            let text = match cell {
                Cell::Done => "ok",
                Cell::Lacks(_) => "-",
                Cell::Failed(_) => "FAILED",
            };
            line += &format!("{text:<width$} ", width = operation.title().len());
            match cell {
                Cell::Done => {}
                Cell::Lacks(reason) => reasons.push(format!("{}, {}: {reason}", client.name, operation.title())),
                Cell::Failed(error) => failed.push(format!("{}, {}: {error}", client.name, operation.title())),
            }
        }
        println!("{line}{:.1}", took.as_secs_f64());
    }
    println!("not offered by the client:\n{}", reasons.join("\n"));
    failed
}

fn every_client_does_every_operation(kind: Kind) {
    let server = Server::start(kind);
    let only = std::env::var("WHELK_FILE_CLIENT").unwrap_or_default();
    let clients: Vec<Client> = all().into_iter().filter(|client| client.name.contains(&only)).collect();
    assert!(!clients.is_empty(), "there is no client {only:?}");
    let rows = fill(&server, &clients);
    let mut failed = report(&clients, &rows);
    for (client, operation, reason) in DIFFERENCES.iter().filter(|_| kind == Kind::Whelk) {
        let before = failed.len();
        failed.retain(|error| !error.starts_with(&format!("{client}, {}: ", operation.title())));
        println!("differs: {client}, {}: {reason}", operation.title());
        let was_run = clients.iter().any(|one| one.name == *client);
        assert!(before > failed.len() || !was_run, "{client} can do that now: remove its entry in `DIFFERENCES`");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    server.end();
}

#[test]
fn every_client_does_every_operation_with_sshd() {
    every_client_does_every_operation(Kind::Sshd);
}

#[test]
fn every_client_does_every_operation_with_whelk() {
    every_client_does_every_operation(Kind::Whelk);
}

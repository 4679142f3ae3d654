//! The clients: the rows of the table.
//!
//! A client that reads commands does all of its operations in one session. If that fails, each gets a session of its
//! own, so that the table says which one it was. The other clients are run once for each step of an operation.

mod conch;
mod curl;
mod drivers;
mod lftp;
mod openssh;
mod putty;
mod rclone;

use super::layout;
use super::mounted;
use super::operation::Operation;
use super::row::{Cell, Client, How, Step, run, said, succeeded};
use super::site::Site;
use std::process::Command;

/// All of them.
pub(super) fn all() -> Vec<Client> {
    [openssh::clients(), putty::clients(), drivers::clients()]
        .into_iter()
        .flatten()
        .chain([conch::client(), lftp::client(), rclone::client(), curl::sftp(), curl::scp(), mounted::client()])
        .collect()
}

/// Does every operation that it can, in the order of [`Operation::ALL`].
pub(super) fn perform_all(client: &Client, site: &Site) -> Vec<(Operation, Cell)> {
    let lacks = |operation: &Operation| match (client.step)(site, *operation) {
        Step::Lacks(reason) => Some(reason),
        _ => None,
    };
    let offered: Vec<Operation> = Operation::ALL.into_iter().filter(|one| lacks(one).is_none()).collect();
    let mut done = perform(client, site, &offered).into_iter();
    let cell = |operation: &Operation| match lacks(operation) {
        Some(reason) => Cell::Lacks(reason),
        None => match done.next() {
            Some(Ok(())) => Cell::Done,
            Some(Err(error)) => Cell::Failed(error),
            None => Cell::Failed("it was not reached".to_owned()),
        },
    };
    Operation::ALL.iter().copied().zip(Operation::ALL.iter().map(cell).collect::<Vec<_>>()).collect()
}

fn perform(client: &Client, site: &Site, operations: &[Operation]) -> Vec<Result<(), String>> {
    operations.iter().for_each(|operation| layout::prepare(*operation, site));
    match client.how {
        How::Batch(command) => {
            let finished = run(command(site, &lines(client, site, operations)));
            if finished.status == Some(0) {
                return operations.iter().map(|one| layout::check(*one, site, &said(&finished))).collect();
            }
            operations.iter().map(|one| perform_alone(client, site, *one, command)).collect()
        }
        How::Each(command) => operations.iter().map(|one| perform_steps(client, site, *one, command)).collect(),
        How::Driver(command) => drivers::perform(command(site), site, operations),
        How::Mounted => mounted::perform(site, operations),
    }
}

fn lines(client: &Client, site: &Site, operations: &[Operation]) -> Vec<String> {
    let lines = |operation: &Operation| match (client.step)(site, *operation) {
        Step::Lines(lines) => lines,
        other => panic!("{}, {}: {other:?} are no commands", client.name, operation.title()),
    };
    operations.iter().flat_map(lines).collect()
}

fn perform_alone(
    client: &Client,
    site: &Site,
    operation: Operation,
    command: fn(&Site, &[String]) -> Command,
) -> Result<(), String> {
    layout::prepare(operation, site);
    succeeded(&run(command(site, &lines(client, site, &[operation]))))
        .and_then(|said| layout::check(operation, site, &said))
}

fn perform_steps(
    client: &Client,
    site: &Site,
    operation: Operation,
    command: fn(&Site, &[String]) -> Command,
) -> Result<(), String> {
    let Step::Runs(runs) = (client.step)(site, operation) else {
        panic!("{}, {}: no arguments", client.name, operation.title())
    };
    let mut all = String::new();
    for arguments in runs {
        all += &succeeded(&run(command(site, &arguments)))?;
    }
    layout::check(operation, site, &all)
}

//! The gateway is killed while plugins write to key-value: whatever a client was told is stored is there after a
//! restart.

use whelk_tests::{Call, Client, Gateway, Input, Running, figure, size};

use crate::code::tally;

/// Clients that write at the same time, each with one connection after another.
const CLIENTS: u64 = 4;

/// Clients that increment the same number, again and again, until their input ends.
fn writers(gateway: &Gateway) -> Running {
    let at_once = CLIENTS.to_string();
    let options = ["--siege", "reconnect", "--count", "0", "--at-once", &at_once];
    let call = options.iter().fold(Call::new(Client::Ours, gateway, "guestbook"), |call, option| call.option(option));
    let mut running = call.exec("kv add total 1").start_long();
    running.wait_for_output("ready");
    running.type_in(b"go\n");
    running
}

/// The value of the number.
fn total(gateway: &Gateway) -> u64 {
    let got = Call::new(Client::Ours, gateway, "guestbook").exec("kv get total").run(Input::Nothing);
    let text = got.out.text();
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no number; {}", got.err))
}

#[test]
fn a_confirmed_write_survives_a_kill_of_the_gateway() {
    let kills = size(5, 200);
    let mut gateway = Gateway::demonstration();
    let (mut told, mut kept) = (0, 0);
    for kill in 1..=kills {
        let mut writers = writers(&gateway);
        // After 1 to 41 sessions, in no pattern that could coincide with a group of writes.
        let enough = 1 + usize::try_from(kill.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 41).expect("a small number");
        gateway.wait_all("sessions of writers", |events| {
            let ended = events.iter().filter(|event| event.message == "session ended").count();
            (ended >= enough).then_some(())
        });
        gateway.kill_and_restart();
        writers.end_input();
        writers.wait_for_output("done");
        told += tally(&writers.said(), "status 0").into_iter().sum::<u64>();
        kept = total(&gateway);
        assert!(kept >= told, "{told} were told that one was added, and the number is {kept} after {kill} kills");
        // Writes that were not confirmed yet may have succeeded all the same.
        assert!(kept <= told + kill * CLIENTS, "{told} were told that one was added, and the number is {kept}");
    }
    figure("kills of the gateway during key-value writes, after each of which it served", kills);
    figure("writes told to clients, writes kept", format!("{told}, {kept}"));
    gateway.end();
}

//! Large transfers with key changes, in little memory.

use whelk_tests::{Call, Client, Finished, Gateway, Input, MIB, Setup, figure, size};

/// The most memory that the server may use, whatever the size of the transfer.
const MEMORY: u64 = 64 * MIB;

fn down(gateway: &Gateway, call: Call, bytes: u64) -> Finished {
    let finished = call.exec(&format!("zeros {bytes}")).run_long(Input::Nothing);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    assert_eq!(finished.out.total, bytes);
    assert!(finished.out.only_zeros);
    check_memory(gateway);
    finished
}

fn up(gateway: &Gateway, call: Call, bytes: u64) -> Finished {
    let finished = call.exec("sink").run_long(Input::Generated(bytes));
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    let text = finished.out.text();
    let fed = finished.fed.as_ref().expect("all of it was read");
    assert!(text.contains(&bytes.to_string()), "{bytes} bytes went, it says {text}");
    assert!(text.to_lowercase().contains(fed), "{fed} went, it says {text}");
    check_memory(gateway);
    finished
}

fn check_memory(gateway: &Gateway) {
    let peak = gateway.peak_memory();
    assert!(peak < MEMORY, "the server held {} MiB", peak / MIB);
}

/// How often the client reports that it sent its part of a key exchange.
fn key_exchanges(finished: &Finished) -> u64 {
    finished.err.lines().filter(|line| line.contains("SSH2_MSG_KEXINIT sent")).count() as u64
}

fn rate(finished: &Finished, bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let rate = bytes as f64 / MIB as f64 / finished.took.as_secs_f64();
    format!("{rate:.0} MiB/s, {} key exchanges", key_exchanges(finished))
}

fn rekeying(cipher: &str) {
    let gateway = Gateway::demonstration();
    let bytes = size(8, 256) * MIB;
    let call = |client| {
        let call = Call::new(client, &gateway, "probe").option("-v");
        call.option("-oRekeyLimit=1M").option(&format!("-oCiphers={cipher}"))
    };
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        for (way, finished) in
            [("down", down(&gateway, call(client), bytes)), ("up", up(&gateway, call(client), bytes))]
        {
            assert!(finished.err.contains(cipher), "not with {cipher}: {}", finished.err);
            assert!(key_exchanges(&finished) > bytes / MIB / 4, "few key exchanges: {}", finished.err);
            figure(&format!("{client:?} {cipher} {} MiB {way}, RekeyLimit=1M", bytes / MIB), rate(&finished, bytes));
        }
    }
    figure(&format!("{cipher} peak memory, MiB"), gateway.peak_memory() / MIB);
    gateway.end();
}

#[test]
fn chacha20_poly1305_carries_all_bytes_both_ways_while_keys_change() {
    rekeying("chacha20-poly1305@openssh.com");
}

#[test]
fn aes256_gcm_carries_all_bytes_both_ways_while_keys_change() {
    rekeying("aes256-gcm@openssh.com");
}

#[test]
fn aes128_gcm_carries_all_bytes_both_ways_while_keys_change() {
    rekeying("aes128-gcm@openssh.com");
}

#[test]
fn a_large_transfer_each_way_takes_little_memory() {
    let gateway = Gateway::demonstration();
    let bytes = size(32, 1024) * MIB;
    let call = || Call::new(Client::OpenSsh100, &gateway, "probe");
    figure(&format!("{} MiB down", bytes / MIB), rate(&down(&gateway, call(), bytes), bytes));
    figure(&format!("{} MiB up", bytes / MIB), rate(&up(&gateway, call(), bytes), bytes));
    figure("peak memory, MiB", gateway.peak_memory() / MIB);
    gateway.end();
}

#[test]
fn openssh_10_agrees_on_ml_kem() {
    let gateway = Gateway::demonstration();
    let finished = Call::new(Client::OpenSsh100, &gateway, "probe").option("-v").exec("exit 0").run(Input::Nothing);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    assert!(finished.err.contains("kex: algorithm: mlkem768x25519-sha256"), "{}", finished.err);
    gateway.end();
}

#[test]
fn a_download_continues_after_the_socket_was_full() {
    let gateway = Gateway::demonstration();
    let bytes = size(64, 1024) * MIB;
    let finished = down(&gateway, Call::new(Client::AsyncSsh, &gateway, "probe"), bytes);
    figure("AsyncSSH, a window of 256 MiB, down", rate(&finished, bytes));
    gateway.end();
}

#[test]
fn a_client_killed_in_a_download_ends_its_session_as_connection_lost() {
    let gateway = Gateway::demonstration();
    let times = size(10, 100);
    for time in 1..=times {
        let call = Call::new(Client::OpenSsh92, &gateway, "probe").exec("zeros 1000000000");
        call.start_and_stall(1).kill_and_wait();
        gateway.wait_all("`closed(connection-lost)` of a plugin", |events| {
            let lost =
                events.iter().filter(|event| event.is_from_plugin() && event.message == "closed(connection-lost)");
            (lost.count() as u64 == time).then_some(())
        });
    }
    figure("sessions that ended as connection-lost", format!("{times} of {times}"));
    check_memory(&gateway);
    gateway.end();
}

/// Both directions are compressed; key exchanges restart the streams.
#[test]
fn ssh_with_compression_carries_all_bytes_both_ways_while_keys_change() {
    let users = "[users.probe]\nplugin = \"probe\"\nauth = \"none\"\n";
    let algorithms = "[algorithms]\ncompression = [\"none\", \"zlib@openssh.com\"]\n";
    let gateway = Setup::default().configuration(&format!("{users}{algorithms}")).start();
    let bytes = size(16, 1024) * MIB;
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        let call = || Call::new(client, &gateway, "probe").option("-v").option("-C").option("-oRekeyLimit=1M");
        for (way, finished) in [("down", down(&gateway, call(), bytes)), ("up", up(&gateway, call(), bytes))] {
            assert!(finished.err.contains("compression: zlib@openssh.com"), "not compressed: {}", finished.err);
            // Zeros are compressed to less than one key's bytes.
            assert!(way == "down" || key_exchanges(&finished) > bytes / MIB / 4, "few key exchanges: {}", finished.err);
            figure(&format!("{client:?} -C {} MiB {way}, RekeyLimit=1M", bytes / MIB), rate(&finished, bytes));
        }
    }
    figure("-C peak memory, MiB", gateway.peak_memory() / MIB);
    gateway.end();
}

//! The two tasks of a session on two processors: nothing is lost, duplicated or stuck.

use whelk_runtime::{Drained, Ending};

use crate::client::Client;

/// The window of the client.
const WINDOW: usize = 64 << 10;
const TOTAL: usize = 24 << 20;

/// Small numbers in no order, the same in every run.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (self.0 >> 8) as usize % most
    }
}

/// The byte at a position of the stream.
fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_of_many_megabytes_is_complete_at_any_pace() {
    let mut dice = Dice(7);
    let mut client = Client::exec("");
    let (mut sent, mut echoed, mut window) = (0, 0, WINDOW);
    while echoed < TOTAL {
        while window > 0 && sent < TOTAL && dice.roll(4) > 1 {
            let length = dice.roll(9_000).min(window).min(TOTAL - sent);
            let data: Vec<u8> = (sent..sent + length).map(byte).collect();
            client.send(&data);
            sent += length;
            window -= length;
        }
        client.recorder.room = dice.roll(60_000);
        let drained = client.outbox.drain(&mut client.recorder);
        let stdout = client.recorder.stdout();
        assert!(stdout.iter().enumerate().all(|(at, letter)| *letter == byte(echoed + at)), "at {echoed}");
        echoed += stdout.len();
        client.recorder.heard.clear();
        let credit = client.inbox.take_credit();
        window += credit;
        // Nothing to do: whatever comes next must wake us.
        if drained == Drained::Empty && stdout.is_empty() && credit == 0 && (window == 0 || sent == TOTAL) {
            client.until_woken().await;
        }
    }
    assert_eq!((sent, echoed), (TOTAL, TOTAL));
    client.inbox.end(Ending::ClientClosed);
    let (_, report) = client.end().await;
    assert!(report.error.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_at_any_moment_is_noticed() {
    let mut dice = Dice(3);
    for _ in 0..300 {
        let mut client = Client::exec("fill 300000;fill 300000");
        client.recorder.room = 0;
        for _ in 0..dice.roll(50) {
            client.recorder.room += dice.roll(30_000);
            client.drain();
            tokio::task::yield_now().await;
        }
        client.inbox.end(Ending::ConnectionLost);
        client.recorder.room = usize::MAX;
        let (_, report) = client.end().await;
        assert!(report.error.is_none(), "{report:?}");
        assert_eq!(report.ending, Some(Ending::ConnectionLost));
    }
}

//! Guesses passwords on many connections, from one address or from many.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::attack::address;
use crate::load::cue;
use crate::peer::Peer;
use crate::siege::Siege;

/// Counts guesses.
#[derive(Default)]
struct Guesses {
    count: Cell<u64>,
    more: Notify,
}

impl Guesses {
    /// The next guess.
    fn next(&self) -> String {
        self.count.set(self.count.get() + 1);
        self.more.notify_waiters();
        format!("guess {}", self.count.get())
    }

    /// Waits until this many guesses were made.
    async fn reached(&self, count: u64) {
        while self.count.get() < count {
            self.more.notified().await;
        }
    }
}

/// Guesses until `count` guesses were made, or until a line arrives on standard input or it ends. Prints `guessing`
/// when every connection has made a guess.
pub(crate) async fn run(siege: Siege) -> io::Result<()> {
    cue("ready").await?;
    let (siege, guesses) = (Rc::new(siege), Rc::new(Guesses::default()));
    let everybody = LocalSet::new();
    for number in 0..siege.at_once {
        let (siege, guesses) = (Rc::clone(&siege), Rc::clone(&guesses));
        everybody.spawn_local(async move {
            let mut wish = siege.wish.clone();
            wish.from = Some(address(number % siege.addresses.max(1)));
            let counted = Rc::clone(&guesses);
            wish.guess = Some(Rc::new(move || counted.next()));
            while siege.count == 0 || guesses.count.get() < u64::from(siege.count) {
                match Peer::log_in(&wish, &siege.key).await {
                    Ok(_) => println!("a guess was right"),
                    // The server has stopped.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
                    // The connection has used up its attempts or was refused.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
    }
    everybody.spawn_local({
        let (guesses, most) = (Rc::clone(&guesses), u64::from(siege.at_once));
        async move {
            guesses.reached(most).await;
            println!("guessing");
        }
    });
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    tokio::select! {
        () = everybody => {}
        word = words.next_line() => drop(word?),
    }
    println!("{} guesses", guesses.count.get());
    println!("done");
    Ok(())
}

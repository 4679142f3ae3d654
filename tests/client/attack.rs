//! Attacks at a rate, each connection from the next of many loopback addresses: password guesses, key exchanges, a port
//! scanner, and connections that are ended at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::load::cue;
use crate::peer::Peer;
use crate::siege::{Kind, Siege};

/// How long one connection may take.
const LONGEST: Duration = Duration::from_secs(30);

/// The most bytes of an answer that are read.
const ANSWER: usize = 4096;

/// What a connection does.
#[derive(Clone, Copy)]
enum Probe {
    /// Guesses one password, as a client that tries each method once.
    Guess,
    /// Exchanges keys, and tries a key that nobody has.
    Exchange,
    /// Ends the connection at once, with FIN.
    Fin,
    /// The same with RST.
    Reset,
    /// Reads the identification.
    Identification,
    /// Asks for a page.
    Http,
    /// Sends an identification and nothing else.
    Half,
}

impl Probe {
    /// Those of an attack. Its connections take them in turn.
    fn of(kind: Kind) -> &'static [Probe] {
        match kind {
            Kind::Brute => &[Probe::Guess],
            Kind::Exchanges => &[Probe::Exchange],
            Kind::Resets => &[Probe::Fin, Probe::Reset],
            _ => &[Probe::Fin, Probe::Reset, Probe::Identification, Probe::Http, Probe::Half],
        }
    }
}

/// Attacks until a line arrives on standard input or it ends, or until `count` connections were made, 0: any number.
/// Prints `attacking` at the first, and at the end how many there were, and how many ended in each way.
pub(crate) async fn run(siege: Siege) -> io::Result<()> {
    cue("ready").await?;
    let (siege, ends) = (Rc::new(siege), Rc::new(RefCell::new(BTreeMap::<String, u64>::new())));
    let (begun, places) = (Cell::new(0_u32), Arc::new(Semaphore::new(siege.at_once as usize)));
    let probes = Probe::of(siege.kind);
    let everybody = LocalSet::new();
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    let attack = async {
        let mut clock = interval(Duration::from_secs(1) / siege.rate.max(1));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while siege.count == 0 || begun.get() < siege.count {
            clock.tick().await;
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let number = begun.get();
            begun.set(number + 1);
            if number == 0 {
                println!("attacking");
            }
            let (siege, ends) = (Rc::clone(&siege), Rc::clone(&ends));
            let probe = probes[number as usize % probes.len()];
            tokio::task::spawn_local(async move {
                let end = timeout(LONGEST, connection(&siege, probe, number)).await;
                let end = end.unwrap_or_else(|_| Ok("no end in time".to_owned()));
                *ends.borrow_mut().entry(end.unwrap_or_else(|error| error.to_string())).or_default() += 1;
                drop(place);
            });
        }
        // All have ended.
        let _ = places.acquire_many(siege.at_once).await;
    };
    everybody
        .run_until(async {
            tokio::select! {
                () = attack => Ok(()),
                word = words.next_line() => word.map(drop),
            }
        })
        .await?;
    for (end, count) in ends.borrow().iter() {
        println!("{count} ended with {end}");
    }
    println!("{} connections", begun.get());
    println!("done");
    Ok(())
}

/// One connection. Returns what the server said, or how it ended.
async fn connection(siege: &Siege, probe: Probe, number: u32) -> io::Result<String> {
    let from = siege.wish.from.unwrap_or_else(|| address(number % siege.addresses.max(1)));
    if let Probe::Guess | Probe::Exchange = probe {
        let mut wish = siege.wish.clone();
        wish.from = Some(from);
        if let Probe::Exchange = probe {
            wish.user = "nobody at all".to_owned();
        }
        wish.password = matches!(probe, Probe::Guess).then(|| format!("guess {number}"));
        return Peer::log_in(&wish, &siege.key).await.map(|_| "a guess that was right".to_owned());
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(from, 0))?;
    let mut stream = socket.connect(siege.wish.address).await?;
    match probe {
        Probe::Guess | Probe::Exchange | Probe::Fin => {}
        // Closing a socket that does not linger sends RST.
        Probe::Reset => rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?,
        Probe::Identification => return answer(&mut stream, 0).await,
        Probe::Http => {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n").await?;
            return answer(&mut stream, ANSWER).await;
        }
        Probe::Half => {
            stream.write_all(b"SSH-2.0-scanner\r\n").await?;
            return answer(&mut stream, 0).await;
        }
    }
    Ok("nothing".to_owned())
}

/// The first line that the server says. Reads on until it closes, at most this many bytes.
async fn answer(stream: &mut TcpStream, more: usize) -> io::Result<String> {
    let mut heard = vec![0; ANSWER];
    let count = stream.read(&mut heard).await?;
    stream.take(more as u64).read_to_end(&mut Vec::new()).await?;
    let line = heard[..count].split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// One of many addresses of this machine, from 127.0.1.1 on.
pub(crate) fn address(number: u32) -> IpAddr {
    let first = u32::from(Ipv4Addr::new(127, 0, 1, 1));
    IpAddr::V4(Ipv4Addr::from(first + number))
}

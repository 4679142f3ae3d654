//! Connections that never log in, from many loopback addresses. One that is closed is opened again a second later.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio::time::{interval, sleep};

use crate::load::{cue, permit_files};

/// What a dripping client sends, one byte a second: a line that never ends.
const LINE: &[u8] = b"SSH-2.0-a_client_that_has_a_byte_a_second_to_spare";
const SECOND: Duration = Duration::from_secs(1);

/// The parameters.
pub(crate) struct Strangers {
    pub(crate) address: SocketAddr,
    pub(crate) count: u32,
    /// The number of addresses.
    pub(crate) sources: u32,
    /// They send a byte a second instead of nothing.
    pub(crate) drip: bool,
}

/// Counts of all of them.
#[derive(Default)]
struct Tally {
    /// How many have connected at least once.
    arrived: Cell<u32>,
    /// Connections that are open.
    open: Cell<u32>,
    opened: Cell<u64>,
    closed: Cell<u64>,
    failed: Cell<u64>,
}

fn add<T: Copy + std::ops::Add<Output = T>>(cell: &Cell<T>, one: T) {
    cell.set(cell.get() + one);
}

/// Prints `ready`, waits for a line, opens all, prints `all have come`, and goes on until another line or the end of
/// standard input.
pub(crate) async fn run(strangers: Strangers) -> io::Result<()> {
    permit_files()?;
    cue("ready").await?;
    let (strangers, tally) = (Rc::new(strangers), Rc::new(Tally::default()));
    let everybody = LocalSet::new();
    for number in 0..strangers.count {
        everybody.spawn_local(stranger(Rc::clone(&strangers), Rc::clone(&tally), number));
    }
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    let word = everybody.run_until(words.next_line()).await?;
    drop(word);
    let Tally { open, opened, closed, failed, .. } = &*tally;
    let (open, opened, closed, failed) = (open.get(), opened.get(), closed.get(), failed.get());
    println!("open {open} opened {opened} closed {closed} failed {failed}");
    println!("done");
    Ok(())
}

/// One of them, for ever.
async fn stranger(strangers: Rc<Strangers>, tally: Rc<Tally>, number: u32) {
    let mut is_first = true;
    loop {
        let stream = connect(&strangers, number).await;
        if std::mem::take(&mut is_first) {
            add(&tally.arrived, 1);
            if tally.arrived.get() == strangers.count {
                println!("all have come");
            }
        }
        match stream {
            Ok(stream) => {
                add(&tally.opened, 1);
                add(&tally.open, 1);
                // Any result means that the connection has ended.
                let _ = stay(&stream, strangers.drip).await;
                tally.open.set(tally.open.get() - 1);
                add(&tally.closed, 1);
            }
            Err(_) => add(&tally.failed, 1),
        }
        sleep(SECOND).await;
    }
}

/// Connects from one of the addresses from 127.64.0.0 on.
async fn connect(strangers: &Strangers, number: u32) -> io::Result<TcpStream> {
    let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 64, 0, 0)) + number % strangers.sources.max(1));
    let socket = TcpSocket::new_v4()?;
    // Allows reuse of a port as soon as its last connection has ended.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    socket.connect(strangers.address).await
}

/// Reads until the server closes.
async fn stay(stream: &TcpStream, drips: bool) -> io::Result<()> {
    let mut clock = interval(SECOND);
    let mut line = LINE.iter().cycle();
    let mut unread = [0; 2048];
    loop {
        tokio::select! {
            ready = stream.ready(Interest::READABLE) => {
                ready?;
                match stream.try_read(&mut unread) {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            _ = clock.tick(), if drips => {
                if let Some(byte) = line.next() {
                    stream.try_write(&[*byte])?;
                }
            }
        }
    }
}

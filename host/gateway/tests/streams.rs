//! A connection over a byte stream that is not a socket: the whole gateway in this process, and our own client at the
//! other end of a pipe in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod guest;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, DuplexStream, duplex};
use tokio::time::timeout;
use whelk::config::{Config, Overrides};
use whelk::connection::driver;
use whelk::connection::stream::polled::Polled;
use whelk::plugins::reload::Reload;
use whelk::server::drain::Stopper;
use whelk::server::gateway::Gateway;
use whelk::server::listener::ConnectionPermit;
use whelk::source::Peer;
use whelk::state::State;
use whelk_ssh::algorithm::Preferences;
use whelk_ssh::auth::client::ClientCredential;
use whelk_ssh::connection::{Client, ClientQuestion, Event, Progress, Settings};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::crypto::random::SystemRandom;
use whelk_ssh::error::{Error, Reason};
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::Request;
use whelk_ssh::mux;
use whelk_ssh::transport::{self, Party};

/// Long enough for a busy machine; nothing waits this long unless something is broken.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The size of the pipe in each direction: smaller than most packets, so that both ends have to wait for room.
const PIPE: usize = 512;

/// What the client was told.
#[derive(Debug, PartialEq)]
enum Told {
    LoggedIn,
    Opened(ChannelId),
    Answered(bool),
    Data(Vec<u8>),
    ExitStatus(u32),
    Closed(ChannelId),
    Disconnected(u32),
}

/// Our client at one end of a pipe. It sends all that it has before it reads, so a test sends little at a time.
struct PipeClient {
    pipe: DuplexStream,
    client: Client,
    told: VecDeque<Told>,
}

impl PipeClient {
    fn new(pipe: DuplexStream) -> PipeClient {
        PipeClient::preferring(pipe, Preferences::default())
    }

    fn preferring(pipe: DuplexStream, preferences: Preferences) -> PipeClient {
        let transport = transport::Settings { preferences, ..transport::Settings::new(Party::Client) };
        let settings = Settings { transport: Arc::new(transport), mux: mux::Settings::default() };
        let random = Box::new(SystemRandom::new());
        let client = Client::connected(&settings, b"echo", random, Instant::now());
        PipeClient { pipe, client, told: VecDeque::new() }
    }

    /// Lets the protocol handle what has come.
    fn turn(&mut self) {
        loop {
            let (mut taken, mut requests) = (Vec::new(), Vec::new());
            let told = &mut self.told;
            let progress = self.client.receive(Instant::now(), |event| match event {
                Event::Authenticated => told.push_back(Told::LoggedIn),
                Event::Channel(mux::Event::Opened { channel }) => told.push_back(Told::Opened(channel)),
                Event::Channel(mux::Event::Answered { success, .. }) => told.push_back(Told::Answered(success)),
                Event::Channel(mux::Event::Data { channel, stream: Stream::Data, data }) => {
                    taken.push((channel, data.len()));
                    told.push_back(Told::Data(data.to_vec()));
                }
                Event::Channel(mux::Event::Request { channel, request, .. }) => {
                    requests.push(channel);
                    if let Request::ExitStatus { status } = request {
                        told.push_back(Told::ExitStatus(status));
                    }
                }
                Event::Channel(mux::Event::Closed { channel }) => told.push_back(Told::Closed(channel)),
                Event::Banner(_) | Event::Channel(mux::Event::Eof { .. } | mux::Event::Writable { .. }) => {}
                other => panic!("{other:?}"),
            });
            taken.into_iter().for_each(|(channel, count)| self.client.taken(channel, count));
            requests.into_iter().for_each(|channel| self.client.reply(channel, true));
            let asked = match self.client.question() {
                Some(ClientQuestion::HostKey(_)) => self.client.trust(true).map(|()| true).unwrap(),
                Some(question) => panic!("nothing was offered that leads to {question:?}"),
                None => false,
            };
            self.client.write_owed(Instant::now()).unwrap();
            if let Err(Error::Disconnected { reason, .. }) = progress {
                return self.told.push_back(Told::Disconnected(reason));
            }
            if progress.unwrap() == Progress::Done && !asked {
                return;
            }
        }
    }

    /// The next thing that the client is told.
    async fn next(&mut self) -> io::Result<Told> {
        loop {
            self.turn();
            while !self.client.output().is_empty() {
                let count = self.pipe.write(self.client.output()).await?;
                self.client.sent(count);
            }
            if let Some(told) = self.told.pop_front() {
                return Ok(told);
            }
            match self.pipe.read(self.client.input()).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.client.filled(count),
            }
        }
    }

    /// Logs in and starts a shell in a session.
    async fn shell(&mut self) -> ChannelId {
        self.client.authenticate(ClientCredential::None);
        assert_eq!(self.next().await.unwrap(), Told::LoggedIn);
        let channel = self.client.open_session().unwrap();
        assert_eq!(self.next().await.unwrap(), Told::Opened(channel));
        assert!(self.client.request(channel, Request::Shell.kind(), &Request::Shell.body(), true));
        assert_eq!(self.next().await.unwrap(), Told::Answered(true));
        channel
    }

    /// Sends a packet of data and waits until it has come back.
    async fn echo(&mut self, channel: ChannelId, data: &[u8]) {
        assert_eq!(self.client.write(channel, Stream::Data, data), data.len());
        let mut echoed = Vec::new();
        while echoed.len() < data.len() {
            match self.next().await.unwrap() {
                Told::Data(data) => echoed.extend(data),
                other => panic!("{other:?}"),
            }
        }
        assert!(echoed == data, "{} bytes that differ", data.len());
    }

    /// Sends EOF, on which the plugin exits, and expects its exit status and the close of the channel.
    async fn end_shell(&mut self, channel: ChannelId) {
        self.client.send_eof(channel);
        assert_eq!(self.next().await.unwrap(), Told::ExitStatus(0));
        assert_eq!(self.next().await.unwrap(), Told::Closed(channel));
    }

    /// Reads until the other end closes, and expects a DISCONNECT of a server that stops.
    async fn expect_disconnect(&mut self) {
        let mut rest = Vec::new();
        self.pipe.read_to_end(&mut rest).await.unwrap();
        self.client.input()[..rest.len()].copy_from_slice(&rest);
        self.client.filled(rest.len());
        let ended = self.client.receive(Instant::now(), |_| {});
        let reason = Reason::ByApplication as u32;
        assert!(matches!(&ended, Err(Error::Disconnected { reason: said, .. }) if *said == reason), "{ended:?}");
    }
}

/// Serves one connection over a pipe in memory, as another user of the library would, while `visit` lasts.
async fn serve<V: Future<Output = ()>>(visit: impl FnOnce(PipeClient, Stopper) -> V) {
    serve_over(|pipe| pipe, visit).await;
}

/// The same over the stream that `wrap` makes of the server's end of the pipe.
async fn serve_over<S, V>(wrap: impl FnOnce(DuplexStream) -> S, visit: impl FnOnce(PipeClient, Stopper) -> V)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    V: Future<Output = ()>,
{
    let Running { gateway, stopper, reload, folder: _folder } = start(|_| {}).await;
    let (ours, theirs) = duplex(PIPE);
    let connection = driver::run(Polled::new(wrap(theirs)), Peer::Unknown, ConnectionPermit::unlisted(1), gateway);
    let visit = visit(PipeClient::new(ours), stopper);
    timeout(TIMEOUT, async { tokio::join!(connection, visit) }).await.unwrap();
    drop(reload);
}

/// A gateway in this process, with one plugin.
struct Running {
    gateway: Arc<Gateway>,
    stopper: Stopper,
    reload: Reload,
    folder: TempDir,
}

/// Starts one whose configuration `change` has changed.
async fn start(change: impl FnOnce(&mut Config)) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::copy(guest::build(&["bare"]).join("bare.wasm"), plugins.join("echo.wasm")).unwrap();
    // Never bound: there is no listener.
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let overrides = Overrides { listen, plugins: Some(plugins), state: Some(folder.path().join("state")) };
    let mut config = Config::demonstration(&overrides).unwrap();
    config.limits.plugins.instances = 1;
    change(&mut config);
    let stopper = Stopper::new();
    let gateway = Arc::new(Gateway::new(&config, vec![HostKey::generate().unwrap()], &stopper).unwrap());
    let state = State::open(&config.state).unwrap();
    let reload = gateway.load(&config, &state, Path::new(env!("CARGO_BIN_EXE_whelk"))).await.unwrap();
    reload.prepared().await;
    Running { gateway, stopper, reload, folder }
}

#[tokio::test]
async fn a_login_and_a_session_run_over_a_pipe_in_memory() {
    serve(async |mut client, _stopper| {
        let channel = client.shell().await;
        assert_eq!(client.client.negotiated().map(|agreed| agreed.host_key), Some("ssh-ed25519"));
        for size in [1, 100, 4000, 16_000] {
            let data: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            client.echo(channel, &data).await;
        }
        client.end_shell(channel).await;
        // The client hangs up by dropping its end, and the connection ends: `serve` waits for that.
    })
    .await;
}

#[tokio::test]
async fn a_stop_of_the_server_ends_a_connection_over_a_pipe_with_disconnect() {
    serve(async |mut client, stopper| {
        let channel = client.shell().await;
        client.echo(channel, b"hello").await;
        client.end_shell(channel).await;
        stopper.stop();
        client.expect_disconnect().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_buffers_is_flushed_before_each_wait_and_before_the_end() {
    serve_over(BufWriter::new, async |mut client, stopper| {
        let channel = client.shell().await;
        for size in [1, 100, 16_000] {
            client.echo(channel, &vec![b'x'; size]).await;
        }
        client.end_shell(channel).await;
        stopper.stop();
        client.expect_disconnect().await;
    })
    .await;
}

/// P20: the memory of compression is bounded. Clients beyond the limit are served without compression.
#[tokio::test]
async fn as_many_connections_are_compressed_as_the_limit_allows() {
    let both = || Preferences::default().with_compression(&["zlib@openssh.com", "none"]).unwrap();
    let Running { gateway, stopper: _stopper, reload: _reload, folder: _folder } = start(|config| {
        config.limits.compressed_connections = 1;
        config.algorithms = both();
    })
    .await;
    let connect = |number, preferences| {
        let (ours, theirs) = duplex(PIPE);
        let permit = ConnectionPermit::unlisted(number);
        let served = tokio::spawn(driver::run(Polled::new(theirs), Peer::Unknown, permit, Arc::clone(&gateway)));
        (PipeClient::preferring(ours, preferences), served)
    };
    let log_in = async |client: &mut PipeClient| {
        client.client.authenticate(ClientCredential::None);
        assert_eq!(client.next().await.unwrap(), Told::LoggedIn);
    };
    timeout(TIMEOUT, async {
        // The first is offered compression, so the second is not, although the first has not logged in yet.
        let ((mut first, first_served), (mut second, second_served)) = (connect(1, both()), connect(2, both()));
        log_in(&mut second).await;
        assert!(!second.client.is_compressed());
        let channel = first.shell().await;
        assert!(first.client.is_compressed());
        first.echo(channel, &b"compressed".repeat(1000)).await;
        // When it has gone there is room for another. One that does not want it leaves it to others.
        drop(first);
        first_served.await.unwrap();
        let (mut third, third_served) = connect(3, Preferences::default());
        log_in(&mut third).await;
        assert!(!third.client.is_compressed());
        let (mut fourth, fourth_served) = connect(4, both());
        log_in(&mut fourth).await;
        assert!(fourth.client.is_compressed());
        drop((second, third, fourth));
        for served in [second_served, third_served, fourth_served] {
            served.await.unwrap();
        }
    })
    .await
    .unwrap();
}

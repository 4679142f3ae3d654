//! Our client at one end of a pipe.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use whelk_ssh::auth::client::ClientCredential;
use whelk_ssh::connection::{Client, ClientQuestion, Event, Progress, Settings};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::crypto::random::SystemRandom;
use whelk_ssh::message::request::Request;
use whelk_ssh::mux;
use whelk_ssh::transport::{self, Party};

/// Long enough for a busy machine; nothing waits this long unless something is broken.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What the client was told.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    LoggedIn,
    /// With the methods that may follow.
    Refused(String),
    /// One method has succeeded, and one of these must follow.
    Partial(String),
    /// Title and prompts.
    Asked(String, Vec<String>),
    /// The password must be changed.
    ToChange(String),
    /// The key would be accepted.
    MaySign,
    /// A session was opened.
    Opened,
    /// A session's output, and its end.
    Output(String),
    /// The connection is over.
    Gone,
}

pub(crate) fn refused() -> Told {
    Told::Refused("publickey,password,keyboard-interactive".to_owned())
}

pub(crate) fn asked(title: &str, prompt: &str) -> Told {
    Told::Asked(title.to_owned(), vec![prompt.to_owned()])
}

/// One connection.
pub(crate) struct Visitor {
    pipe: DuplexStream,
    client: Client,
    /// The number of the connection.
    pub(crate) number: u64,
    served: JoinHandle<()>,
    told: VecDeque<Told>,
    output: Vec<u8>,
}

impl Visitor {
    pub(crate) fn new(user: &str, pipe: DuplexStream, number: u64, served: JoinHandle<()>) -> Visitor {
        let transport = Arc::new(transport::Settings::new(Party::Client));
        let settings = Settings { transport, mux: mux::Settings::default() };
        let client = Client::connected(&settings, user.as_bytes(), Box::new(SystemRandom::new()), Instant::now());
        Visitor { pipe, client, number, served, told: VecDeque::new(), output: Vec::new() }
    }

    pub(crate) async fn none(&mut self) -> Told {
        self.client.authenticate(ClientCredential::None);
        self.next().await
    }

    pub(crate) async fn password(&mut self, text: &str) -> Told {
        self.client.authenticate(ClientCredential::Password(text.as_bytes()));
        self.next().await
    }

    pub(crate) async fn new_password(&mut self, old: &str, new: &str) -> Told {
        self.client.authenticate(ClientCredential::NewPassword { old: old.as_bytes(), new: new.as_bytes() });
        self.next().await
    }

    pub(crate) async fn interactive(&mut self) -> Told {
        self.client.authenticate(ClientCredential::Interactive);
        self.next().await
    }

    /// Answers the question that was asked last.
    pub(crate) async fn answer(&mut self, text: &str) -> Told {
        self.client.answer(&[text.as_bytes()]);
        self.next().await
    }

    /// Asks whether a key would be accepted.
    pub(crate) async fn offer(&mut self, key: &HostKey) -> Told {
        self.show(key, true);
        self.next().await
    }

    /// Signs with a key, whether it was offered before or not.
    pub(crate) async fn prove(&mut self, key: &HostKey) -> Told {
        let is_asked = |client: &Client| matches!(client.question(), Some(ClientQuestion::Sign(_)));
        if !is_asked(&self.client) {
            self.show(key, false);
            // Before the first key exchange is over there is nothing to sign.
            if !is_asked(&self.client) {
                assert_eq!(self.next().await, Told::MaySign);
            }
        }
        let Some(ClientQuestion::Sign(data)) = self.client.question() else { panic!("nothing is to be signed") };
        let signature = key.sign(&data);
        self.client.signed(&signature);
        self.next().await
    }

    fn show(&mut self, key: &HostKey, ask: bool) {
        let blob = key.public().blob();
        self.client.authenticate(ClientCredential::Key { algorithm: "ssh-ed25519", blob, ask });
    }

    /// Runs a command in a session, and returns its output.
    pub(crate) async fn run(&mut self, command: &str) -> String {
        let channel = self.client.open_session().unwrap();
        assert_eq!(self.next().await, Told::Opened);
        let request = Request::Exec { command: command.as_bytes() };
        assert!(self.client.request(channel, request.kind(), &request.body(), true));
        match self.next().await {
            Told::Output(output) => output,
            other => panic!("{other:?}"),
        }
    }

    /// Leaves, and waits until the connection has ended.
    pub(crate) async fn leave(self) {
        drop(self.pipe);
        timeout(TIMEOUT, self.served).await.unwrap().unwrap();
    }

    /// Lets the protocol handle what has come.
    fn turn(&mut self) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let before = matches!(
            self.client.question(),
            Some(ClientQuestion::Sign(_) | ClientQuestion::Challenge(_) | ClientQuestion::ChangePassword(_))
        );
        loop {
            let (mut taken, mut requests, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
            let (told, output) = (&mut self.told, &mut self.output);
            let progress = self.client.receive(Instant::now(), |event| match event {
                Event::Authenticated => told.push_back(Told::LoggedIn),
                Event::Refused { partial } => refusals.push(partial),
                Event::Channel(mux::Event::Opened { .. }) => told.push_back(Told::Opened),
                Event::Channel(mux::Event::Data { channel, data, .. }) => {
                    taken.push((channel, data.len()));
                    output.extend_from_slice(data);
                }
                Event::Channel(mux::Event::Request { channel, .. }) => requests.push(channel),
                Event::Channel(mux::Event::Closed { .. }) => {
                    told.push_back(Told::Output(String::from_utf8(std::mem::take(output)).unwrap()));
                }
                _ => {}
            });
            for partial in refusals {
                let methods = self.client.methods().to_owned();
                self.told.push_back(if partial { Told::Partial(methods) } else { Told::Refused(methods) });
            }
            taken.into_iter().for_each(|(channel, count)| self.client.taken(channel, count));
            requests.into_iter().for_each(|channel| self.client.reply(channel, true));
            let mut trusts = false;
            match self.client.question() {
                Some(ClientQuestion::HostKey(_)) => trusts = true,
                Some(ClientQuestion::Sign(_)) if !before => self.told.push_back(Told::MaySign),
                Some(ClientQuestion::Challenge(asked)) if !before => {
                    let prompts = asked.prompts.iter().map(|(prompt, _)| text(prompt)).collect();
                    self.told.push_back(Told::Asked(text(&asked.name), prompts));
                }
                Some(ClientQuestion::ChangePassword(prompt)) if !before => {
                    self.told.push_back(Told::ToChange(text(prompt)));
                }
                _ => {}
            }
            if trusts {
                self.client.trust(true).unwrap();
            }
            self.client.write_owed(Instant::now()).unwrap();
            match progress {
                Err(_) => return self.told.push_back(Told::Gone),
                Ok(Progress::Done) if !trusts => return,
                Ok(_) => {}
            }
        }
    }

    /// The next thing that the client is told.
    async fn next(&mut self) -> Told {
        timeout(TIMEOUT, self.wait()).await.unwrap()
    }

    async fn wait(&mut self) -> Told {
        loop {
            self.turn();
            while !self.client.output().is_empty() {
                let Ok(count) = self.pipe.write(self.client.output()).await else { return Told::Gone };
                self.client.sent(count);
            }
            if let Some(told) = self.told.pop_front() {
                return told;
            }
            match self.pipe.read(self.client.input()).await {
                Ok(0) | Err(_) => return Told::Gone,
                Ok(count) => self.client.filled(count),
            }
        }
    }
}

//! What a connection and its connection plugin say to each other. Knows neither wasmtime nor the protocol.

use tokio::sync::oneshot;

/// Something that a connection plugin says to its connection.
#[derive(Debug)]
pub enum ConnectionMessage {
    /// What becomes of a channel that the client asked for.
    Decided {
        /// The number with which the plugin was asked.
        channel: u32,
        /// The type of the channel.
        kind: String,
        /// What came with it.
        payload: Vec<u8>,
        /// The decision.
        verdict: OpenVerdict,
    },
    /// The answer to the oldest global request of the client that has none: the body of a success, or a failure.
    Answered(Option<Vec<u8>>),
    /// The plugin begins something by itself.
    Control(ControlRequest),
    /// The plugin has failed, and is not to be asked again.
    Failed,
    /// The plugin ends the whole connection. RFC 4253 §11.1.
    Disconnect {
        /// The reason code.
        reason: u32,
        /// At most 1 KiB, without control characters.
        text: String,
    },
    /// A debug message for the client. RFC 4253 §11.3.
    Debug {
        /// At most 1 KiB, without control characters.
        text: String,
        /// The client is asked to show it in any case.
        always_display: bool,
    },
}

/// What becomes of a channel that the client asked for. RFC 4254 §5.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenVerdict {
    /// It is opened, and the plugin of this name serves it. The tenant has, or may get, such a plugin.
    Accept(String),
    /// It is refused.
    Refuse(ClientRefusal),
}

/// A reason code and a line of text: at most 1 KiB, without control characters. RFC 4254 §5.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRefusal {
    /// The reason code.
    pub reason: u32,
    /// The line.
    pub text: String,
}

/// Something that a connection plugin begins by itself. Its name and its size were checked.
#[derive(Debug)]
pub enum ControlRequest {
    /// Opens a channel to the client. RFC 4254 §5.1.
    Open {
        /// Its type.
        kind: String,
        /// What follows in the message.
        payload: Vec<u8>,
        /// The plugin that serves it.
        plugin: String,
        /// What became of it. Closed when nobody waits for it any more.
        answer: oneshot::Sender<OpenOutcome>,
    },
    /// Makes a global request. RFC 4254 §4.
    Ask {
        /// Its name.
        name: String,
        /// What follows in the message.
        payload: Vec<u8>,
        /// The client's answer. Closed when nobody waits for it any more.
        answer: oneshot::Sender<ClientAnswer>,
    },
}

/// What became of a channel that a connection plugin wanted to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenOutcome {
    /// It is open, and its session begins.
    Opened,
    /// This user may open none.
    NotPermitted,
    /// The type and the payload are longer than `channel_packet`.
    TooLarge,
    /// There are too many sessions, or opens without an answer.
    TooMany,
    /// The client has refused it. The text is any text: it is escaped for the plugin.
    Refused(ClientRefusal),
}

/// The client's answer to a request that a connection plugin has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAnswer {
    /// A success with this body.
    Success(Vec<u8>),
    /// A failure.
    Failure,
    /// None: the name and the payload are longer than `channel_packet`.
    TooLarge,
    /// None: there are too many requests without an answer.
    TooMany,
}

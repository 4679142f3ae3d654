//! One connection: a task that moves bytes between a client's stream, the protocol and the sessions.
//!
//! | module | what it owns |
//! |---|---|
//! | [`driver`] | the task: turns, waits and deadlines; the end of a connection |
//! | [`stream`] | the byte stream that carries the connection: TCP, or anything that reads and writes |
//! | `bridge` | translates between SSH and sessions, in both directions |
//! | `channels`, `ready` | the connection's channels, and which of them sends next |
//! | `login` | attempts to log in, from the packet to the decision, and what the log says about them |
//! | `large_packets` | memory for a packet above `packet_before_login` |
//! | `blocking_work` | cryptography that costs milliseconds, a few at a time |
//! | `acknowledgement`, `keepalive` | when to acknowledge what was read; whether a silent peer is still there |
//! | `deadline_timer` | waits for the earliest deadline |
//! | `end` | why a connection is over |
//!
//! # The path of a byte
//!
//! ```text
//!  stream ──try_read──► Transport.input       read once, into the buffer in which it is decrypted
//!                       Event::Data           still borrowed from that buffer
//!                       bridge/inbound        the session is looked up by its channel
//!         ──copy──────► Inbox                 small packets in a row are merged
//!  ═══════ connection's task │ session's task ═══════
//!         ──copy──────► guest memory          the plugin's `data`, or a program's read
//!
//!  guest  ──copy──────► Outbox                waits here while the client's window is empty
//!  ═══════ session's task │ connection's task ═══════
//!                       ready, channels       the channel is woken, and queued
//!         ──copy──────► Transport.output      bridge/outbound  send_channel: into the packet in which it is encrypted
//!  stream ◄─try_write── Transport.output      one write for all packets of a turn
//! ```
//!
//! A client's window grows again when the plugin has taken its bytes: the driver never waits for a guest, and a guest
//! that reads nothing costs one window of memory.

pub(crate) mod acknowledgement;
pub(crate) mod blocking_work;
pub(crate) mod bridge;
pub(crate) mod channels;
mod deadline_timer;
pub mod driver;
pub(crate) mod end;
pub(crate) mod keepalive;
pub(crate) mod large_packets;
pub(crate) mod login;
pub(crate) mod ready;
pub mod stream;

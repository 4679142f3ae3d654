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
//!
//! # The memory of an idle connection
//!
//! A connection with one session of `probe` that has echoed 16 bytes, two seconds later, in KiB of anonymous memory a
//! connection (/proc/PID/smaps by mapping; the heap by where it was allocated, 2026-11-30):
//!
//! | where | before | now | what changed |
//! |---|---|---|---|
//! | the task: its future and the driver | 24.6 | 4.0 | boxed: each function around them held their size once more |
//! | the future of the session, with its process | 7.8 | 4.0 | the process and each call boxed |
//! | the input buffer | 4.0 | 0 | it was released, and taken again by the next look at a silent socket |
//! | channel and rows in tables | 4.2 | 0.6 | boxed: a map has room for eleven from the first on |
//! | facts | 3.0 | 0.8 | one text instead of forty |
//! | wasmtime's instances, store and component | 13.5 | 13.5 | |
//! | other heap, and what lies free between | 10.3 | 8.3 | buffers are released after 100 ms, not 2 s |
//! | the stack of the fiber | 8 | 4 | 4.4 of them were used, and 3.4 are: a write that need not wait uses less |
//! | linear memory | 16 | 8 | in `probe`: stack, variables and heap share their pages |
//! | a table | 4 | 4 | |
//! | **together** | **95** | **47** | |
//!
//! The same after 32 KiB there and back, with 1,000 connections within two seconds:
//!
//! | where | before | now | what changed |
//! |---|---|---|---|
//! | buffers of connection and session | 96 | 0.3 | released after 100 ms, not 2 s: other connections use the memory |
//! | linear memory | 44 | 44 | |
//! | the rest | 39 | 39 | as above |
//! | **together** | **179** | **84** | 90 at once, before the trim |

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

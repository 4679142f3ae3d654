//! The program `whelk`: an SSH gateway whose sessions run in WebAssembly.
//!
//! This crate owns sockets, clock, disk and tasks. It is the only one that knows both the protocol (`whelk-ssh`) and the
//! plugin host (`whelk-runtime`); those two never see each other.
//!
//! The map, from the outside in:
//!
//! | module | what it owns |
//! |---|---|
//! | [`config`] | the configuration: read once, checked as a whole; every limit; the reference |
//! | [`logging`] | where events go, as text or JSON; the one function that makes a stranger's text harmless |
//! | [`process`] | what the operating system allows this process: open files, memory, mappings, core dumps |
//! | [`state`] | the state folder: its keys, private directories of tenants, the lock and the socket of the running program |
//! | [`reload`], `watch`, `plugin_files` | the plugin folders on disk, and what of them can be run |
//! | [`control`] | how the running program is asked what it does |
//! | [`inspect`] | what an operator is shown of plugins |
//! | [`listener`] | sockets, limits on strangers, a task for each connection |
//! | [`source`] | whom an address belongs to |
//! | [`gateway`] | what all connections share |
//! | `settings` | the limits as the plugin host and the protocol take them |
//! | [`pump`] | **the pump**: one task per connection, between socket, protocol and sessions |
//! | [`heap_trim`] | what ended sessions leave on the heap goes back to the system |
//! | `login` | the login of a connection: each attempt in turn, and what the log tells of it |
//! | `keepalive` | whether a silent peer still answers |
//! | `socket` | what the kernel is told about a socket: keepalive, acknowledgements |
//! | `large_packets` | memory for packets above what everybody may send |
//! | `sessions`, `ready` | the sessions of a connection, and whose turn it is |
//! | `session` | the one door between SSH and wasm |
//! | `session_summary` | what the operator is told of a session that has ended |
//! | [`drain`] | how the program stops: the signal that every connection can wait for |
//! | [`signals`] | what the signals of the kernel do, and the end of a stop that takes too long |
//! | [`access`] | who may enter, and as whom |
//! | [`tenant`] | for whom sessions run: what their names mean, and how many a user may have |
//! | `grants` | what a tenant was granted, as the plugin host takes it |
//! | [`explain`] | what a user would get and why, in words |
//! | [`strict_modes`] | who may change the files that say what the program does |
//! | `suggest` | the name that was meant instead of one that does not exist |
//! | [`credential`] | password hashes and lists of public keys, as an operator writes them |

pub mod access;
pub mod config;
pub mod control;
pub mod credential;
pub mod drain;
pub mod explain;
pub mod gateway;
mod grants;
pub mod heap_trim;
pub mod inspect;
mod keepalive;
mod large_packets;
pub mod listener;
pub mod logging;
mod login;
mod plugin_files;
pub mod process;
pub mod pump;
mod ready;
mod refusals;
pub mod reload;
mod session;
mod session_summary;
mod sessions;
mod settings;
pub mod signals;
mod socket;
pub mod source;
pub mod state;
pub mod strict_modes;
mod suggest;
pub mod tenant;
mod watch;

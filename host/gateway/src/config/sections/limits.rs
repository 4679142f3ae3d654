//! Every limit of the program, declared once: the type, the default, the bounds, the words for the operator.
//!
//! One table makes the struct, its `Default`, the readers of `[limits]` and `[tenants.NAME.limits]`, and the reference that
//! `whelk config` prints, so that they cannot drift apart. To add a limit is to add a row; to drop one is to delete a row.
//! A row that a tenant may override says so with a [`Scope`] after an `@`.

use std::time::Duration;

use whelk_ssh::mux::MIN_WINDOW;

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::Setting;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A group of rows under one heading of the reference.
pub(in crate::config) struct Group {
    pub(in crate::config) title: &'static str,
    pub(in crate::config) rows: Vec<Row>,
}

/// What the reference says of one limit.
pub(in crate::config) struct Row {
    pub(in crate::config) name: &'static str,
    /// One line each, beginning with the space that doc comments begin with.
    pub(in crate::config) words: &'static [&'static str],
    /// As it is written in the file.
    pub(in crate::config) default: String,
    /// Who may set it.
    pub(in crate::config) scope: Scope,
}

/// Whose a limit is, and so where it may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Scope {
    /// The whole server's: in `[limits]` alone.
    Host,
    /// A tenant's or a session's: a tenant may have more or less than the others.
    Tenant,
}

impl Scope {
    /// Of a row's mark: a row without one is the server's.
    fn of(mark: Option<Scope>) -> Scope {
        mark.unwrap_or(Scope::Host)
    }

    /// Reads a tenant's own value.
    fn read<T: Setting>(self, item: &Item<'_>, bounds: (T, T)) -> Result<T, String> {
        match self {
            Scope::Host => {
                Err(format!("is the whole server's and no tenant's: it can only be set as `limits.{}`", item.name))
            }
            Scope::Tenant => T::read_within(item.value, bounds.0, bounds.1),
        }
    }
}

/// The table's form: `@Scope name: type = default, least => most, "source";` in groups with a heading. Without a scope a row
/// is [`Scope::Host`].
macro_rules! limits {
    (
        $(#[doc = $outer:literal])+
        pub struct $Limits:ident {
            $([$title:literal] {
                $($(#[doc = $words:literal])+ $(@$scope:ident)? $name:ident: $type:ty = $default:expr, $least:expr => $most:expr, $source:literal;)+
            })+
        }
    ) => {
        $(#[doc = $outer])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $Limits {
            $($(
                $(#[doc = $words])+
                #[doc = concat!("\n\nDefault: `", stringify!($default), "`. Source: ", $source, ".")]
                pub $name: $type,
            )+)+
        }

        impl Default for $Limits {
            fn default() -> $Limits {
                $Limits { $($($name: $default,)+)+ }
            }
        }

        impl $Limits {
            /// Reads the table `[limits]`: what the file does not name keeps its default.
            pub(in crate::config) fn read(section: &mut Section<'_>, findings: &mut Findings) -> $Limits {
                let mut limits = $Limits::default();
                $($(
                    if let Some(item) = section.take(stringify!($name)) {
                        let read = <$type>::read_within(item.value, $least, $most);
                        if let Some(value) = findings.keep(&item, read) {
                            limits.$name = value;
                        }
                    }
                )+)+
                limits
            }

            /// Reads a table `[tenants.NAME.limits]`: what it does not name is as it is here, the server's.
            pub(in crate::config) fn read_tenant(&self, section: &mut Section<'_>, findings: &mut Findings) -> $Limits {
                let mut limits = self.clone();
                $($(
                    let scope = Scope::of(None$(.or(Some(Scope::$scope)))?);
                    // The server's own are not asked for, so that they are never what was probably meant.
                    if let Some(item) = section.take_if(stringify!($name), scope != Scope::Host) {
                        let read = scope.read(&item, ($least, $most));
                        if let Some(value) = findings.keep(&item, read) {
                            limits.$name = value;
                        }
                    }
                )+)+
                limits
            }

            /// What differs from `other`: the name, the value here and the value there.
            pub fn differences(&self, other: &$Limits) -> Vec<(&'static str, String, String)> {
                let mut found = Vec::new();
                $($(
                    if self.$name != other.$name {
                        found.push((stringify!($name), self.$name.print(), other.$name.print()));
                    }
                )+)+
                found
            }

            /// The table as the reference prints it.
            pub(in crate::config) fn table() -> Vec<Group> {
                let defaults = $Limits::default();
                vec![$(Group {
                    title: $title,
                    rows: vec![$(Row {
                        name: stringify!($name),
                        words: &[$($words),+],
                        default: defaults.$name.print(),
                        scope: Scope::of(None$(.or(Some(Scope::$scope)))?),
                    },)+],
                },)+]
            }
        }
    };
}

limits! {
    /// Every limit, with the default of a server that faces the internet. Sizes are in bytes.
    ///
    /// "Source" names the row of the threat list that a limit answers, or the section of an RFC.
    pub struct Limits {
        ["Strangers: connections that have not logged in"] {
            /// All of them together, as MaxStartups of sshd_config. Lowered at start to what fits in an eighth of the
            /// memory, at 48 KiB each, and in half of the open files. When there are so many, a new one gets the place of
            /// one that has been here for two seconds: of those that have done least, of the source that has most.
            unauthenticated_full: u32 = 9000, 1 => 1_000_000, "F1";
            /// While none has been here for two seconds, new ones are refused at random from two thirds of that number
            /// on: with this chance in percent at first, rising evenly to all of them.
            unauthenticated_drop: u32 = 30, 0 => 100, "F1";
            /// Those of one source that are served, as PerSourceMaxStartups: a source is an IPv4 address, or an IPv6
            /// network of 64 bits.
            unauthenticated_per_source: u32 = 64, 1 => 1_000_000, "F1";
            /// More of one source that are accepted and wait, without being greeted, until others of it have logged in
            /// or left, for authentication_grace at most. One more is told so and closed.
            unauthenticated_waiting: u32 = 512, 0 => 1_000_000, "F1";
            /// All connections together, logged in or not. Lowered at start when the process may not open that many files.
            connections: u32 = 10_000, 1 => 1_000_000, "O5";
        }
        ["Logging in"] {
            /// Time for the identification line, from the connection's first moment.
            identification_grace: Duration = s(10), ms(100) => s(600), "P7, P8";
            /// Time for the client's part of the first key exchange, from the identification on. It ends when we
            /// answer.
            key_exchange_grace: Duration = s(15), ms(100) => s(600), "P7";
            /// Time to log in, from that answer on, as LoginGraceTime of sshd_config. People read fingerprints and type
            /// names in it.
            authentication_grace: Duration = s(120), ms(100) => s(3600), "P7, RFC 4252 §4";
            /// Time to hash one password. After that the connection is ended with a text that says that the password could not be
            /// checked. The wait for a hashing slot does not count.
            decision_grace: Duration = s(5), ms(100) => s(600), "U36";
            /// Failed attempts on one connection.
            failed_attempts: u32 = 6, 1 => 1000, "U24, RFC 4252 §4";
            /// Authentication requests of every kind on one connection, including queries whether a key would be accepted.
            authentication_requests: u32 = 64, 1 => 1000, "U25";
            /// The least time until a failure is answered. A little is added that depends on the user name. The time is rounded up to
            /// the next doubling, which hides how long the check took.
            failure_delay: Duration = ms(5), ms(0) => s(10), "U30";
            /// Passwords that are hashed at the same time. The others wait: each address (IPv6: network of 64 bits) in its turn.
            /// 0: one fewer than there are processors, at least 1.
            hashing: u32 = 0, 0 => 256, "U30, F5";
            /// Memory for all password hashing at a time. A hash that needs more is computed while no other runs. "0 B": a quarter of
            /// what the machine or the control group has.
            hashing_memory: usize = 0, 0 => 1024 * GIB, "F5";
        }
        ["Transport"] {
            /// The longest packet accepted before login.
            packet_before_login: usize = 35_000, 35_000 => 256 * KIB, "P17, RFC 4253 §6.1";
            /// The longest packet accepted after login.
            packet: usize = 256 * KIB, 35_000 => 256 * KIB, "P17";
            /// How long a packet above `packet_before_login` may take to come whole when others of its tenant wait for
            /// the memory.
            large_packet_grace: Duration = s(60), s(1) => s(3600), "P17";
            /// Bytes of one connection that wait for the network.
            send_buffer: usize = MIB, 64 * KIB => 64 * MIB, "F7";
            /// New keys after this many bytes in either direction ...
            rekey_bytes: usize = GIB, 64 * KIB => 64 * GIB, "RFC 4253 §9";
            /// ... or after this time, if data has moved since the last ones.
            rekey_time: Duration = s(3600), s(1) => s(86_400), "RFC 4253 §9";
            /// Time to finish a key exchange after the first, from the first byte that the client sends after our part
            /// has left. Data that the client has not confirmed adds a second for each 4 KiB, and time in which the
            /// client sends nothing is not counted.
            rekey_grace: Duration = s(60), s(1) => s(3600), "K15";
            /// Idle time before the kernel sends TCP keepalive probes (TCPKeepAlive). "0 s": off.
            tcp_keepalive: Duration = s(600), s(0) => s(32_767), "O6";
            /// Time between two such probes.
            tcp_keepalive_interval: Duration = s(75), s(1) => s(32_767), "O6";
            /// Unanswered probes after which the kernel closes the connection.
            tcp_keepalive_probes: u32 = 9, 1 => 127, "O6";
            /// A client that has sent nothing for this long is asked for an answer, as ClientAliveInterval of
            /// sshd_config. "0 s": never. Stopped clients and sleeping laptops do not answer ...
            keepalive: Duration = s(0), s(0) => s(3600), "O6";
            /// ... and given up after this many questions without one, as ClientAliveCountMax.
            keepalive_count: u32 = 3, 1 => 100, "O6";
        }
        ["Channels"] {
            /// Sessions on one connection at the same time.
            sessions: u32 = 64, 1 => 1000, "C16";
            /// Channels of every kind on one connection at the same time, including channels closed by one side only.
            channels: u32 = 128, 1 => 10_000, "C16";
            /// Maximum packet size announced to clients. Longer ones are accepted.
            channel_packet: usize = 32 * KIB, KIB => 128 * KIB, "C8, RFC 4254 §5.1";
            /// The window that a new channel has: bytes that a client may send before the plugin takes them. When a connection has many
            /// sessions the later ones start with less, but never with less than 32 KiB or `channel_packet` ...
            window_start: usize = 256 * KIB, 32 * KIB => 64 * MIB, "C8, RFC 4254 §5.2";
            /// ... and the size to which it grows while the plugin reads.
            window: usize = 2 * MIB, 32 * KIB => 64 * MIB, "C8, RFC 4254 §5.2";
            /// The windows of all channels of one connection together. A client may exceed each by a tenth.
            window_total: usize = 8 * MIB, 32 * KIB => GIB, "C8";
            /// Bytes that a plugin has written and the client has not taken. At this many the plugin waits.
            @Tenant
            output: usize = 256 * KIB, 32 * KIB => 64 * MIB, "W15, C14";
            /// Answers of one connection that wait to be sent. At this many nothing more is read.
            pending_replies: u32 = 64, 1 => 1000, "C22, K15";
            /// Requests on one channel that the plugin has not answered. Further ones are refused.
            pending_requests: u32 = 256, 1 => 10_000, "C21, C24";
            /// Admitted environment variables of one session. Those whose names are not admitted cost nothing ...
            @Tenant
            environment: u32 = 128, 0 => 1024, "C31";
            /// ... and the bytes of their names and values together.
            @Tenant
            environment_bytes: usize = 64 * KIB, 0 => 256 * KIB, "C31";
            /// The longest command line. One that fits `packet` reaches the plugin.
            @Tenant
            command: usize = 255 * KIB, 1 => 255 * KIB, "C32";
        }
        ["Plugins"] {
            /// Instances running at the same time, over all connections. Each takes two mappings from the start on, and
            /// two more while it runs for each memory that its plugin has: 15,000 of one memory fit the default of
            /// vm.max_map_count. When there are no more, further ones are refused.
            instances: u32 = 1000, 1 => 100_000, "W52";
            /// Connections of one user that have logged in. One more is told so and ended.
            @Tenant
            connections_per_user: u32 = 100, 1 => 1_000_000, "F6, W52";
            /// Sessions of one user at the same time, over all connections. The demonstration has no such limit.
            @Tenant
            sessions_per_user: u32 = 100, 1 => 100_000, "W52";
            /// Memory of all instances together, and of buffers for their files and requests. "0 B": what is left of
            /// the memory that the machine or the control group gives, less 64 MiB for the server, an eighth for
            /// connections, a sixteenth for output, and what compiling takes, at most an eighth.
            memory_total: usize = 0, 0 => 1024 * GIB, "W5, W46";
            /// Output of all sessions together that clients have not taken. "0 B": a sixteenth of the memory that the
            /// machine or the control group gives.
            output_total: usize = 0, 0 => 1024 * GIB, "W15";
            /// Memory of one instance: of all its memories together.
            @Tenant
            memory: usize = 64 * MIB, 64 * KIB => 2 * GIB, "W5";
            /// Address space that is reserved for each memory, and the most that `memory` may be, here and for a
            /// tenant.
            memory_slot: usize = 256 * MIB, 64 * KIB => 2 * GIB, "W6";
            /// Processor time of one call into a plugin, after which it is killed.
            @Tenant
            cpu_call: Duration = s(1), ms(1) => s(3600), "W1, W2";
            /// Processor time to start an instance.
            @Tenant
            cpu_start: Duration = ms(100), ms(1) => s(60), "W4";
            /// Processor time of the last call, when a session has closed.
            @Tenant
            cpu_closed: Duration = s(1), ms(1) => s(60), "W3";
            /// Processor time that a session may use at once. When it has used that up it waits for more, and nothing is killed ...
            @Tenant
            cpu_burst: Duration = s(1), ms(10) => s(3600), "W1, W45";
            /// ... which comes at this much in each second, up to the burst. "1 s" is a processor for itself.
            @Tenant
            cpu_share: Duration = ms(250), ms(1) => s(1), "W1, W45";
            /// How long a session may last. "0 s": for ever.
            @Tenant
            session_time: Duration = s(0), s(0) => s(31_536_000), "W20";
            /// How long a session may last in which nothing comes from the client and nothing is written. "0 s": for ever.
            @Tenant
            idle_time: Duration = s(0), s(0) => s(31_536_000), "W20";
            /// The stack of a plugin ...
            stack: usize = 384 * KIB, 64 * KIB => 8 * MIB, "W9";
            /// ... and that of the host below it, for what the plugin calls.
            host_stack: usize = 640 * KIB, 512 * KIB => 8 * MIB, "W9";
            /// Core modules that one plugin may be made of.
            core_instances: u32 = 64, 4 => 1000, "W7";
            /// Tables of one instance, in one core module or in several ...
            tables: u32 = 8, 2 => 100, "W7";
            /// ... and the elements of each.
            table_elements: u32 = 20_000, 100 => 1_000_000, "W8";
            /// Memories of one instance, in one core module or in several: plugins written in JavaScript may have
            /// three. Those that a plugin has are counted, not those that it could have (see `instances`).
            memories: u32 = 3, 1 => 8, "W7";
            /// What is kept of each memory and each table of an ended instance, cleared, for the next one: a little faster to start, but it
            /// stays taken.
            keep_resident: usize = 0, 0 => MIB, "W46";
            /// Output from before a start request is accepted.
            @Tenant
            held_output: usize = 64 * KIB, 0 => MIB, "W15";
            /// Randomness that a plugin may ask for in one call.
            @Tenant
            random: usize = 64 * KIB, 64 => MIB, "W33";
            /// Data that a plugin may pass in one call to the host.
            @Tenant
            call_data: usize = 4 * MIB, 2 * MIB => 128 * MIB, "W11, W12";
            /// Handles that an instance may hold: streams and the like.
            @Tenant
            resources: u32 = 1024, 16 => 1_000_000, "W19";
            /// Files and directories that one session has open in its tenant's directory.
            @Tenant
            open_files: u32 = 64, 1 => 100_000, "W28";
            /// The same of all sessions of one tenant, with their sockets and with connections of their requests.
            @Tenant
            tenant_open_files: u32 = 1024, 1 => 1_000_000, "W28";
            /// Timers of one instance.
            @Tenant
            timers: u32 = 64, 0 => 10_000, "W21";
            /// The shortest timer. A shorter one is refused.
            @Tenant
            timer: Duration = ms(10), ms(1) => s(1), "W21, W32";
            /// How often a session may pass from one plugin to another: by a route, or because a plugin hands it over.
            @Tenant
            handoffs: u32 = 16, 0 => 1000, "W22, W26";
            /// The largest plugin file.
            component: usize = 64 * MIB, KIB => GIB, "W34";
            /// Log lines of one session in a second. The others are counted and dropped. File events are counted apart, by the
            /// same measure.
            @Tenant
            log_rate: u32 = 100, 1 => 100_000, "W23";
            /// Log lines that may come at once before that rate holds.
            @Tenant
            log_burst: u32 = 500, 1 => 100_000, "W23";
            /// The longest log line. The rest of it is cut off.
            @Tenant
            log_line: usize = KIB, 64 => 64 * KIB, "W23";
        }
        ["Key-value and topics, for those who are granted them"] {
            /// The longest key, and the longest name of a bucket.
            @Tenant
            keyvalue_key: usize = KIB, 16 => 16 * KIB, "W22";
            /// The largest value.
            @Tenant
            keyvalue_value: usize = MIB, KIB => 16 * MIB, "W11";
            /// Keys in one call, and on one page of a list.
            @Tenant
            keyvalue_batch: u32 = 1000, 1 => 10_000, "W22";
            /// Keys that a tenant may ask for or change in a second. Each 16 KiB of values count as one more. What comes faster waits.
            @Tenant
            keyvalue_rate: u32 = 2000, 1 => 1_000_000, "W22";
            /// Topics that one session may subscribe to.
            @Tenant
            topics: u32 = 64, 1 => 10_000, "W19";
            /// The longest message.
            @Tenant
            topic_message: usize = 64 * KIB, 1 => MIB, "W11";
            /// Messages that wait for one session. When there are more the oldest are dropped and counted ...
            @Tenant
            topic_waiting: u32 = 256, 1 => 100_000, "W22";
            /// ... and likewise by their bytes.
            @Tenant
            topic_waiting_bytes: usize = 256 * KIB, KIB => 64 * MIB, "W22";
            /// Bytes that a tenant may publish in a second, 64 more for each message and each of its subscribers.
            @Tenant
            topic_rate: usize = 8 * MIB, KIB => GIB, "W22";
        }
        ["Outgoing network of plugins, where it is granted"] {
            /// Requests of one session at the same time. One counts until its answer has been read or dropped.
            @Tenant
            http_requests: u32 = 8, 0 => 1000, "W19";
            /// Time to reach the server of a request: look-up, connection and TLS together.
            @Tenant
            http_connect: Duration = s(10), ms(10) => s(600), "W20";
            /// How long a server may send nothing while a plugin waits for it.
            @Tenant
            http_wait: Duration = s(60), ms(10) => s(3600), "W20";
            /// Bytes of the headers of a request or of an answer.
            @Tenant
            http_headers: usize = 16 * KIB, KIB => MIB, "W19";
            /// Bytes of the body of a request or of an answer.
            @Tenant
            http_body: usize = 256 * MIB, KIB => 64 * GIB, "W16";
            /// TCP sockets of one session at the same time.
            @Tenant
            tcp_sockets: u32 = 16, 0 => 1000, "W19, W31";
        }
        ["Loading and replacing plugins"] {
            /// Plugins in one folder. More of them are refused.
            plugins_per_folder: u32 = 256, 1 => 10_000, "W34";
            /// Compiled code of all plugins of one folder, with that of older versions that sessions still run or that are kept to fall back to.
            plugins_code: usize = 2 * GIB, MIB => 64 * GIB, "W34";
            /// The largest plugin file in a tenant's own folder. One with Python inside has 18 MiB.
            @Tenant
            component_tenant: usize = 16 * MIB, KIB => GIB, "W34";
            /// How long a session waits for its plugin after a start, while it is compiled. Then its client is told to try again.
            prepare_wait: Duration = s(10), s(0) => s(3600), "O18, W34";
            /// CPU time to compile one plugin. The wall-clock limit is twenty times as much.
            compile_time: Duration = s(60), s(1) => s(3600), "W34";
            /// Memory to compile one plugin: at most what the machine or its control group has, whichever is less.
            compile_memory: usize = GIB, 128 * MIB => 64 * GIB, "W34";
            /// The largest plugin when it is compiled.
            compile_code: usize = 256 * MIB, MIB => 4 * GIB, "W34";
            /// Plugins compiled at the same time: so many of the operator's, and so many of all tenants' together; as
            /// many again of those that take longer than a second, so that they hold up no others.
            compile_jobs: u32 = 1, 1 => 64, "W34, W39";
            /// Compiled code kept in the state folder for the next start: so much of the operator's plugins, and as much of tenants' own.
            cache_bytes: usize = GIB, 0 => 256 * GIB, "W37";
            /// A file must not have changed for this long before it is loaded, unless it never stops changing.
            reload_settle: Duration = ms(200), ms(10) => s(10), "W38";
            /// The least time between two loads of one plugin.
            reload_interval: Duration = s(1), ms(100) => s(3600), "W39";
            /// Sessions of a replaced plugin are ended after this time. 0 leaves them alone.
            reload_drain: Duration = s(0), s(0) => s(86_400 * 30), "W41";
            /// Versions of one plugin with sessions at the same time. The oldest are ended when there are more.
            generations: u32 = 3, 1 => 100, "W41";
            /// A version that so many sessions in a row could not be started with is given up for a while ...
            crashes: u32 = 5, 1 => 1000, "W25, W42";
            /// ... when they come within this time.
            crash_window: Duration = s(60), s(1) => s(3600), "W25";
            /// Time until it is tried again. It doubles each time ...
            crash_pause: Duration = s(10), s(1) => s(3600), "W25, W26";
            /// ... up to this.
            crash_pause_longest: Duration = s(600), s(1) => s(86_400), "W25, W26";
        }
        ["Tenants: all sessions of one together"] {
            /// Sessions at once. One more is told so and ended.
            @Tenant
            tenant_sessions: u32 = 512, 1 => 100_000, "W52";
            /// Memory of all instances, and of buffers for their files and requests.
            @Tenant
            tenant_memory: usize = 4 * GIB, 64 * KIB => 1024 * GIB, "W5, W46";
            /// Bytes that its plugins have written and the clients have not taken. At this many the plugins wait.
            @Tenant
            tenant_output: usize = 64 * MIB, 32 * KIB => 16 * GIB, "W15, W16";
            /// Bytes of its clients' packets above `packet_before_login` each. At this many a further one waits before
            /// it is read.
            @Tenant
            tenant_input: usize = 64 * MIB, 256 * KIB => 16 * GIB, "P17, C32";
            /// What one user's sessions may have of that, in percent.
            @Tenant
            user_output_share: u32 = 25, 1 => 100, "W15, C14";
            /// How long a client may take none of the output of a plugin that has ended before it may be discarded.
            /// That happens only when nine tenths of the output or of the memory of its tenant or of the server are in
            /// use, to the oldest such session; its client is told so.
            @Tenant
            output_stall: Duration = s(600), s(1) => s(86_400), "C14, C30";
            /// Bytes that its plugins may write in a second. Beyond that they wait.
            @Tenant
            tenant_output_rate: usize = GIB, 64 * KIB => 1024 * GIB, "W16";
            /// Log lines in a second. The others are counted and dropped.
            @Tenant
            tenant_log_rate: u32 = 1000, 1 => 1_000_000, "W23";
            /// Failures of its plugins in a second that are logged with everything that is known. Of the others only what their clients
            /// were told is logged.
            @Tenant
            tenant_failure_rate: u32 = 10, 1 => 100_000, "W26";
        }
        ["Ending"] {
            /// After the first signal to stop: how long the connections with a session may go on.
            drain: Duration = s(30), s(0) => s(86_400), "O1";
        }
    }
}

impl Limits {
    /// What can be right alone and wrong together: the setting at fault, and why.
    pub(in crate::config) fn contradictions(&self) -> Vec<(&'static str, String)> {
        let counts = [("sessions", self.sessions, "channels", self.channels)];
        // Growing windows never keep a new session out when the least window is set aside for each.
        let least_window = usize::try_from(MIN_WINDOW).unwrap_or(usize::MAX).max(self.channel_packet);
        let first_windows = usize::try_from(self.sessions).unwrap_or(usize::MAX).saturating_mul(least_window);
        let sizes = [
            ("packet_before_login", self.packet_before_login, "packet", self.packet),
            ("channel_packet", self.channel_packet + KIB, "packet", self.packet),
            ("channel_packet", self.channel_packet, "window_start", self.window_start),
            ("channel_packet", self.channel_packet, "output", self.output),
            ("window_start", self.window_start, "window", self.window),
            ("window", self.window, "window_total", self.window_total),
            ("sessions", first_windows, "window_total", self.window_total),
            ("packet", self.packet, "send_buffer", self.send_buffer),
            ("packet", self.packet, "tenant_input", self.tenant_input),
            ("memory", self.memory, "memory_slot", self.memory_slot),
            ("memory", self.memory, "tenant_memory", self.tenant_memory),
        ];
        let counts = counts.into_iter().map(|(low, a, high, b)| (low, a.print(), high, b.print(), a > b));
        let sizes = sizes.into_iter().map(|(low, a, high, b)| (low, a.print(), high, b.print(), a > b));
        counts
            .chain(sizes)
            .filter(|(.., wrong)| *wrong)
            .map(|(low, a, high, b, _)| (low, format!("needs {a}, which is more than `{high}` allows ({b})")))
            .collect()
    }

    /// Values that are accepted but have no effect: the setting, and why.
    pub(in crate::config) fn oddities(&self) -> Vec<(&'static str, String)> {
        let total = if self.memory_total == 0 { usize::MAX } else { self.memory_total };
        let sizes = [
            ("memory", self.memory, "memory_total", total),
            ("topic_message", self.topic_message, "topic_waiting_bytes", self.topic_waiting_bytes),
        ];
        let sizes = sizes.into_iter().map(|(low, a, high, b)| (low, a.print(), high, b.print(), a > b));
        let times = [("crash_pause", self.crash_pause, "crash_pause_longest", self.crash_pause_longest)];
        let times = times.into_iter().map(|(low, a, high, b)| (low, a.print(), high, b.print(), a > b));
        sizes
            .chain(times)
            .filter(|(.., odd)| *odd)
            .map(|(low, a, high, b, _)| (low, format!("{a} is never reached: `{high}` is {b}")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_do_not_contradict_each_other() {
        assert_eq!(Limits::default().contradictions(), []);
    }

    #[test]
    fn the_least_windows_of_all_sessions_must_fit() {
        let limits = Limits { window_total: 4 * MIB, sessions: 128, ..Limits::default() };
        assert_eq!(limits.contradictions(), []);
        let limits = Limits { window_total: 4 * MIB - 1, ..limits };
        let found = limits.contradictions();
        assert_eq!(
            found,
            [("sessions", "needs \"4 MiB\", which is more than `window_total` allows (\"4194303 B\")".to_owned())]
        );
    }

    #[test]
    fn a_window_smaller_than_where_it_starts_is_a_contradiction() {
        let limits = Limits { window: 64 * KIB, ..Limits::default() };
        let found = limits.contradictions();
        assert_eq!(
            found,
            [("window_start", "needs \"256 KiB\", which is more than `window` allows (\"64 KiB\")".to_owned())]
        );
    }
}

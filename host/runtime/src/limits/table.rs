//! The limits of sessions, plugins and tenants. To add a limit, add an entry; [`declare`](super::declare) explains its
//! form.

use crate::limits::{Bytes, GIB, KIB, MIB, Time, count, ms, s};

/// What a session writes at once, in bytes.
const PIECE: Bytes = 32 * KIB;

declare_limits! {
/// The limits of sessions, of the plugins that they run, and of tenants: the server's, or those of one tenant, whose
/// limits of scope `Tenant` and `Session` may differ from the server's.
pub struct Limits {
    fixed {
        /// How long a call may go on after the session's end, and how long instantiation and `closed` may take, by the
        /// clock. Waiting for a processor does not count.
        Session grace: Time = s(1);
        /// A crash counts against a version of a plugin within this time from the session's beginning.
        Session crash_early: Time = s(10);
    }
    ["Channels"] {
        /// Admitted environment variables of one session. Those whose names are not admitted cost nothing ...
        Session environment: Count = 128, 0 => 1024, "C31";
        /// ... and the bytes of their names and values together.
        Session environment_bytes: Bytes = 64 * KIB, 0 => 256 * KIB, "C31";
        /// The longest command line. One that fits `packet` reaches the plugin.
        Session command: Bytes = 255 * KIB, 1 => 255 * KIB, "C32";
        /// How long one call of a connection plugin may take, the time in which it waits for its client included. After
        /// that its instance is ended: what waits for it and what comes later on its connection is refused.
        Session connection_call: Time = s(30), ms(100) => s(3600), "C18, W20";
        /// How long a client may take to answer when a connection plugin opens a channel or makes a request.
        Session client_answer: Time = s(10), ms(10) => s(3600), "C3, C9";
    }
    ["Plugins"] {
        /// Instances running at the same time, over all connections. Each reserves two memory mappings when the server
        /// starts, and four more for each memory of its plugin while it runs: 10,000 instances with one memory each fit
        /// the default of vm.max_map_count. Where the kernel allows fewer mappings, there are fewer instances, and the
        /// start says how many. Sessions and processes beyond the limit are refused. The last tenth is kept for the
        /// first processes of sessions of tenants that have fewer than 16 instances.
        Server instances: Count = 10_000, 1 => 100_000, "W52, X1";
        /// Connections of one user that have logged in. One more is told so and ended.
        Tenant connections_per_user: Count = 100, 1 => 1_000_000, "F6, W52";
        /// Sessions of one user at the same time, over all connections. The demonstration has no such limit.
        Tenant sessions_per_user: Count = 100, 1 => 100_000, "W52";
        /// Memory of all instances together, and of buffers for their files and requests. "0 B": the memory of the
        /// machine or the control group, less 64 MiB for the server, an eighth for connections, a sixteenth for output,
        /// and the memory for compiling (at most an eighth).
        Server memory_total: Bytes = 0, 0 => 1024 * GIB, "W5, W46";
        /// Output of all sessions together that clients have not taken. "0 B": a sixteenth of the memory that the
        /// machine or the control group gives.
        Server output_total: Bytes = 0, 0 => 1024 * GIB, "W15";
        /// Memory of one instance: of all its memories together.
        Session memory: Bytes = 64 * MIB, 64 * KIB => 2 * GIB, "W5";
        /// Address space that is reserved for each memory, and the most that `memory` may be, here and for a
        /// tenant.
        Server memory_slot: Bytes = 256 * MIB, 64 * KIB => 2 * GIB, "W6";
        /// The same of one program (`wasi:cli/run`). No more than `memory_slot`, whatever is written here.
        Session memory_program: Bytes = 256 * MIB, 64 * KIB => 2 * GIB, "W5";
        /// Processor time of one call into a plugin, after which it is killed.
        Session cpu_call: Time = s(1), ms(1) => s(3600), "W1, W2";
        /// Processor time to start an instance.
        Session cpu_start: Time = ms(100), ms(1) => s(60), "W4";
        /// Processor time of the last call, when a session has closed.
        Session cpu_closed: Time = s(1), ms(1) => s(60), "W3";
        /// Processor time of a program (`wasi:cli/run`), after which it is killed. `cpu_call` does not apply to it.
        Session cpu_program: Time = s(600), ms(10) => s(86_400 * 30), "W1, W2";
        /// Processor time of a session, that of its handlers included, after which its program is killed: at its first
        /// tick if nothing is left when it starts. Handlers are not killed by it.
        Session cpu_session: Time = s(3600), ms(10) => s(86_400 * 30), "W1, W2";
        /// Processor time that a session may use without a pause. When it has used this up, it waits until it has more
        /// (a program: see `cpu_hard`); it is not killed ...
        Session cpu_burst: Time = s(1), ms(10) => s(3600), "W1, W45";
        /// ... and it gets this much more in each second, up to `cpu_burst`. "1 s": a whole processor.
        Session cpu_share: Time = ms(250), ms(1) => s(1), "W1, W45";
        /// Whether a program that has used up its burst waits as other plugins do. false: it waits only while plugins
        /// of other tenants wait for a processor, so that what nobody else wants is not wasted.
        Session cpu_hard: Toggle = false, false => true, "W1, W45";
        /// How long a session may last. "0 s": for ever.
        Session session_time: Time = s(0), s(0) => s(31_536_000), "W20";
        /// How long a session may go on without input from the client and without output. "0 s": for ever.
        Session idle_time: Time = s(0), s(0) => s(31_536_000), "W20";
        /// The stack of a plugin. It takes memory only where it is used, which no other limit counts, until the
        /// instance ends. The shell's error for deep recursion needs the default or more ...
        Server stack: Bytes = 1280 * KIB, 64 * KIB => 8 * MIB, "W9";
        /// ... and the additional stack for the host functions that the plugin calls. Where the kernel gives huge pages
        /// to everything (`transparent_hugepage`), both together should be less than 2 MiB: a larger stack begins with
        /// such a page.
        Server host_stack: Bytes = 640 * KIB, 512 * KIB => 8 * MIB, "W9";
        /// Core modules that one plugin may be made of.
        Server core_instances: Count = 64, 4 => 1000, "W7";
        /// Tables of one instance, in one core module or in several ...
        Server tables: Count = 8, 2 => 100, "W7";
        /// ... and the elements of each.
        Server table_elements: Count = 20_000, 100 => 1_000_000, "W8";
        /// Memories of one instance, in one core module or in several: plugins written in JavaScript may have
        /// three. Those that a plugin has are counted, not those that it could have (see `instances`).
        Server memories: Count = 3, 1 => 8, "W7";
        /// Bytes of each memory and each table that stay allocated, cleared, when an instance ends. The next instance
        /// starts a little faster, but the server keeps this memory.
        Server keep_resident: Bytes = 0, 0 => MIB, "W46";
        /// Output that a plugin may write before a start request (shell, exec or subsystem) is accepted. It is held
        /// back until then.
        Session held_output: Bytes = 64 * KIB, 0 => MIB, "W15";
        /// Randomness that a plugin may ask for in one call.
        Session random: Bytes = 64 * KIB, 64 => MIB, "W33";
        /// Data that a plugin may pass in one call to the host.
        Session call_data: Bytes = 4 * MIB, 2 * MIB => 128 * MIB, "W11, W12";
        /// Handles that an instance may hold: streams and the like.
        Session resources: Count = 1024, 16 => 1_000_000, "W19";
        /// Files and directories that one process has open. Of a program the numbers of its descriptors are limited to
        /// as many, counted apart.
        Session open_files: Count = 64, 1 => 100_000, "W28";
        /// The same of all processes of one session. What several have open together counts once, ends of pipes among
        /// it.
        Session session_open_files: Count = 1024, 1 => 1_000_000, "X2, X8";
        /// Open files and directories of all sessions of one tenant, including TCP sockets, connections of HTTP
        /// requests and ends of pipes.
        Tenant tenant_open_files: Count = 4096, 1 => 1_000_000, "W28, X2, X8";
        /// Bytes that one session may have in its `/tmp` ...
        Session tmp_bytes: Bytes = 64 * MIB, 0 => 1024 * GIB, "W28";
        /// ... and files and directories.
        Session tmp_files: Count = 1000, 0 => 10_000_000, "W28";
        /// Bytes that the sessions of one tenant may have in their `/tmp` together. What ended sessions had there
        /// counts until it is removed.
        Tenant tenant_tmp_bytes: Bytes = GIB, 0 => 1024 * GIB, "W28";
        /// The same in files and directories.
        Tenant tenant_tmp_files: Count = 100_000, 0 => 100_000_000, "W28";
        /// Processes of one session at the same time, the first among them, and those whose end nobody has asked for.
        Session processes: Count = 64, 1 => 4096, "X1, X3";
        /// How many generations of processes a session may have that start each other.
        Session process_depth: Count = 32, 1 => 1000, "X1";
        /// Timers of one instance.
        Session timers: Count = 64, 0 => 10_000, "W21";
        /// The shortest timer. A shorter one is refused.
        Session timer: Time = ms(10), ms(1) => s(1), "W21, W32";
        /// How often a session may pass from one plugin to another: by a route, or because a plugin hands it over.
        Session hand_overs: Count = 16, 0 => 1000, "W22, W26";
        /// The largest plugin file.
        Server component: Bytes = 64 * MIB, KIB => GIB, "W34";
        /// Log lines of one session in a second. The others are counted and dropped. File events are counted apart, by
        /// the same measure.
        Session log_rate: Count = 100, 1 => 100_000, "W23";
        /// Log lines that may come at once before that rate holds.
        Session log_burst: Count = 500, 1 => 100_000, "W23";
        /// The longest log line. The rest of it is cut off.
        Session log_line: Bytes = KIB, 64 => 64 * KIB, "W23";
    }
    ["Key-value and topics, for those who are granted them"] {
        /// The longest key, and the longest name of a bucket.
        Session keyvalue_key: Bytes = KIB, 16 => 16 * KIB, "W22";
        /// The largest value.
        Session keyvalue_value: Bytes = MIB, KIB => 16 * MIB, "W11";
        /// Keys in one call, and on one page of a list.
        Session keyvalue_batch: Count = 1000, 1 => 10_000, "W22";
        /// Keys that a tenant may ask for or change in a second. Each 16 KiB of values count as one more. What comes
        /// faster waits.
        Tenant keyvalue_rate: Count = 2000, 1 => 1_000_000, "W22";
        /// Topics that one session may subscribe to.
        Session topics: Count = 64, 1 => 10_000, "W19";
        /// The longest message.
        Session topic_message: Bytes = 64 * KIB, 1 => MIB, "W11";
        /// Messages that wait for one session. When there are more the oldest are dropped and counted ...
        Session topic_waiting: Count = 256, 1 => 100_000, "W22";
        /// ... and likewise by their bytes.
        Session topic_waiting_bytes: Bytes = 256 * KIB, KIB => 64 * MIB, "W22";
        /// Bytes that a tenant may publish in a second. Each message counts 64 bytes more, and 64 for each subscriber.
        Tenant topic_rate: Bytes = 8 * MIB, KIB => GIB, "W22";
    }
    ["Outgoing network of plugins, where it is granted"] {
        /// Requests of one session at the same time. One counts until its answer has been read or dropped.
        Session http_requests: Count = 8, 0 => 1000, "W19";
        /// Time to reach the server of a request: look-up, connection and TLS together.
        Session http_connect: Time = s(10), ms(10) => s(600), "W20";
        /// How long a server may send nothing while a plugin waits for it.
        Session http_wait: Time = s(60), ms(10) => s(3600), "W20";
        /// Bytes of the headers of a request or of an answer.
        Session http_headers: Bytes = 16 * KIB, KIB => MIB, "W19";
        /// Bytes of the body of a request or of an answer.
        Session http_body: Bytes = 256 * MIB, KIB => 64 * GIB, "W16";
        /// TCP sockets of one session at the same time.
        Session tcp_sockets: Count = 16, 0 => 1000, "W19, W31";
    }
    ["Loading and replacing plugins"] {
        /// Plugins in one folder. More of them are refused.
        Server plugins_per_folder: Count = 256, 1 => 10_000, "W34";
        /// Programs of one tenant that are loaded at the same time. The one that was used least recently makes room for
        /// another, unless it runs.
        Tenant programs: Count = 64, 1 => 1000, "W34";
        /// Names in one folder of programs that are listed. Further ones can be run.
        Server programs_per_folder: Count = 16_384, 1 => 100_000, "W34";
        /// Compiled code of all plugins of one folder, with that of older versions that sessions still run or that are
        /// kept to fall back to.
        Server plugins_code: Bytes = 2 * GIB, MIB => 64 * GIB, "W34";
        /// The largest plugin file in a tenant's own folder. One with Python inside has 18 MiB.
        Tenant component_tenant: Bytes = 16 * MIB, KIB => GIB, "W34";
        /// How long a session waits for its plugin, and a process for a program that it starts, while that is compiled
        /// for the first time. Then it is told to try again.
        Server prepare_wait: Time = s(120), s(0) => s(3600), "O18, W34";
        /// CPU time to compile one plugin. The wall-clock limit is twenty times as much.
        Server compile_time: Time = s(60), s(1) => s(3600), "W34";
        /// Memory to compile one plugin: a small program in Go takes 1.1 GiB. Lowered to what the machine or its
        /// control group has, if that is less. Four compilers may run at once, of which `memory_total` leaves out an
        /// eighth of the memory at most: with less than 64 GiB, lower this if tenants are strangers. A line in the log
        /// says so at the start if tenants have plugin folders and their compilers do not fit.
        Server compile_memory: Bytes = 2 * GIB, 128 * MIB => 64 * GIB, "W34";
        /// The largest plugin when it is compiled.
        Server compile_code: Bytes = 256 * MIB, MIB => 4 * GIB, "W34";
        /// Plugins compiled at the same time: this many of the operator's, and this many of all tenants' together.
        /// Those that take longer than a second move to separate slots, of the same number, so that they delay no
        /// others.
        Server compile_jobs: Count = 1, 1 => 64, "W34, W39";
        /// Compiled code kept in the state folder for the next start: this much of the operator's plugins, and as much
        /// again of the tenants' own.
        Server cache_bytes: Bytes = GIB, 0 => 256 * GIB, "W37";
        /// A file must not have changed for this long before it is loaded, unless it never stops changing.
        Server reload_settle: Time = ms(200), ms(10) => s(10), "W38";
        /// The least time between two loads of one plugin.
        Server reload_interval: Time = s(1), ms(100) => s(3600), "W39";
        /// Sessions of a replaced plugin are ended after this time. 0 leaves them alone.
        Server reload_drain: Time = s(0), s(0) => s(86_400 * 30), "W41";
        /// Versions of one plugin with sessions at the same time. The oldest are ended when there are more.
        Server generations: Count = 3, 1 => 100, "W41";
        /// After this many sessions in a row that crash as they start, a version is given up for a while ...
        Server crashes: Count = 5, 1 => 1000, "W25, W42";
        /// ... if all of them crash within this time.
        Server crash_window: Time = s(60), s(1) => s(3600), "W25";
        /// Time until it is tried again. It doubles each time ...
        Server crash_pause: Time = s(10), s(1) => s(3600), "W25, W26";
        /// ... up to this.
        Server crash_pause_longest: Time = s(600), s(1) => s(86_400), "W25, W26";
    }
    ["Tenants: all sessions of one together"] {
        /// Sessions at once. One more is told so and ended.
        Tenant tenant_sessions: Count = 512, 1 => 100_000, "W52";
        /// Processes of all its sessions together that other processes have started.
        Tenant tenant_processes: Count = 512, 1 => 100_000, "X1";
        /// Memory of all instances, and of buffers for their files and requests.
        Tenant tenant_memory: Bytes = 4 * GIB, 64 * KIB => 1024 * GIB, "W5, W46";
        /// Bytes that its plugins have written and the clients have not taken. At this many the plugins wait.
        Tenant tenant_output: Bytes = 64 * MIB, 32 * KIB => 16 * GIB, "W15, W16";
        /// Memory for large packets of its clients: the part of each above `packet_before_login`. When it is used up, a
        /// further large packet is not read until there is room.
        Tenant tenant_input: Bytes = 64 * MIB, 256 * KIB => 16 * GIB, "P17, C32";
        /// The share of `tenant_output` that one user's sessions may use, in percent.
        Tenant user_output_share: Count = 25, 1 => 100, "W15, C14";
        /// After a session has ended, its remaining output may be discarded if the client has read none of it for this
        /// long. This happens only while nine tenths of the output or the memory of the tenant or the server are in
        /// use, and to the oldest such session first. Its client is told so.
        Tenant output_stall: Time = s(600), s(1) => s(86_400), "C14, C30";
        /// Bytes that its plugins may write in a second. Beyond that they wait.
        Tenant tenant_output_rate: Bytes = GIB, 64 * KIB => 1024 * GIB, "W16";
        /// Log lines in a second. The others are counted and dropped.
        Tenant tenant_log_rate: Count = 1000, 1 => 1_000_000, "W23";
        /// Failures of its plugins in a second that are logged in full. Further ones are logged only with the message
        /// that their clients got.
        Tenant tenant_failure_rate: Count = 10, 1 => 100_000, "W26";
    }
}
}

impl Limits {
    /// Output of all sessions of one user that may wait for clients, in bytes: at least what one session writes at
    /// once.
    pub(crate) fn user_output(&self) -> Bytes {
        let percent = count(self.user_output_share);
        (self.tenant_output / 100 * percent).max(self.tenant_output.min(PIECE))
    }

    /// How long a session may last; `None`: for ever.
    pub(crate) fn session_timeout(&self) -> Option<Time> {
        some_time(self.session_time)
    }

    /// How long a session may last without input and output; `None`: for ever.
    pub(crate) fn idle_timeout(&self) -> Option<Time> {
        some_time(self.idle_time)
    }
}

/// A limit of zero means no limit.
fn some_time(time: Time) -> Option<Time> {
    (!time.is_zero()).then_some(time)
}

/// Processor time in ticks of 1 ms.
pub(crate) fn ticks(time: Time) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Value;

    #[test]
    fn a_user_has_a_share_of_the_tenants_output_and_never_less_than_one_piece() {
        let limits = Limits::default();
        // A quarter of the tenant's 64 MiB.
        assert!((16 << 20) - limits.user_output() < 100);
        assert_eq!(Limits { tenant_output: 32 << 10, ..limits }.user_output(), 32 << 10);
    }

    #[test]
    fn every_default_is_within_its_bounds_and_every_name_is_declared_once() {
        let mut names: Vec<&str> = Vec::new();
        let limits = Limits::default();
        for limit in Limits::GROUPS.iter().flat_map(|group| group.limits) {
            names.push(limit.name);
            let fits = match &limit.value {
                Value::Count(field) => (field.least..=field.most).contains(&(field.get)(&limits)),
                Value::Bytes(field) => (field.least..=field.most).contains(&(field.get)(&limits)),
                Value::Time(field) => (field.least..=field.most).contains(&(field.get)(&limits)),
                Value::Toggle(field) => (field.least..=field.most).contains(&(field.get)(&limits)),
            };
            assert!(fits, "{}", limit.name);
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

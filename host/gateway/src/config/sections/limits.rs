//! The limits of connections and of the server, and how all limits are read and printed.
//!
//! The plugin host declares those of sessions, plugins and tenants by the same macro: [`whelk_runtime::limits`]. To add
//! a limit, add an entry to one of the two tables. The readers of `[limits]` and `[tenants.NAME.limits]` and the
//! reference that `whelk config` prints are made from them.

use whelk_runtime::limits::{DeclaredLimit, Field, GIB, Group, KIB, MIB, Scope, Value, ms, s};
use whelk_ssh::mux::MIN_WINDOW;

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::Setting;

whelk_runtime::declare_limits! {
/// Every limit, with the default of a server that faces the internet. Sizes are in bytes.
///
/// "Source" names the row of the threat list that a limit answers, or the section of an RFC.
pub struct Limits {
    /// Those of sessions, plugins and tenants.
    holds plugins: whelk_runtime::Limits;
    ["Strangers: connections that have not logged in"] {
        /// The most such connections of all sources together, as MaxStartups of sshd_config. Lowered at start to what
        /// fits in an eighth of the memory, at 48 KiB each, and in half of the open files. At the limit a new
        /// connection replaces another that is at least two seconds old: of those that have progressed least, one of
        /// the source that has the most.
        Server unauthenticated_full: Count = 9000, 1 => 1_000_000, "F1";
        /// While no connection is old enough to be replaced, new ones are refused at random once there are two thirds
        /// of `unauthenticated_full`: at first with this probability in percent, which rises evenly to 100 at the
        /// limit.
        Server unauthenticated_drop: Count = 30, 0 => 100, "F1";
        /// Such connections of one source that are served at the same time, as PerSourceMaxStartups. A source is an
        /// IPv4 address, or an IPv6 network of 64 bits.
        Server unauthenticated_per_source: Count = 64, 1 => 1_000_000, "F1";
        /// Further connections of one source that are accepted but not greeted until others of the source log in or
        /// leave. They wait for `authentication_grace` at most. Any beyond these are sent a message and closed.
        Server unauthenticated_waiting: Count = 512, 0 => 1_000_000, "F1";
        /// All connections together, logged in or not. Lowered at start when the process may not open that many files.
        Server connections: Count = 10_000, 1 => 1_000_000, "O5";
        /// Time for the header of the PROXY protocol, with which a connection from one of the `proxies` begins.
        Server proxy_header_grace: Time = s(5), ms(100) => s(60), "F3";
    }
    ["Penalties: sources that are refused for a while, as PerSourcePenalties of sshd_config"] {
        /// What a connection adds to the penalty of its source when its first password is rejected (authfail). 0:
        /// nothing. Refused keys add nothing, because an agent offers all that it has. No password is checked for a
        /// source while it is refused: its connections end.
        Server penalty_failed_login: Time = s(5), s(0) => s(3600), "F2";
        /// If it ends without an attempt to log in (noauth).
        Server penalty_no_attempt: Time = s(1), s(0) => s(3600), "F2";
        /// If it does not log in in time (grace-exceeded).
        Server penalty_timed_out: Time = s(10), s(0) => s(3600), "F2";
        /// If the task that served it panicked before the login (crash).
        Server penalty_crash: Time = s(90), s(0) => s(3600), "F2";
        /// A source is refused once its penalty has reached this, until it has run out (min). A smaller one has no
        /// effect.
        Server penalty_least: Time = s(15), s(0) => s(3600), "F2";
        /// No penalty grows beyond this (max).
        Server penalty_most: Time = s(600), s(1) => s(86_400), "F2";
        /// The sources that are remembered, of IPv4 and of IPv6 (max-sources). Beyond that the penalty that would end
        /// first is forgotten. 0: there are no penalties.
        Server penalty_sources: Count = 65_536, 0 => 10_000_000, "F2";
    }
    ["Logging in"] {
        /// Time for the identification line, from the connection's first moment.
        Connection identification_grace: Time = s(10), ms(100) => s(600), "P7, P8";
        /// Time for the client's part of the first key exchange: from its identification line until the server's reply.
        Connection key_exchange_grace: Time = s(15), ms(100) => s(600), "P7";
        /// Time to log in after that reply, as LoginGraceTime of sshd_config. It includes the time in which people read
        /// the host key's fingerprint and type names.
        Connection authentication_grace: Time = s(120), ms(100) => s(3600), "P7, RFC 4252 §4";
        /// Time to hash one password, or to read one of the files that decide on a key (a user's keys, authorities,
        /// revoked keys). After that the connection is ended with a text that says that the login could not be decided.
        /// The wait for a hashing slot, or for other reads, does not count.
        Connection decision_grace: Time = s(5), ms(100) => s(600), "U36";
        /// Computations of key exchanges at the same time, before login, and as many again after it: those with a
        /// Diffie-Hellman group (`diffie-hellman-group*`, off by default) take up to 20 ms of processor time each,
        /// signatures of an RSA host key 1 to 2 ms. Further ones wait. Proofs of host keys count too: a client may ask
        /// for them after login.
        Server costly_exchanges: Count = 2, 1 => 64, "K29";
        /// Failed attempts on one connection.
        Connection failed_attempts: Count = 6, 1 => 1000, "U24, RFC 4252 §4";
        /// Authentication requests of every kind on one connection, including queries whether a key would be accepted.
        Connection authentication_requests: Count = 64, 1 => 1000, "U25";
        /// The least time before a failure is answered, apart from a little more that depends on the user name. If the
        /// check took longer, the time is doubled until it is enough, which hides how long the check took.
        Connection failure_delay: Time = ms(5), ms(0) => s(10), "U30";
        /// Passwords that are hashed at the same time. Further attempts wait, and their sources (IPv4 addresses, IPv6
        /// networks of 64 bits) are served round robin. 0: one fewer than there are processors, at least 1.
        Server hashing: Count = 0, 0 => 256, "U30, F5";
        /// Instances of authenticators at the same time, beside the `instances` of sessions: each client that is
        /// logging in through one has an instance until the login ends, and holds its memory. When there are as many,
        /// the source that has most loses one, or of equals the network (24 bits of IPv4, 48 of IPv6) that has most,
        /// whose client is asked again. A question stays open for at least 30 s while others can be given up.
        Server authenticator_instances: Count = 128, 1 => 4096, "U36, F1";
        /// Time by the clock for one call into an authenticator, which includes its own waits, such as for a server
        /// that it asks, and not those for a processor. A call that takes longer is a refusal, which the log says. The
        /// time in which a person answers a question is none of a call: see `authentication_grace`. `cpu_call` limits
        /// the processor time of a call.
        Server authenticator_call: Time = s(5), ms(100) => s(60), "U36";
        /// Memory for all password hashing at a time. A hash that needs more is computed while no other runs. "0 B": a
        /// quarter of what the machine or the control group has.
        Server hashing_memory: Bytes = 0, 0 => 1024 * GIB, "F5";
    }
    ["Transport"] {
        /// The longest packet accepted before login.
        Connection packet_before_login: Bytes = 35_000, 35_000 => 256 * KIB, "P17, RFC 4253 §6.1";
        /// The longest packet accepted after login.
        Connection packet: Bytes = 256 * KIB, 35_000 => 256 * KIB, "P17";
        /// How long a packet above `packet_before_login` may take to come whole when others of its tenant wait for
        /// the memory.
        Connection large_packet_grace: Time = s(60), s(1) => s(3600), "P17";
        /// Bytes of one connection that wait for the network.
        Connection send_buffer: Bytes = MIB, 64 * KIB => 64 * MIB, "F7";
        /// New keys after this many bytes in either direction, as RekeyLimit of sshd_config ...
        Connection rekey_bytes: Bytes = GIB, KIB => 64 * GIB, "RFC 4253 §9";
        /// ... or after this time, if data has moved since the last ones.
        Connection rekey_time: Time = s(3600), s(1) => s(86_400), "RFC 4253 §9";
        /// Time to finish a later key exchange. It starts with the first byte that the client sends after our KEXINIT
        /// has been sent, and pauses while the client sends nothing. Each 4 KiB of our data that the client has not
        /// confirmed adds a second.
        Connection rekey_grace: Time = s(60), s(1) => s(3600), "K15";
        /// Idle time before the kernel sends TCP keepalive probes (TCPKeepAlive). "0 s": off.
        Connection tcp_keepalive: Time = s(600), s(0) => s(32_767), "O6";
        /// Time between two such probes.
        Connection tcp_keepalive_interval: Time = s(75), s(1) => s(32_767), "O6";
        /// Unanswered probes after which the kernel closes the connection.
        Connection tcp_keepalive_probes: Count = 9, 1 => 127, "O6";
        /// Connections that are compressed at the same time. Each needs about 400 KiB. When there are as many, new
        /// connections are offered no compression. Compression is off by default: see [algorithms].
        Server compressed_connections: Count = 256, 1 => 1_000_000, "P20";
        /// A client that has sent nothing for this long is asked for an answer, as ClientAliveInterval of
        /// sshd_config. "0 s": never. Stopped clients and sleeping laptops do not answer ...
        Connection keepalive: Time = s(0), s(0) => s(3600), "O6";
        /// ... and given up after this many questions without one, as ClientAliveCountMax.
        Connection keepalive_count: Count = 3, 1 => 100, "O6";
    }
    ["Channels"] {
        /// Sessions on one connection at the same time.
        Connection sessions: Count = 64, 1 => 1000, "C16";
        /// Channels of every kind on one connection at the same time, including channels closed by one side only.
        Connection channels: Count = 128, 1 => 10_000, "C16";
        /// Maximum packet size announced to clients. Longer ones are accepted.
        Connection channel_packet: Bytes = 32 * KIB, KIB => 128 * KIB, "C8, RFC 4254 §5.1";
        /// The window that a new channel has: bytes that a client may send before the plugin takes them. When a
        /// connection has many sessions the later ones start with less, but never with less than 32 KiB or
        /// `channel_packet` ...
        Connection window_start: Bytes = 256 * KIB, 32 * KIB => 64 * MIB, "C8, RFC 4254 §5.2";
        /// ... and the size to which it grows while the plugin reads.
        Connection window: Bytes = 2 * MIB, 32 * KIB => 64 * MIB, "C8, RFC 4254 §5.2";
        /// The windows of all channels of one connection together. A client may exceed each by a tenth.
        Connection window_total: Bytes = 8 * MIB, 32 * KIB => GIB, "C8";
        /// Bytes that a plugin has written and the client has not taken. At this many the plugin waits.
        Session output: Bytes = 256 * KIB, 32 * KIB => 64 * MIB, "W15, C14";
        /// Answers of one connection that wait to be sent. At this many nothing more is read.
        Connection pending_replies: Count = 64, 1 => 1000, "C22, K15";
        /// Requests on one channel that the plugin has not answered. Further ones are refused.
        Connection pending_requests: Count = 256, 1 => 10_000, "C21, C24";
    }
    ["Ending"] {
        /// After the first signal to stop: how long the connections with a session may go on.
        Server drain: Time = s(30), s(0) => s(86_400), "O1";
    }
}
}

/// The limits of sessions, plugins and tenants.
type PluginLimits = whelk_runtime::Limits;

/// What the reference says of one limit.
pub(in crate::config) struct LimitRow {
    /// The heading that it stands under.
    pub(in crate::config) title: &'static str,
    pub(in crate::config) name: &'static str,
    /// One line each, beginning with the space that doc comments begin with.
    pub(in crate::config) docs: &'static [&'static str],
    /// As it is written in the file.
    pub(in crate::config) default: String,
    pub(in crate::config) scope: Scope,
}

/// Whose values are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    /// `[limits]`.
    Server,
    /// `[tenants.NAME.limits]`.
    Tenant,
}

impl Limits {
    /// Reads the table `[limits]`: what the file does not name keeps its default.
    pub(in crate::config) fn read(section: &mut Section<'_>, findings: &mut Findings) -> Limits {
        Limits::default().with(Table::Server, section, findings)
    }

    /// Reads a table `[tenants.NAME.limits]`: what it does not name is as it is here, the server's.
    pub(in crate::config) fn read_tenant(&self, section: &mut Section<'_>, findings: &mut Findings) -> Limits {
        self.clone().with(Table::Tenant, section, findings)
    }

    fn with(mut self, table: Table, section: &mut Section<'_>, findings: &mut Findings) -> Limits {
        read(Limits::GROUPS, &mut self, table, section, findings);
        read(PluginLimits::GROUPS, &mut self.plugins, table, section, findings);
        self
    }

    /// What differs from `other`: the name, the value here and the value there.
    pub fn differences(&self, other: &Limits) -> Vec<(&'static str, String, String)> {
        let mut found = differences(Limits::GROUPS, self, other);
        found.extend(differences(PluginLimits::GROUPS, &self.plugins, &other.plugins));
        found
    }

    /// Sets the limits with these names to their values in `other`. Returns those that had another value: the name, the
    /// value in `other` and the value here.
    pub(crate) fn keep(&mut self, other: &Limits, names: &[&str]) -> Vec<(&'static str, String, String)> {
        let mut kept = keep(Limits::GROUPS, self, other, names);
        kept.extend(keep(PluginLimits::GROUPS, &mut self.plugins, &other.plugins, names));
        kept
    }

    /// Every limit, in the order of the reference.
    pub(in crate::config) fn table() -> Vec<LimitRow> {
        let defaults = Limits::default();
        // What plugins may use comes before the last group, the end of the program.
        let (connections, end) = Limits::GROUPS.split_at(Limits::GROUPS.len() - 1);
        let mut table = rows(connections, &defaults);
        table.extend(rows(PluginLimits::GROUPS, &defaults.plugins));
        table.extend(rows(end, &defaults));
        table
    }
}

fn all<L>(groups: &'static [Group<L>]) -> impl Iterator<Item = &'static DeclaredLimit<L>> {
    groups.iter().flat_map(|group| group.limits)
}

/// Reads what a section says of these limits.
fn read<L>(
    groups: &'static [Group<L>],
    limits: &mut L,
    table: Table,
    section: &mut Section<'_>,
    findings: &mut Findings,
) {
    for limit in all(groups) {
        let is_here = table == Table::Server || limit.scope.is_for_tenants();
        // A tenant is not asked for the server's own, so that they are never what was probably meant.
        let Some(item) = section.take_if(limit.name, is_here) else { continue };
        let read = if is_here {
            read_value(limit, limits, &item)
        } else {
            Err(format!("is the whole server's and no tenant's: it can only be set as `limits.{}`", item.name))
        };
        findings.keep(&item, read);
    }
}

fn read_value<L>(limit: &DeclaredLimit<L>, limits: &mut L, item: &Item<'_>) -> Result<(), String> {
    match &limit.value {
        Value::Count(field) => read_field(field, limits, item),
        Value::Bytes(field) => read_field(field, limits, item),
        Value::Time(field) => read_field(field, limits, item),
        Value::Toggle(field) => read_field(field, limits, item),
    }
}

fn read_field<L, T: Setting>(field: &Field<L, T>, limits: &mut L, item: &Item<'_>) -> Result<(), String> {
    (field.set)(limits, T::read_within(item.value, field.least, field.most)?);
    Ok(())
}

/// A value as it is written in the file.
fn print<L>(limit: &DeclaredLimit<L>, limits: &L) -> String {
    match &limit.value {
        Value::Count(field) => (field.get)(limits).print(),
        Value::Bytes(field) => (field.get)(limits).print(),
        Value::Time(field) => (field.get)(limits).print(),
        Value::Toggle(field) => (field.get)(limits).print(),
    }
}

fn keep<L>(
    groups: &'static [Group<L>],
    here: &mut L,
    other: &L,
    names: &[&str],
) -> Vec<(&'static str, String, String)> {
    let mut kept = Vec::new();
    for limit in all(groups).filter(|limit| names.contains(&limit.name)) {
        let (own, others) = (print(limit, here), print(limit, other));
        if own != others {
            match &limit.value {
                Value::Count(field) => (field.set)(here, (field.get)(other)),
                Value::Bytes(field) => (field.set)(here, (field.get)(other)),
                Value::Time(field) => (field.set)(here, (field.get)(other)),
                Value::Toggle(field) => (field.set)(here, (field.get)(other)),
            }
            kept.push((limit.name, others, own));
        }
    }
    kept
}

fn differences<L>(groups: &'static [Group<L>], here: &L, there: &L) -> Vec<(&'static str, String, String)> {
    let printed = all(groups).map(|limit| (limit.name, print(limit, here), print(limit, there)));
    printed.filter(|(_, here, there)| here != there).collect()
}

fn rows<L>(groups: &'static [Group<L>], defaults: &L) -> Vec<LimitRow> {
    let row = |title, limit: &'static DeclaredLimit<L>| {
        let DeclaredLimit { name, scope, docs, .. } = limit;
        LimitRow { title, name, docs, default: print(limit, defaults), scope: *scope }
    };
    groups.iter().flat_map(|group| group.limits.iter().map(move |limit| row(group.title, limit))).collect()
}

impl Limits {
    /// What can be right alone and wrong together: the setting at fault, and why.
    pub(crate) fn contradictions(&self) -> Vec<(&'static str, String)> {
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
            ("packet", self.packet, "tenant_input", self.plugins.tenant_input),
            ("memory", self.plugins.memory, "memory_slot", self.plugins.memory_slot),
            ("memory", self.plugins.memory, "tenant_memory", self.plugins.tenant_memory),
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
        let total = if self.plugins.memory_total == 0 { usize::MAX } else { self.plugins.memory_total };
        let sizes = [
            ("memory", self.plugins.memory, "memory_total", total),
            ("topic_message", self.plugins.topic_message, "topic_waiting_bytes", self.plugins.topic_waiting_bytes),
        ];
        let sizes = sizes.into_iter().map(|(low, a, high, b)| (low, a.print(), high, b.print(), a > b));
        let times =
            [("crash_pause", self.plugins.crash_pause, "crash_pause_longest", self.plugins.crash_pause_longest)];
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

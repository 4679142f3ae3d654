//! The reference that `whelk config` prints: a configuration with every setting, each at its default and commented out.
//!
//! A line that begins with `# ` is prose, one that begins with `#` alone is a setting: take the `#` away to change it.

pub(super) mod example;

use std::fmt::Write;

use whelk_ssh::message::Role;
use whelk_ssh::transport::SoftwareVersion;

use crate::config::sections::algorithms;
use crate::config::sections::grants;
use crate::config::sections::limits::{LimitRow, Limits};
use crate::config::sections::listen;

/// Everything but the two tables that are printed from what is declared elsewhere. `LISTEN` stands for the default
/// address, `SOFTWARE` for the name of ours, `DIRECTORY` and `KEYVALUE` for what these may hold.
const GENERAL: &str = r##"# The configuration of whelk: every setting, each with its default.
#
# `# ` begins a remark, `#` alone a setting that has its default: take the `#` away and change it.
# `whelk check FILE` checks a file and everything that it names. Relative paths are relative to the file; ~ and variables are not
# expanded. As with StrictModes of sshd_config, this file, the folder of the plugins and the plugins, and the folders that they lie in,
# must belong to root or to the user who runs whelk, and nobody else may write to them.

# Where to listen: addresses in numbers, each with a port, IPv6 in brackets. IPv4 and IPv6 are listened on apart: "0.0.0.0:2222" and "[::]:2222" are both.
#listen = ["LISTEN"]

# Proxies, as addresses and networks, whose connections begin with a header of the PROXY protocol (version 1 or 2), by which they
# say for whom they connect. From these a header is required, from all others it is an error. Limits, penalties, from=,
# source-address and the log then mean the address that the header names, or the proxy itself if it names none.
# proxies = ["192.0.2.10", "2001:db8::/64"]

# Addresses and networks that are never refused for a penalty (PerSourcePenaltyExemptList): see the limits that begin with
# penalty_. Many people behind one address share its penalty. The proxies themselves are never refused for one.
# penalty_exempt = ["192.0.2.0/24"]

# The folder of the plugins. The file NAME.wasm is the plugin NAME. The folder `bin` in it has programs: bin/NAME.wasm is what NAME
# means wherever no plugin has the name, and it is compiled when somebody needs it for the first time. A symbolic link there to
# another file of the same folder is one more name of that program, as for a multicall: ln -s coreutils.wasm ls.wasm.
#plugins = "plugins"

# The folder of what whelk keeps: its host keys, made at the first start. The default is $XDG_STATE_HOME/whelk, and where that
# is not set ~/.local/state/whelk.
#state = "/var/lib/whelk"

# Files of private host keys (HostKey), instead of those in the folder above: in OpenSSH's format, PEM or PKCS#8, without
# passphrase, readable only for whelk's user, or also for the group of a file of another user. Of several of one type the first is
# used. Clients are told all of them after login (UpdateHostKeys of ssh_config). To change a key without a warning to users, list
# the new key after the old one, and remove the old one when every user has logged in once.
# host_key_files = ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key"]

# Certificates of these keys (HostCertificate), made by `ssh-keygen -s AUTHORITY -h -I NAME -n HOSTNAMES KEY.pub`: a client that
# trusts the authority (@cert-authority in known_hosts) needs to know no key. There are none by default.
# host_certificates = ["/etc/ssh/ssh_host_ed25519_key-cert.pub"]

# A text shown before login. There is none by default.
#banner = "Authorised use only."

# What clients are told of the server's software in the first line of a connection, after SSH-2.0- (sshd adds its
# VersionAddendum there): at most 245 characters of US-ASCII, without spaces and minus signs. Unless it begins with
# OpenSSH, `ssh HOST PROGRAM | head -1` does not end a program that writes for ever: OpenSSH's client tells only such
# servers that nobody reads its output any more. Some clients of sftp also go by it for the order of the arguments of
# SYMLINK, which is the other way round in OpenSSH's server and in that of whelk: with another name their links get the
# path and the target exchanged.
#software_version = "SOFTWARE"

# Lists of methods of authentication (AuthenticationMethods of sshd_config). A user must succeed with every method of one list, in
# the order of the list. publickey twice means two different keys, and "any" means any one method for which a user has a credential.
# A user who lacks the credential for a method of a list cannot log in by that list. Until its first success a client gets the same
# answers for every user name. The ordinary password counts as password or as keyboard-interactive. Without effect for users with
# auth = "none".
#methods = ["any"]

# The variables that a client may set: exact names, and beginnings with a * at their end.
#environment_names = ["LANG", "LC_*", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "NO_COLOR"]

# Where the host edits lines that are typed into a terminal, erasing a wide character of UTF-8 clears both of its columns. false
# does what Linux does, which clears one column for each character. In all else a terminal behaves as under Linux.
#erase_by_width = true

# The authorities whose certificates let users in (TrustedUserCAKeys): a list of public keys, or the path of a file with one per
# line. A certificate (`ssh-keygen -s`) must have the user's name, or one of the user's `principals`, among its principals.
#trusted_user_ca_keys = []

# Keys, certificates and authorities that let nobody in (RevokedKeys): the path of a KRL (`ssh-keygen -k`), or of a text with one
# public key per line. Each login with a key checks whether it has changed. While it cannot be read, every key and every
# certificate is refused.
# revoked_keys = "revoked.krl"

# Ends live connections when their login is revoked: within two seconds (local disk) after a key was taken from an
# authorized_keys file or added to the revoked keys, without any signal, and after a reload that removes the user, the key, the
# password or the authority, changes the password, or gives the user another tenant. What ends by time alone (expiry-time=, the
# validity of a certificate) ends no connection. An expiry-time= added later counts as of the login. Changed `methods` apply to new
# logins only. false: connections are kept until they end by themselves.
#end_revoked = true

# A record of logins, commands, files and what operators did, apart from the log: one JSON object a line, which AUDIT.md describes.
# There is none without this table.
# [audit]
#   "file", "syslog" (RFC 5424, to /dev/log) or "journald":
# to = "file"
#   The file. Rotated to FILE.1 at `size` or `age` (0 turns either off); `keep` old files are kept. SIGUSR1 reopens it:
# file = "/var/log/whelk/audit.log"
# size = "100 MiB"
# keep = 10
# age = "0 s"
#   For syslog, another machine by UDP:
# server = "192.0.2.1:514"
#   While a record cannot be written nobody can log in, open a session or start a command. With false the server
#   continues; records that find no room are dropped, and counted in the log:
# required = false

# Metrics for Prometheus, which METRICS.md lists. `whelk metrics` prints them in any case.
# [metrics]
#   Where Prometheus reads them, by HTTP at /metrics. /healthz says whether the server works, /readyz whether it accepts connections.
#   They are not served by HTTP without this setting. No tenant's plugin can be granted the address:
# listen = "127.0.0.1:9222"
#   Allows an address that other machines reach. There is no password: whoever reaches it reads everything:
# remote = false
#   Whether they show what each tenant has, by its name, and the plugins of its own folder:
# tenants = true

# What a program gets from a request as its arguments: a table for each program, by its exact name. Without one these are the words
# of the command, split as a shell splits them, and none for a shell; for sh, bash and shell they are what stands here. {command} is
# the whole command, which SSH_ORIGINAL_COMMAND has in any case.
# [programs.sh]
# exec = ["-c", "{command}"]
# shell = ["-l"]

# Who may enter: a table for each user, by the exact name. At least one is needed.
# [users.alice]
#   The tenant, unless it is the one called default; and the plugin, unless it is the tenant's:
# tenant = "acme"
# plugin = "echo"
#   A hash, never the password itself: `whelk hash-password` makes one of argon2 ($argon2id$...). Those of yescrypt ($y$...),
#   bcrypt ($2b$...) and SHA-crypt ($6$..., $5$...) are accepted too. Clients may send the password by the method password or
#   by keyboard-interactive:
# password = "$argon2id$v=19$m=19456,t=2,p=1$..."
#   Public keys, here or in a file of OpenSSH's format (AuthorizedKeysFile), with the options of sshd(8) before them: command=,
#   restrict, no-pty, environment=, from=, expiry-time=, cert-authority, principals=, no-touch-required, verify-required.
#   The file is read at each login. A line that is not understood is skipped; a file that others may write to is not used.
#   Instead of one file there may be a list of files. {home} at the beginning of one is the home of the user, the `directory`
#   that the tenant is granted: whoever may write there, which is every session of the tenant if it is "read-write", decides
#   who logs in as this user. No link in it leads out of the home. Keys listed elsewhere are decided there, never here.
#   `environment=` is ignored. If any other key of the user has restricting options (command=, from=, environment= ...), or a
#   file listed elsewhere for the user cannot be used, this file is ignored.
# keys = ["ssh-ed25519 AAAA... alice@example.org"]
# authorized_keys = ["keys/alice", "{home}/.ssh/authorized_keys"]
#   The principals of which a certificate needs one, instead of the user's name (AuthorizedPrincipalsFile):
# principals = ["alice", "admins"]
#
#   Other methods than the tenant's:
# methods = ["publickey,password"]
#
#   The only way to enter without credentials:
# [users.guest]
# plugin = "echo"
# auth = "none"

# Plugins that decide about the logins of everybody else (authenticators): a table for each, asked in the order of the file. A user
# of the configuration is none of their business. About any other name the first is asked that has a pattern which the whole name
# fits; * stands for any text. Its failure is a refusal. There are none by default.
# [[authenticators]]
#   Its name, for the log and its store:
# name = "acme"
#   A plugin of the operator's folder above, never of a tenant's:
# plugin = "totp"
#   A pattern of user names, or a list; and the tenants that it may grant:
# users = "*@acme"
# tenants = ["acme"]
#   The methods that are required besides what it says, instead of the server's:
# methods = ["publickey,keyboard-interactive"]
#   The authorities whose certificates it is shown, instead of the server's: trusted_user_ca_keys, as at the top. They are
#   checked before, but for their principals.
#   What it reads by wasi:config, and the quota of its store of keys and values, which no tenant sees (KEYVALUE unless it says
#   otherwise):
# config = { tenant = "acme" }
# keyvalue = { bytes = "16 MiB", keys = 10000 }

# For whom sessions run: a table for each tenant, by the exact name. The tenant default is there in any case. What is not
# granted is denied: a plugin sees its own session and nothing else. `whelk tenants FILE` says what each user would get.
# [tenants.acme]
#   The plugin of those of its users who name none:
# plugin = "echo"
#   The plugin that handles whole connections of its users: channel types and global requests of its own. All of these are
#   refused without one. It is told only of names with an @ and a domain that mean nothing elsewhere, never of forwarding:
# connection_plugin = "tunnel"
#   A plugin folder of its own, which nobody else sees. It is looked in before the operator's. It may belong to any user, and
#   its group may write to it, but not everybody. Its `bin` has the tenant's own programs, which take precedence over the
#   operator's, as in a PATH:
# plugins = "tenants/acme/plugins"
#   Whether a command without a route runs the program that its first word names (`ssh alice@host 'ls -l'` runs ls), like a
#   login shell would. Otherwise such a command goes to the user's plugin. A forced command and the routes come first. With
#   true a name that is no program's is an error: "NAME: not found", exit status 127. scp, sftp and internal-sftp are refused
#   unless sftp and scp reach the tenant's files:
# exec_programs = false
#   Whether sftp and scp reach its files (sshd's `Subsystem sftp internal-sftp`): the subsystem sftp is then served by
#   the program sftp, and the commands scp and internal-sftp by the programs scp and sftp. The routes below and forced
#   commands come first, but internal-sftp has no other meaning: the route "" does not take it, and where files are not
#   reached it is refused. Without this setting it is true if the directory is a home and no route takes every command,
#   and false if not, since a directory may be an application's data. Write true or false where users have a plugin that
#   shows them less than their home. With `deploy` the two programs are the operator's, never the tenant's:
# files = true
#
#   Authorities whose certificates this tenant's users may have, beside the server's: trusted_user_ca_keys, as at the top.
#
#   Other methods than the server's, for its users:
# methods = ["publickey,password", "publickey,keyboard-interactive"]
#
#   Which plugin serves which subsystem (the exact name) and which command (the longest route whose words it begins with; ""
#   takes the others). The words are compared as sent, and as a shell reads them: 'git' and /bin/git are git:
# [tenants.acme.routes]
# subsystem = { sftp = "files" }
# exec = { "git" = "git", "git lfs" = "lfs" }
#
#   The arguments of a program, instead of what [programs] says of it:
# [tenants.acme.programs.report]
# exec = ["--", "{command}"]
#
#   Other limits than the server's: those that are marked with # tenant below.
# [tenants.acme.limits]
# memory = "16 MiB"
# sessions_per_user = 10
#
#   Records its sessions, as RECORDING.md describes: all but those of sftp and scp. There are no recordings without this
#   table:
# [tenants.acme.recording]
#   The version of asciicast: "v2", or "v3" for asciinema 3:
# format = "v2"
#   The hash of the digests in recordings and in the audit: "blake3", or "sha256", which takes several times as long
#   (b3sum and sha256sum show them):
# hash = "blake3"
#   Whether input is recorded, where the host edits lines and echoes them. What is typed into programs that read keys,
#   and passwords, never is:
# input = false
#   With true a session that cannot be recorded ends: when the disk is full or does not answer for 10 s, the folder is
#   gone, or the recording is as long as `size`. It is held back while its output is written. With false the log says
#   that the recording has ended, and what comes too fast is left out of it:
# required = false
#   Whether the digests in recordings are sealed with the key of the state folder:
# hmac = false
#   The most bytes of one recording, and of output of one session a second ("0 B": as fast as it comes):
# size = "1 GiB"
# rate = "16 MiB"
#   The folder, which exists. Without one whelk makes recordings/acme in its state folder:
# folder = "recordings/acme"
#
# [tenants.acme.grants]
#   One directory, which holds nothing of anybody else's. "read-only" unless it says otherwise; what it may hold at most is
#   DIRECTORY, unless it says otherwise. Without a path it is one that whelk makes under its state folder.
# directory = { path = "tenants/acme", access = "read-write", bytes = "1 GiB", files = 10000 }
#   Or homes: one for each principal, made by the first session with the contents of `from`. A principal is a user of this
#   file, by the name, whatever key or certificate was shown; or whom an authenticator grants. The folder above {principal}
#   must exist and holds nothing else. bytes and files are those of each home, total_bytes and total_files
#   those of all together (HOMES):
#     directory = { path = "homes/{principal}", from = "skel", bytes = "1 GiB", total_bytes = "100 GiB" }
#   Or homes that are removed when their connection has ended, or when their "session" has. They need no path, and are
#   for users without credentials too. What a killed server leaves of them is removed at the next start, for tenants
#   that are still there; those of a tenant that is gone stay below the state folder, in ephemeral/TENANT and
#   tmp/TENANT:
#     directory = { ephemeral = "connection", from = "skel", total_files = 100000 }
#   Folders of the operator that its plugins read, beside the directory, at any path but those that whelk has itself. They
#   hold nothing of anybody's that must stay secret, and tenants may share them:
# mounts = { "/usr/share/data" = "data" }
#   Programs see /dev, and /tmp for as long as their session lasts, beside that. Handlers see the directory and the mounts
#   alone, unless they are to see all that programs see:
# system_folders = true
#   The directory may hold the tenant's own plugin folder, so that its sessions can put plugins there. With `process`
#   its programs may also start components from files:
# deploy = true
#   Variables, clocks finer than a millisecond, buckets of keys and values (at most KEYVALUE unless it says otherwise),
#   messages among the tenant's sessions, programs that start other programs:
# environment = { LANG = "C.UTF-8" }
# clock = "fine"
# keyvalue = { bytes = "16 MiB", keys = 10000 }
# topics = true
# process = true
#   Hosts that HTTP requests may go to, and addresses or networks, each with a port, that TCP connections may be made to:
# http = ["api.example.org", "127.0.0.1:8080"]
# tcp = ["10.0.0.5:5432", "10.1.0.0/16:443"]

# What is offered in a key exchange, best first.
[algorithms]
"##;

const LIMITS: &str = "
# Limits. Sizes have a unit (B, KiB, MiB, GiB), times too (ms, s, min, h, d). A tenant may have its own of those that are
# marked with # tenant.
[limits]
";

/// The whole reference, a valid TOML text.
pub fn reference() -> String {
    let [directory, homes, keyvalue] = grants::defaults();
    let mut text = GENERAL.replace("LISTEN", &listen::DEFAULT.to_string());
    text = text.replace("SOFTWARE", SoftwareVersion::of(Role::Server).as_str());
    text = text.replace("DIRECTORY", &directory).replace("HOMES", &homes).replace("KEYVALUE", &keyvalue);
    text += &algorithms::reference();
    text += LIMITS;
    let mut title = "";
    for row in Limits::table() {
        if row.title != title {
            title = row.title;
            text += &format!("\n# --- {title} ---\n");
        }
        write_limit(&mut text, &row).expect("a String takes every write");
    }
    text
}

fn write_limit(text: &mut String, row: &LimitRow) -> std::fmt::Result {
    writeln!(text)?;
    for line in row.docs {
        writeln!(text, "#{line}")?;
    }
    let mark = if row.scope.is_for_tenants() { " # tenant" } else { "" };
    writeln!(text, "#{} = {}{mark}", row.name, row.default)
}

//! The reference that `whelk config` prints: a configuration with every setting, each at its default and commented out.
//!
//! A line that begins with `# ` is prose, one that begins with `#` alone is a setting: take the `#` away to change it.

use std::fmt::Write;

use super::algorithms;
use super::limits::{Group, Limits};
use super::listen;

/// Everything but the two tables that are printed from what is declared elsewhere. `LISTEN` stands for the default address.
const GENERAL: &str = r##"# The configuration of whelk: every setting, each with its default.
#
# `# ` begins a remark, `#` alone a setting that has its default: take the `#` away and change it.
# `whelk check FILE` checks a file and everything that it names. Relative paths are relative to the file.

# Where to listen: addresses in numbers. IPv4 and IPv6 are listened on apart: "0.0.0.0:2222" and "[::]:2222" are both.
#listen = ["LISTEN"]

# The folder of the plugins. The file NAME.wasm is the plugin NAME.
#plugins = "plugins"

# The folder of what whelk keeps: its host key, made at the first start. The default is $XDG_STATE_HOME/whelk, and where that
# is not set ~/.local/state/whelk.
#state = "/var/lib/whelk"

# A text shown before login. There is none by default.
#banner = "Authorised use only."

# The variables that a client may set: exact names, and beginnings with a * at their end.
#environment_names = ["LANG", "LC_*"]

# Who may enter: a table for each user, by the exact name. At least one is needed.
# [users.alice]
# plugin = "echo"
#   A hash, argon2 ($argon2id$...) or bcrypt ($2b$...), never the password itself:
# password = "$argon2id$v=19$m=19456,t=2,p=1$..."
#   Public keys, here or in a file as OpenSSH has it. Options such as command= are refused until they are supported, and
#   so is a file that others may write to.
# keys = ["ssh-ed25519 AAAA... alice@example.org"]
# authorized_keys = "keys/alice"
#
#   The only way to enter without credentials:
# [users.guest]
# plugin = "echo"
# auth = "none"

# What is offered in a key exchange, best first. Every cipher brings its own integrity check.
[algorithms]
"##;

const LIMITS: &str = "
# Limits. Sizes have a unit (B, KiB, MiB, GiB), times too (ms, s, min, h, d).
[limits]
";

/// The whole reference, a valid TOML text.
pub fn reference() -> String {
    let mut text = GENERAL.replace("LISTEN", &listen::DEFAULT.to_string());
    for (name, default) in algorithms::table() {
        text += &format!("#{name} = {default}\n");
    }
    text += LIMITS;
    for group in Limits::table() {
        write_group(&mut text, &group).expect("a String takes every write");
    }
    text
}

fn write_group(text: &mut String, group: &Group) -> std::fmt::Result {
    writeln!(text, "\n# --- {} ---", group.title)?;
    for row in &group.rows {
        writeln!(text)?;
        for words in row.words {
            writeln!(text, "#{words}")?;
        }
        writeln!(text, "#{} = {}", row.name, row.default)?;
    }
    Ok(())
}

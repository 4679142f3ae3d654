//! Options of builtins, and their output.

use crate::state::Shell;

/// The letters of options at the beginning of arguments: those of `known`, each before the rest. A letter of
/// `with_value` takes a value. The rest begins at the index that is returned.
pub(super) fn options(
    shell: &mut Shell,
    fields: &[String],
    known: &str,
    with_value: &str,
) -> Result<(Vec<(char, String)>, usize), i32> {
    let mut found = Vec::new();
    let mut at = 1;
    while let Some(field) = fields.get(at) {
        if field == "--" {
            return Ok((found, at + 1));
        }
        let Some(letters) = field.strip_prefix('-').filter(|letters| !letters.is_empty()) else { break };
        for (place, letter) in letters.char_indices() {
            if with_value.contains(letter) {
                let rest = &letters[place + letter.len_utf8()..];
                let value = if rest.is_empty() {
                    at += 1;
                    fields.get(at).cloned()
                } else {
                    Some(rest.to_owned())
                };
                let Some(value) = value else {
                    shell.builtin_error(&format!("-{letter}: option requires an argument"));
                    return Err(2);
                };
                found.push((letter, value));
                break;
            }
            if !known.contains(letter) {
                shell.builtin_error(&format!("-{letter}: invalid option"));
                return Err(2);
            }
            found.push((letter, String::new()));
        }
        at += 1;
    }
    Ok((found, at))
}

/// Writes to standard output. The status is 1 if that fails.
pub(super) fn write(shell: &mut Shell, text: &str) -> i32 {
    match shell.write_to(1, text) {
        Ok(()) => 0,
        Err(error) => {
            shell.builtin_error(&format!("write error: {}", error.text));
            1
        }
    }
}

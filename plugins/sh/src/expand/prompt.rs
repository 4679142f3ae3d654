//! The escapes of prompts: `PS1`, `PS4`, `${x@P}`.

use crate::state::Shell;
use crate::syntax::{Parser, TextLines};

impl Shell {
    /// A prompt with its escapes and then its expansions replaced.
    pub(crate) fn prompt(&mut self, text: &str) -> String {
        let text = self.prompt_escapes(text);
        self.expand_text(&text).unwrap_or_default()
    }

    /// Expands a text as in double quotes.
    pub(crate) fn expand_text(&mut self, text: &str) -> Option<String> {
        if !text.contains(['$', '`', '\\']) {
            return Some(text.to_owned());
        }
        let options = self.parse_options();
        let mut lines = TextLines::new("");
        let word = Parser::new(&mut lines, self.line).quoted_text(&options, text).ok()?;
        self.expand_quoted(&word).ok()
    }

    fn prompt_escapes(&self, text: &str) -> String {
        let mut result = String::new();
        let mut chars = text.chars().peekable();
        while let Some(next) = chars.next() {
            if next != '\\' {
                result.push(next);
                continue;
            }
            let Some(escape) = chars.next() else {
                result.push('\\');
                break;
            };
            match escape {
                'a' => result.push('\u{7}'),
                'e' => result.push('\u{1b}'),
                'n' => result.push('\n'),
                'r' => result.push('\r'),
                '[' | ']' => {}
                '\\' => result.push('\\'),
                '$' => result.push(if self.system.identity().user.1 == 0 { '#' } else { '$' }),
                'h' => result.push_str(self.system.host_name().split('.').next().unwrap_or_default()),
                'H' => result.push_str(&self.system.host_name()),
                'u' => result.push_str(&self.text_of("USER").or_else(|| self.text_of("LOGNAME")).unwrap_or_default()),
                's' => result.push_str(self.name.rsplit('/').next().unwrap_or_default()),
                'w' | 'W' => result.push_str(&self.prompt_directory(escape == 'W')),
                'j' => result.push_str(&self.jobs.list.len().to_string()),
                '!' => result.push_str(&(self.history.len() + 1).to_string()),
                '#' => result.push('1'),
                'v' => result.push_str("5.2"),
                'V' => result.push_str("5.2.15"),
                't' => result.push_str(&self.format_time("%H:%M:%S", None)),
                'T' => result.push_str(&self.format_time("%I:%M:%S", None)),
                '@' => result.push_str(&self.format_time("%I:%M %p", None)),
                'A' => result.push_str(&self.format_time("%H:%M", None)),
                'd' => result.push_str(&self.format_time("%a %b %d", None)),
                'D' if chars.peek() == Some(&'{') => {
                    chars.next();
                    let format: String = chars.by_ref().take_while(|next| *next != '}').collect();
                    let format = if format.is_empty() { "%X".to_owned() } else { format };
                    result.push_str(&self.format_time(&format, None));
                }
                '0'..='7' => {
                    let mut digits = escape.to_string();
                    while digits.len() < 3
                        && let Some(digit) = chars.next_if(|next| ('0'..='7').contains(next))
                    {
                        digits.push(digit);
                    }
                    let code = u32::from_str_radix(&digits, 8).unwrap_or(0);
                    result.push(crate::text::byte_char((code & 0xFF) as u8));
                }
                other => {
                    result.push('\\');
                    result.push(other);
                }
            }
        }
        result
    }

    fn prompt_directory(&self, last_only: bool) -> String {
        let directory = self.text_of("PWD").unwrap_or_else(|| self.cwd.clone());
        let home = self.text_of("HOME").filter(|home| home.len() > 1);
        let shown = match home {
            Some(home) if directory == home => "~".to_owned(),
            Some(home) if directory.starts_with(&format!("{home}/")) && !last_only => {
                format!("~{}", &directory[home.len()..])
            }
            _ => directory,
        };
        if last_only && shown.len() > 1 { shown.rsplit('/').next().unwrap_or_default().to_owned() } else { shown }
    }

    /// A time as strftime(3) writes it, in UTC: now, or so many seconds after 1970.
    pub(crate) fn format_time(&self, format: &str, seconds: Option<i64>) -> String {
        let seconds = seconds.unwrap_or_else(|| self.system.now().as_secs().cast_signed());
        crate::time::format(format, seconds)
    }
}

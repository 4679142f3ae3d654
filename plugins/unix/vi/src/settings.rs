//! `:set`.

/// What `:set` changes. The names are Vim's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of `:set`")]
pub(crate) struct Settings {
    pub(crate) autoindent: bool,
    pub(crate) expandtab: bool,
    pub(crate) gdefault: bool,
    pub(crate) hlsearch: bool,
    pub(crate) ignorecase: bool,
    pub(crate) incsearch: bool,
    pub(crate) list: bool,
    pub(crate) number: bool,
    pub(crate) readonly: bool,
    pub(crate) relativenumber: bool,
    pub(crate) ruler: bool,
    pub(crate) shiftround: bool,
    pub(crate) showmode: bool,
    pub(crate) smartcase: bool,
    pub(crate) startofline: bool,
    pub(crate) wrap: bool,
    pub(crate) wrapscan: bool,
    pub(crate) dos: bool,
    pub(crate) endofline: bool,
    pub(crate) scroll: usize,
    pub(crate) scrolloff: usize,
    pub(crate) shiftwidth: usize,
    pub(crate) softtabstop: usize,
    pub(crate) tabstop: usize,
    pub(crate) textwidth: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            autoindent: false,
            expandtab: false,
            gdefault: false,
            hlsearch: false,
            ignorecase: false,
            incsearch: true,
            list: false,
            number: false,
            readonly: false,
            relativenumber: false,
            ruler: true,
            shiftround: false,
            showmode: true,
            smartcase: false,
            startofline: true,
            wrap: true,
            wrapscan: true,
            dos: false,
            endofline: true,
            scroll: 0,
            scrolloff: 0,
            shiftwidth: 8,
            softtabstop: 0,
            tabstop: 8,
            textwidth: 0,
        }
    }
}

/// An option's value.
enum Value<'a> {
    Switch(&'a mut bool),
    Number(&'a mut usize),
}

/// Options by their long and short names.
const NAMES: &[(&str, &str)] = &[
    ("autoindent", "ai"),
    ("endofline", "eol"),
    ("expandtab", "et"),
    ("fileformat", "ff"),
    ("gdefault", "gd"),
    ("hlsearch", "hls"),
    ("ignorecase", "ic"),
    ("incsearch", "is"),
    ("list", "list"),
    ("number", "nu"),
    ("readonly", "ro"),
    ("relativenumber", "rnu"),
    ("ruler", "ru"),
    ("scroll", "scr"),
    ("scrolloff", "so"),
    ("shiftround", "sr"),
    ("shiftwidth", "sw"),
    ("showmode", "smd"),
    ("smartcase", "scs"),
    ("softtabstop", "sts"),
    ("startofline", "sol"),
    ("tabstop", "ts"),
    ("textwidth", "tw"),
    ("wrap", "wrap"),
    ("wrapscan", "ws"),
];

/// The largest number an option takes.
const LARGEST: usize = 9999;

impl Settings {
    /// The columns of an indent.
    pub(crate) fn indent(&self) -> usize {
        if self.shiftwidth == 0 { self.tabstop } else { self.shiftwidth }
    }

    /// Whether a pattern matches letters of both cases.
    pub(crate) fn ignores_case(&self, pattern: &str) -> bool {
        self.ignorecase && !(self.smartcase && pattern.chars().any(char::is_uppercase))
    }

    fn value(&mut self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "autoindent" => Value::Switch(&mut self.autoindent),
            "endofline" => Value::Switch(&mut self.endofline),
            "expandtab" => Value::Switch(&mut self.expandtab),
            "gdefault" => Value::Switch(&mut self.gdefault),
            "hlsearch" => Value::Switch(&mut self.hlsearch),
            "ignorecase" => Value::Switch(&mut self.ignorecase),
            "incsearch" => Value::Switch(&mut self.incsearch),
            "list" => Value::Switch(&mut self.list),
            "number" => Value::Switch(&mut self.number),
            "readonly" => Value::Switch(&mut self.readonly),
            "relativenumber" => Value::Switch(&mut self.relativenumber),
            "ruler" => Value::Switch(&mut self.ruler),
            "shiftround" => Value::Switch(&mut self.shiftround),
            "showmode" => Value::Switch(&mut self.showmode),
            "smartcase" => Value::Switch(&mut self.smartcase),
            "startofline" => Value::Switch(&mut self.startofline),
            "wrap" => Value::Switch(&mut self.wrap),
            "wrapscan" => Value::Switch(&mut self.wrapscan),
            "scroll" => Value::Number(&mut self.scroll),
            "scrolloff" => Value::Number(&mut self.scrolloff),
            "shiftwidth" => Value::Number(&mut self.shiftwidth),
            "softtabstop" => Value::Number(&mut self.softtabstop),
            "tabstop" => Value::Number(&mut self.tabstop),
            "textwidth" => Value::Number(&mut self.textwidth),
            _ => return None,
        })
    }

    /// Carries out one word of `:set`. A text to show, if it asks for one.
    ///
    /// # Errors
    /// A message.
    pub(crate) fn set(&mut self, word: &str) -> Result<Option<String>, String> {
        if word == "all" {
            return Ok(Some(self.all()));
        }
        let letters = word.find(|sign: char| !sign.is_ascii_alphabetic()).unwrap_or(word.len());
        let (name, rest) = word.split_at(letters);
        let (full, negated) = match long_name(name) {
            Some(full) => (full, false),
            None => match name.strip_prefix("no").and_then(long_name) {
                Some(full) => (full, true),
                None => match name.strip_prefix("inv").and_then(long_name) {
                    Some(full) => return self.toggle(full, word),
                    None => return Err(format!("E518: Unknown option: {word}")),
                },
            },
        };
        if full == "fileformat" {
            return self.file_format(rest, word);
        }
        match (rest, self.value(full)) {
            ("?", _) => Ok(Some(self.shown(full))),
            ("!", _) => self.toggle(full, word),
            ("", Some(Value::Switch(switch))) => {
                *switch = !negated;
                Ok(None)
            }
            ("&", _) => {
                let mut defaults = Self::default();
                match (self.value(full), defaults.value(full)) {
                    (Some(Value::Switch(switch)), Some(Value::Switch(default))) => *switch = *default,
                    (Some(Value::Number(number)), Some(Value::Number(default))) => *number = *default,
                    _ => {}
                }
                Ok(None)
            }
            ("", Some(Value::Number(_))) if !negated => Ok(Some(self.shown(full))),
            (_, Some(Value::Number(number))) if !negated => {
                let (sign, digits) = rest.split_at(rest.find(|sign: char| sign.is_ascii_digit()).unwrap_or(rest.len()));
                let given: usize = digits.parse().map_err(|_| format!("E521: Number required after =: {word}"))?;
                let new = match sign {
                    "=" | ":" => given,
                    "+=" => number.saturating_add(given),
                    "-=" => number.saturating_sub(given),
                    _ => return Err(format!("E521: Number required after =: {word}")),
                };
                if new > LARGEST || full == "tabstop" && new == 0 {
                    return Err(format!("E487: Argument must be from 1 to {LARGEST}: {word}"));
                }
                *number = new;
                Ok(None)
            }
            _ => Err(format!("E474: Invalid argument: {word}")),
        }
    }

    fn toggle(&mut self, name: &str, word: &str) -> Result<Option<String>, String> {
        match self.value(name) {
            Some(Value::Switch(switch)) => {
                *switch = !*switch;
                Ok(None)
            }
            _ => Err(format!("E474: Invalid argument: {word}")),
        }
    }

    fn file_format(&mut self, rest: &str, word: &str) -> Result<Option<String>, String> {
        match rest {
            "=dos" => self.dos = true,
            "=unix" => self.dos = false,
            "" | "?" => return Ok(Some(self.shown("fileformat"))),
            _ => return Err(format!("E474: Invalid argument: {word}")),
        }
        Ok(None)
    }

    fn shown(&mut self, name: &str) -> String {
        match self.value(name) {
            Some(Value::Switch(switch)) => format!("{}{name}", if *switch { "  " } else { "no" }),
            Some(Value::Number(number)) => format!("  {name}={number}"),
            None => format!("  fileformat={}", if self.dos { "dos" } else { "unix" }),
        }
    }

    fn all(&mut self) -> String {
        NAMES.iter().map(|(name, _)| self.shown(name)).collect::<Vec<_>>().join("\n")
    }
}

fn long_name(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(long, short)| *long == name || *short == name).map(|(long, _)| *long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_set() {
        let mut settings = Settings::default();
        for word in ["nu", "noru", "ts=4", "sw+=2", "list!", "ff=dos", "et"] {
            assert_eq!(settings.set(word), Ok(None), "{word}");
        }
        let Settings { number, ruler, tabstop, shiftwidth, list, dos, expandtab, .. } = settings;
        assert_eq!((number, ruler, tabstop, shiftwidth, list, dos, expandtab), (true, false, 4, 10, true, true, true));
        assert_eq!(settings.set("ts?"), Ok(Some("  tabstop=4".to_owned())));
        assert_eq!(settings.set("ts&"), Ok(None));
        assert_eq!(settings.tabstop, 8);
        assert_eq!(settings.set("ts=0"), Err("E487: Argument must be from 1 to 9999: ts=0".to_owned()));
        assert_eq!(settings.set("nosuch"), Err("E518: Unknown option: nosuch".to_owned()));
        assert_eq!(settings.set("ts=x"), Err("E521: Number required after =: ts=x".to_owned()));
    }
}

//! Parameter expansion (XCU 2.6.2).

use super::pieces::{Mode, Piece};
use crate::state::{Run, Shell, Stop, Value};
use crate::syntax::{Parameter, ParameterOp, Subscript, Word};

/// The value of a parameter before its operation.
#[derive(Debug, Clone)]
pub(super) enum Got {
    One(Option<String>),
    /// Of `$@` and arrays; `joined` with `*`.
    Many {
        values: Vec<String>,
        joined: bool,
    },
}

impl Shell {
    pub(crate) fn is_random(&self) -> bool {
        !self.plain.iter().any(|plain| plain == "RANDOM")
    }

    /// The value of a special or positional parameter or of a variable.
    pub(crate) fn parameter(&mut self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "$" => Some(self.main_process.to_string()),
            "!" => self.last_background.map(|process| process.to_string()),
            "#" => Some(self.positional.len().to_string()),
            "-" => Some(self.options.letters() + if self.interactive { "i" } else { "" } + self.read_letter()),
            "0" => Some(self.name.clone()),
            "_" => Some(self.last_argument.clone()),
            "RANDOM" if self.is_random() => Some(self.next_random().to_string()),
            _ if self.variables.get(name).is_some_and(|variable| variable.nameref)
                && self.resolve(name).0 == "RANDOM" =>
            {
                Some(self.next_random().to_string())
            }
            _ if name.as_bytes()[0].is_ascii_digit() => {
                let number: usize = name.parse().ok()?;
                if number == 0 { Some(self.name.clone()) } else { self.positional.get(number - 1).cloned() }
            }
            _ => self.text_of(name),
        }
    }

    fn read_letter(&self) -> &'static str {
        match self.read_from {
            "-c" => "c",
            "stdin" => "s",
            _ => "",
        }
    }

    /// The values of an array in order.
    pub(crate) fn array(&self, name: &str) -> Vec<String> {
        match self.variable(name).map(|variable| variable.value) {
            None | Some(Value::Unset) => Vec::new(),
            Some(Value::Scalar(text)) => vec![text],
            Some(Value::Indexed(elements)) => elements.into_values().collect(),
            Some(Value::Assoc(elements)) => elements.list().into_iter().map(|(_, value)| value.clone()).collect(),
        }
    }

    fn keys(&self, name: &str) -> Vec<String> {
        if self.refers_to_element(name) {
            return Vec::new();
        }
        match self.variable(name).map(|variable| variable.value) {
            None | Some(Value::Unset) => Vec::new(),
            Some(Value::Scalar(_)) => vec!["0".to_owned()],
            Some(Value::Indexed(elements)) => elements.into_keys().map(|key| key.to_string()).collect(),
            Some(Value::Assoc(elements)) => elements.list().into_iter().map(|(key, _)| key.clone()).collect(),
        }
    }

    /// Whether it is `$@` or an array with `[@]`, without values and without an operation.
    pub(super) fn is_empty_at(&self, parameter: &Parameter) -> bool {
        match (&parameter.op, &parameter.subscript) {
            (
                ParameterOp::Plain | ParameterOp::Slice { .. } | ParameterOp::Trim { .. } | ParameterOp::Replace { .. },
                None,
            ) => {
                parameter.name == "@"
                    && (self.positional.is_empty() || matches!(parameter.op, ParameterOp::Slice { .. }))
            }
            (ParameterOp::Keys, Some(Subscript::All)) => self.keys(&parameter.name).is_empty(),
            (ParameterOp::Plain, Some(Subscript::All)) => !parameter.indirect && self.array(&parameter.name).is_empty(),
            (ParameterOp::Transform(_), Some(Subscript::All)) => self.array(&parameter.name).is_empty(),
            (ParameterOp::Default { op: '+', .. }, Some(Subscript::All)) => self.array(&parameter.name).is_empty(),
            (ParameterOp::Slice { .. }, Some(Subscript::All)) => true,
            (ParameterOp::Plain, Some(_)) => false,
            (ParameterOp::Names { at }, _) => *at,
            // `"${1+"$@"}"`.
            (ParameterOp::Default { word, .. }, _) => self.positional.is_empty() && word.raw.contains("$@"),
            _ => false,
        }
    }

    fn fetch(&mut self, name: &str, subscript: Option<&Subscript>) -> Run<Got> {
        match (name, subscript) {
            ("@" | "*", _) => Ok(Got::Many { values: self.positional.as_ref().clone(), joined: name == "*" }),
            // Of a reference to an element bash gives no elements.
            (_, Some(subscript)) if self.refers_to_element(name) => Ok(match subscript {
                Subscript::Index(_) => Got::One(None),
                Subscript::All => Got::Many { values: Vec::new(), joined: false },
                Subscript::Joined => Got::Many { values: Vec::new(), joined: true },
            }),
            (_, Some(Subscript::All)) => Ok(Got::Many { values: self.array(name), joined: false }),
            (_, Some(Subscript::Joined)) => Ok(Got::Many { values: self.array(name), joined: true }),
            (_, None) => Ok(Got::One(self.parameter(name))),
            (_, Some(Subscript::Index(word))) => {
                let text = self.expand_quoted(word)?;
                match self.subscript_key(name, &text) {
                    Ok(key) => Ok(Got::One(self.element(name, &key))),
                    // An index before the first element is reported, and is no value.
                    Err(message) if message.ends_with(": bad array subscript") => {
                        self.report(&message);
                        Ok(Got::One(None))
                    }
                    Err(message) => Err(self.expansion_error(&message)),
                }
            }
        }
    }

    /// The parameter that `${!name}` means: its name, and its subscript as a word.
    fn indirect(&mut self, parameter: &Parameter) -> Run<Option<(String, Option<Subscript>)>> {
        let target = if let Some(variable) = self.variables.get(&parameter.name).filter(|variable| variable.nameref) {
            // Of a reference it is the name that it refers to.
            let text = match self.resolve(&parameter.name) {
                (name, None) => name,
                _ => variable.text().cloned().unwrap_or_default(),
            };
            return Ok(Some((String::new(), Some(Subscript::Index(Word::quoted(&text))))));
        } else {
            match self.fetch(&parameter.name, parameter.subscript.as_ref())? {
                Got::One(text) => text,
                Got::Many { values, .. } => Some(values.join(" ")),
            }
        };
        let Some(target) = target.filter(|target| !target.is_empty()) else {
            if parameter.op_is_test() {
                return Ok(None);
            }
            return Err(self.expansion_error(&format!("{}: invalid indirect expansion", parameter.name)));
        };
        let (name, subscript) = match target.split_once('[') {
            Some((name, subscript)) => {
                let subscript = subscript.strip_suffix(']').unwrap_or(subscript);
                let subscript = match subscript {
                    "@" => Subscript::All,
                    "*" => Subscript::Joined,
                    _ => Subscript::Index(Word::quoted(&self.expand_subscript(subscript))),
                };
                (name.to_owned(), Some(subscript))
            }
            None => (target.clone(), None),
        };
        let special = name.len() == 1 && "@*#?-$!".contains(&name);
        let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        if !special && !digits && !crate::text::is_name(&name) {
            return Err(self.expansion_error(&format!("{target}: invalid variable name")));
        }
        Ok(Some((name, subscript)))
    }

    #[inline(never)]
    pub(super) fn expand_parameter(&mut self, parameter: &Parameter, mode: Mode, pieces: &mut Vec<Piece>) -> Run {
        match &parameter.op {
            ParameterOp::Bad => return Err(self.expansion_error(&format!("{}: bad substitution", parameter.raw))),
            ParameterOp::Names { at } => {
                let prefix = parameter.name.clone();
                let all = self.variables.all();
                let values = all.keys().filter(|name| name.starts_with(&prefix)).map(|name| (*name).clone()).collect();
                self.push_got(Got::Many { values, joined: !at }, mode, pieces);
                return Ok(());
            }
            ParameterOp::Keys => {
                let joined = matches!(parameter.subscript, Some(Subscript::Joined));
                let got = Got::Many { values: self.keys(&parameter.name), joined };
                self.push_got(got, mode, pieces);
                return Ok(());
            }
            _ => {}
        }
        let (name, subscript) = if parameter.indirect {
            match self.indirect(parameter)? {
                Some((name, Some(Subscript::Index(word)))) if name.is_empty() => {
                    self.push_got(Got::One(Some(self.plain_text(&word))), mode, pieces);
                    return Ok(());
                }
                Some(target) => target,
                None => (parameter.name.clone(), None),
            }
        } else {
            (parameter.name.clone(), parameter.subscript.clone())
        };
        let got = self.fetch(&name, subscript.as_ref())?;
        self.operate(parameter, (&name, subscript.as_ref()), got, mode, pieces)
    }

    fn plain_text(&self, word: &Word) -> String {
        match word.parts.as_slice() {
            [crate::syntax::Part::Quoted(text)] => text.clone(),
            _ => word.raw.clone(),
        }
    }

    #[inline(never)]
    fn operate(
        &mut self,
        parameter: &Parameter,
        target: (&str, Option<&Subscript>),
        got: Got,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Run {
        if let ParameterOp::Default { colon, op, word } = &parameter.op {
            return self.default_value(target, got, (*colon, *op, word), mode, pieces);
        }
        self.check_set(parameter, target.0, &got)?;
        let got = match &parameter.op {
            ParameterOp::Length if target.1.is_none() && self.refers_to_element(target.0) => {
                Got::One(Some("0".to_owned()))
            }
            ParameterOp::Length => {
                let length = match &got {
                    Got::One(text) => text.as_ref().map_or(0, |text| text.chars().count()),
                    Got::Many { values, .. } => values.len(),
                };
                Got::One(Some(length.to_string()))
            }
            ParameterOp::Slice { offset, length } => self.slice(target, got, offset, length.as_ref())?,
            ParameterOp::Plain => got,
            ParameterOp::Transform(operator) => self.transform(target, got, *operator)?,
            operation => {
                let change = self.change(operation)?;
                match got {
                    Got::One(text) => Got::One(text.map(|text| self.apply_change(&change, &text))),
                    Got::Many { values, joined } => {
                        let values = values.iter().map(|text| self.apply_change(&change, text)).collect();
                        Got::Many { values, joined }
                    }
                }
            }
        };
        self.push_got(got, mode, pieces);
        Ok(())
    }

    /// `set -u`: a parameter that is not set is an error.
    fn check_set(&mut self, parameter: &Parameter, name: &str, got: &Got) -> Run {
        if !self.is_on("nounset") || !matches!(got, Got::One(None)) || name == "@" || name == "*" {
            return Ok(());
        }
        if self.refers_to_element(name) {
            return Ok(());
        }
        let shown = match &parameter.subscript {
            Some(Subscript::Index(word)) => format!("{name}[{}]", word.raw),
            _ => name.to_owned(),
        };
        Err(self.fatal_error(&format!("{shown}: unbound variable"), 127))
    }

    /// An error that ends a shell that is not interactive. The status is 1, or that of bash's `-c`.
    pub(super) fn fatal_error(&mut self, message: &str, status: i32) -> Stop {
        self.report(message);
        self.status = if self.read_from == "-c" && !self.posix() { status } else { 1 };
        if self.interactive { Stop::Discard } else { Stop::Exit }
    }

    /// `${x-word}` and its like.
    #[inline(never)]
    fn default_value(
        &mut self,
        (name, subscript): (&str, Option<&Subscript>),
        got: Got,
        (colon, op, word): (bool, char, &Word),
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Run {
        let (set, empty) = match &got {
            Got::One(text) => (text.is_some(), text.as_ref().is_none_or(String::is_empty)),
            Got::Many { values, .. } => (!values.is_empty(), values.iter().all(String::is_empty) && values.len() <= 1),
        };
        let present = set && !(colon && empty);
        let inner = Mode { split_literals: !mode.quoted && !mode.single, tilde: !mode.quoted, ..mode };
        match op {
            '+' => {
                if present {
                    self.expand_parts(&word.parts, inner, pieces)?;
                }
                return Ok(());
            }
            _ if present => {}
            '-' => return self.expand_parts(&word.parts, inner, pieces),
            '=' => {
                let parts = self
                    .pieces(word, Mode { single: true, tilde: !mode.quoted, quoted: mode.quoted, ..Mode::default() })?;
                let text = super::pieces::joined(parts);
                if !crate::text::is_name(name) {
                    return Err(self.expansion_error(&format!("${name}: cannot assign in this way")));
                }
                let key = match subscript {
                    Some(Subscript::Index(word)) => {
                        let text = self.expand_quoted(word)?;
                        Some(self.subscript_key(name, &text).map_err(|message| self.expansion_error(&message))?)
                    }
                    _ => None,
                };
                self.assign(name, key.as_deref(), text, false).map_err(|message| self.expansion_error(&message))?;
                let text = self.element(name, key.as_deref().unwrap_or("0"));
                self.push_got(Got::One(text), mode, pieces);
                return Ok(());
            }
            _ => {
                let text = self.expand_single(word)?;
                let text = match (text.is_empty(), colon) {
                    (false, _) => text,
                    (true, true) => "parameter null or not set".to_owned(),
                    (true, false) => "parameter not set".to_owned(),
                };
                let status = if self.posix() { 1 } else { 127 };
                return Err(self.fatal_error(&format!("{name}: {text}"), status));
            }
        }
        self.push_got(got, mode, pieces);
        Ok(())
    }

    #[inline(never)]
    pub(super) fn push_got(&mut self, got: Got, mode: Mode, pieces: &mut Vec<Piece>) {
        let split = !mode.quoted;
        match got {
            Got::One(None) if mode.quoted => Self::push_text(pieces, String::new(), true),
            Got::One(None) => {}
            Got::One(Some(text)) => pieces.push(Piece::Text { text, quoted: mode.quoted, split }),
            Got::Many { values, joined } => {
                if mode.single || joined && mode.quoted {
                    let separator = match self.text_of("IFS") {
                        _ if !joined => " ".to_owned(),
                        None => " ".to_owned(),
                        Some(separators) => separators.chars().next().map_or(String::new(), String::from),
                    };
                    pieces.push(Piece::Text { text: values.join(&separator), quoted: mode.quoted, split });
                    return;
                }
                let first = self.text_of("IFS").and_then(|separators| separators.chars().next());
                if let Some(first) = first.filter(|first| !mode.quoted && !" \t\n".contains(*first)) {
                    // Empty values count between separators that are no blanks.
                    let text = values.join(first.encode_utf8(&mut [0; 4]));
                    pieces.push(Piece::Text { text, quoted: false, split });
                    return;
                }
                for (at, text) in values.into_iter().enumerate() {
                    if at > 0 {
                        pieces.push(Piece::Break);
                    }
                    pieces.push(Piece::Text { text, quoted: mode.quoted, split });
                }
            }
        }
    }
}

impl Parameter {
    /// Whether its operation asks whether it is set.
    fn op_is_test(&self) -> bool {
        matches!(self.op, ParameterOp::Default { .. })
    }
}

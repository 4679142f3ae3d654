//! `jq`: filters JSON. The language is that of jaq.

mod input;
mod messages;
mod output;
mod settings;

use std::process::ExitCode;

use jaq_core::compile::Undefined;
use jaq_core::data::{DataT, HasLut};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Lut, Vars};
use jaq_json::Val;
use jaq_std::input::{HasInputs, Inputs, RcIter};
use unix_common::report;

use crate::output::Output;
use crate::settings::{Kind, Settings};

whelk_guest::whelk_command!();

/// Exit statuses: of a wrong command line or input, of a filter that does not compile, of an error while it runs, and
/// with `-e` of a last output that is false or null and of none.
const USAGE: u8 = 2;
const COMPILE: u8 = 3;
const NO_OUTPUT: u8 = 4;
const RUNTIME: u8 = 5;

/// What native filters see.
struct Kinds;

impl DataT for Kinds {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

#[derive(Clone)]
struct Data<'a> {
    lut: &'a Lut<Kinds>,
    inputs: Inputs<'a, Val>,
}

impl<'a> HasLut<'a, Kinds> for Data<'a> {
    fn lut(&self) -> &'a Lut<Kinds> {
        self.lut
    }
}

impl<'a> HasInputs<'a, Val> for Data<'a> {
    fn inputs(&self) -> Inputs<'a, Val> {
        self.inputs
    }
}

fn main() -> ExitCode {
    messages::install();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let settings = match settings::read(&words) {
        Ok(Some(settings)) => settings,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!(
                "jq: error: {message}\nUse jq --help for help with command-line options,\nor see the jq manpage."
            );
            return ExitCode::from(USAGE);
        }
    };
    let code = match (&settings.filter, &settings.filter_file) {
        (_, Some(file)) => {
            std::fs::read_to_string(file).map_err(|error| format!("Could not open {file}: {}", report::words(&error)))
        }
        (Some(filter), None) => Ok(filter.clone()),
        // Then what comes is only shown.
        (None, None) => Ok(".".to_owned()),
    };
    let prepared = code.and_then(|code| variables(&settings).map(|variables| (code, variables)));
    match prepared {
        Ok((code, variables)) => ExitCode::from(run(&settings, &code, variables)),
        Err(message) => {
            eprintln!("jq: {message}");
            ExitCode::from(USAGE)
        }
    }
}

/// The variables of the command line with their values, `$ENV` and `$ARGS` among them. The error is a message.
fn variables(settings: &Settings) -> Result<Vec<(String, Val)>, String> {
    let text = |text: &str| Val::utf8_str(text.as_bytes().to_vec());
    let json = |name: &str, value: &str| {
        let invalid = || format!("Invalid JSON text passed to --{name}");
        input::parse(value.as_bytes()).ok().and_then(|mut values| values.pop()).ok_or_else(invalid)
    };
    let mut variables = Vec::new();
    for (name, kind, value) in &settings.variables {
        let failed =
            |error: std::io::Error| format!("Bad JSON in --slurpfile {name} {value}: {}", report::words(&error));
        let value = match kind {
            Kind::Text => text(value),
            Kind::Json => json("argjson", value)?,
            Kind::JsonFile => input::parse(&std::fs::read(value).map_err(failed)?)?.into_iter().collect(),
            Kind::TextFile => Val::utf8_str(std::fs::read(value).map_err(failed)?),
        };
        variables.push((format!("${name}"), value));
    }
    let named = variables.iter().map(|(name, value)| (text(&name[1..]), value.clone())).collect();
    let positional = settings.positional.iter().map(|(kind, word)| match kind {
        Kind::Text => Ok(text(word)),
        _ => json("jsonargs", word),
    });
    let positional: Val = positional.collect::<Result<Vec<_>, _>>()?.into_iter().collect();
    let arguments = [(text("positional"), positional), (text("named"), Val::obj(named))];
    variables.push(("$ARGS".to_owned(), Val::obj(arguments.into_iter().collect())));
    let environment = std::env::vars().map(|(name, value)| (text(&name), text(&value))).collect();
    variables.push(("$ENV".to_owned(), Val::obj(environment)));
    Ok(variables)
}

/// Compiles the filter. Says what is wrong with it.
fn compile(code: &str, names: &[String]) -> Option<Filter<Kinds>> {
    let arena = Arena::default();
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    // What jaq defines in its own program.
    let ours = jaq_core::load::parse(include_str!("definitions.jq"), |parser| parser.defs()).unwrap_or_default();
    let definitions = definitions.chain(ours);
    let modules = Loader::new(definitions).load(&arena, File { code, path: () });
    let modules = match modules {
        Ok(modules) => modules,
        Err(errors) => {
            for (_, error) in errors {
                eprintln!("jq: error: syntax error: {}", syntax_error(&error));
            }
            eprintln!("jq: 1 compile error");
            return None;
        }
    };
    let functions = jaq_core::funs::<Kinds>().chain(jaq_std::funs::<Kinds>()).chain(jaq_json::funs::<Kinds>());
    let functions =
        functions.chain(jaq_std::input::funs::<Kinds>().into_vec().into_iter().map(jaq_core::native::run::<Kinds>));
    let compiler = Compiler::default().with_funs(functions).with_global_vars(names.iter().map(String::as_str));
    match compiler.compile(modules) {
        Ok(filter) => Some(filter),
        Err(errors) => {
            let all: Vec<_> = errors.into_iter().flat_map(|(_, errors)| errors).collect();
            for (name, kind) in &all {
                let arity = if let Undefined::Filter(arity) = kind { format!("/{arity}") } else { String::new() };
                eprintln!("jq: error: {name}{arity} is not defined at <top-level>, line 1:\n{code}");
            }
            eprintln!("jq: {} compile error{}", all.len(), if all.len() == 1 { "" } else { "s" });
            None
        }
    }
}

/// Compiles the filter, and runs it over the inputs. The exit status.
fn run(settings: &Settings, code: &str, variables: Vec<(String, Val)>) -> u8 {
    let (names, values): (Vec<String>, Vec<Val>) = variables.into_iter().unzip();
    let Some(filter) = compile(code, &names) else {
        return COMPILE;
    };
    let (inputs, mut missing) = input::values(settings);
    let inputs = RcIter::new(inputs);
    let inputs: Inputs<'_, Val> = &inputs;
    let mut output = Output::new(settings);
    let (mut status, mut last) = (0, None);
    let mut null = settings.null_input.then_some(Ok(Val::Null));
    loop {
        let value = match null.take().or_else(|| if settings.null_input { None } else { inputs.into_iter().next() }) {
            None => break,
            Some(Ok(value)) => value,
            Some(Err(message)) => {
                output.flush();
                eprintln!("jq: error (at <stdin>:0): {message}");
                missing = true;
                break;
            }
        };
        let context = Ctx::<Kinds>::new(Data { lut: &filter.lut, inputs }, Vars::new(values.clone()));
        for result in filter.id.run((context, value)) {
            let result = match result.map_err(jaq_core::Exn::get_halt) {
                Ok(value) => Ok(value),
                Err(Ok(status)) => {
                    output.flush();
                    return status.to_le_bytes()[0];
                }
                Err(Err(exception)) => Err(exception.get_err()),
            };
            match result {
                Ok(value) => {
                    if let Err(error) = output.value(&value) {
                        eprintln!("jq: error: writing output failed: {}", report::words(&error));
                        return USAGE;
                    }
                    last = Some(!matches!(value, Val::Null | Val::Bool(false)));
                }
                Err(error) => {
                    output.flush();
                    // What is neither an error nor the end leaves no filter.
                    let Ok(error) = error else { continue };
                    tell_of(error.into_val(), settings);
                    status = RUNTIME;
                    break;
                }
            }
        }
    }
    output.flush();
    match (status, missing, last) {
        (RUNTIME, ..) => RUNTIME,
        (_, true, _) => USAGE,
        (_, _, None) if settings.exit_status => NO_OUTPUT,
        (_, _, Some(false)) if settings.exit_status => 1,
        _ => 0,
    }
}

/// Tells of an error of the filter.
fn tell_of(error: Val, settings: &Settings) {
    let place = if settings.null_input { "<unknown>" } else { "<stdin>:0" };
    match error {
        Val::TStr(text) => eprintln!("jq: error (at {place}): {}", String::from_utf8_lossy(&text)),
        other => eprintln!("jq: error (at {place}) (not a string): {other}"),
    }
}

fn syntax_error(error: &jaq_core::load::Error<&str>) -> String {
    match error {
        jaq_core::load::Error::Io(errors) => errors.iter().map(|(path, error)| format!("{path}: {error}")).collect(),
        jaq_core::load::Error::Lex(errors) => {
            errors.iter().map(|(expected, found)| format!("expected {}, found {found:?}", expected.as_str())).collect()
        }
        jaq_core::load::Error::Parse(errors) => {
            errors.iter().map(|(expected, found)| format!("expected {}, found {found:?}", expected.as_str())).collect()
        }
    }
}

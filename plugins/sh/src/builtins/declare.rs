//! Variables: `declare`, `local`, `export`, `readonly`, `unset`.

use super::arguments::{options, write};
use crate::expand::array_literal_text;
use crate::state::{Kind, Run, Shell, Value, Variable};
use crate::syntax::function_text;
use crate::text::{is_name, quote, quote_double};
use std::rc::Rc;

/// What a declaration asks for.
#[derive(Default, Clone)]
struct Wanted {
    on: String,
    off: String,
    print: bool,
    functions: bool,
    names_only: bool,
    global: bool,
    local: bool,
    inherit: bool,
}

pub(super) fn declare(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let local = shell.variables.in_function();
    run(shell, fields, Wanted { local, ..Wanted::default() })
}

pub(super) fn local(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    if !shell.variables.in_function() {
        shell.builtin_error("can only be used in a function");
        return Ok(1);
    }
    if fields.len() == 1 {
        let names = shell.variables.locals();
        let text: String = names.iter().filter_map(|name| assignment_text(shell, name)).collect();
        return Ok(write(shell, &text));
    }
    run(shell, fields, Wanted { local: true, ..Wanted::default() })
}

pub(super) fn export(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    attribute(shell, fields, 'x')
}

pub(super) fn readonly(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    attribute(shell, fields, 'r')
}

/// `export` and `readonly`.
fn attribute(shell: &mut Shell, fields: &[String], letter: char) -> Run<i32> {
    let (found, at) = match options(shell, fields, "pfnaA", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let names = &fields[at..];
    if names.is_empty() {
        let all: Vec<(String, Variable)> =
            shell.variables.all().into_iter().map(|(name, variable)| (name.clone(), variable.clone())).collect();
        let mut text = String::new();
        for (name, variable) in all {
            if !(if letter == 'x' { variable.exported } else { variable.readonly }) {
                continue;
            }
            if shell.posix() {
                let value = variable.text().map_or(String::new(), |text| format!("={}", posix_quote(text)));
                text.push_str(&format!("{} {name}{value}\n", fields[0]));
            } else {
                text.push_str(&declaration(&name, &variable));
            }
        }
        return Ok(write(shell, &text));
    }
    if has('f') {
        let mut status = 0;
        for name in names {
            if !shell.functions.contains_key(name) {
                shell.builtin_error(&format!("{name}: not a function"));
                status = 1;
            } else if letter == 'r' {
                shell.readonly_functions.push(name.clone());
            } else {
                shell.exported_functions.push(name.clone());
            }
        }
        return Ok(status);
    }
    let (mut on, mut off) = (letter.to_string(), String::new());
    if has('n') {
        std::mem::swap(&mut on, &mut off);
    }
    on.extend(['a', 'A'].into_iter().filter(|letter| has(*letter)));
    let wanted = Wanted { on, off, ..Wanted::default() };
    let mut status = 0;
    for name in names {
        status = declare_one(shell, name, &wanted)?.max(status);
    }
    Ok(status)
}

fn posix_quote(text: &str) -> String {
    quote_double(text)
}

fn run(shell: &mut Shell, fields: &[String], mut wanted: Wanted) -> Run<i32> {
    let mut at = 1;
    while let Some(field) = fields.get(at).filter(|field| field.len() > 1 && field.starts_with(['-', '+'])) {
        at += 1;
        if field == "--" {
            break;
        }
        let on = field.starts_with('-');
        for letter in field[1..].chars() {
            match letter {
                'p' => wanted.print = true,
                'f' => wanted.functions = true,
                'F' => (wanted.functions, wanted.names_only) = (true, true),
                'g' => wanted.global = true,
                'I' => wanted.inherit = true,
                'a' | 'A' | 'i' | 'l' | 'n' | 'r' | 't' | 'u' | 'x' | 'c' => {
                    if on {
                        wanted.on.push(letter)
                    } else {
                        wanted.off.push(letter)
                    }
                }
                _ => {
                    shell.builtin_error(&format!("-{letter}: invalid option"));
                    return Ok(2);
                }
            }
        }
    }
    let names = &fields[at..];
    if wanted.functions {
        return Ok(functions(shell, names, &wanted));
    }
    if names.is_empty() || wanted.print {
        return Ok(list(shell, names, &wanted));
    }
    let mut status = 0;
    for name in names {
        status = declare_one(shell, name, &wanted)?.max(status);
    }
    Ok(status)
}

fn functions(shell: &mut Shell, names: &[String], wanted: &Wanted) -> i32 {
    let all: Vec<String> = if names.is_empty() { shell.functions.keys().cloned().collect() } else { names.to_vec() };
    let mut status = 0;
    let mut text = String::new();
    for name in all {
        let Some(function) = shell.functions.get(&name).cloned() else {
            status = 1;
            continue;
        };
        if wanted.on.contains('r') {
            shell.readonly_functions.push(name);
        } else if wanted.on.contains('x') {
            shell.exported_functions.push(name);
        } else if wanted.names_only {
            let extended = shell.is_on("extdebug");
            let place = if extended { format!(" {} {}", function.line, function.source) } else { String::new() };
            let head = if names.is_empty() || wanted.print { "declare -f " } else { "" };
            text.push_str(&format!("{head}{name}{place}\n"));
        } else {
            text.push_str(&function_text(&name, &function.body));
            text.push('\n');
        }
    }
    status.max(write(shell, &text))
}

fn list(shell: &mut Shell, names: &[String], wanted: &Wanted) -> i32 {
    let mut text = String::new();
    let mut status = 0;
    if names.is_empty() {
        let all: Vec<(String, Variable)> =
            shell.variables.all().into_iter().map(|(name, variable)| (name.clone(), variable.clone())).collect();
        for (name, variable) in all {
            let letters = variable.letters();
            if !wanted.on.chars().all(|letter| letters.contains(letter)) {
                continue;
            }
            if wanted.print || !wanted.on.is_empty() {
                text.push_str(&declaration(&name, &variable));
            } else if let Some(line) = assignment_text(shell, &name) {
                text.push_str(&line);
            }
        }
        if !wanted.print && wanted.on.is_empty() {
            for (name, function) in shell.functions.iter() {
                text.push_str(&function_text(name, &function.body));
                text.push('\n');
            }
        }
    }
    for name in names {
        let found = if shell.is_dynamic(name) { shell.variable(name) } else { shell.variables.get(name).cloned() };
        match found {
            Some(variable) if variable != Variable::default() => text.push_str(&declaration(name, &variable)),
            Some(variable) if shell.variables.is_local(name) => text.push_str(&declaration(name, &variable)),
            _ => {
                shell.builtin_error(&format!("{name}: not found"));
                status = 1;
            }
        }
    }
    write(shell, &text).max(status)
}

/// `declare -x name="value"`, as it is read back.
pub(super) fn declaration(name: &str, variable: &Variable) -> String {
    let letters = variable.letters();
    let letters = if letters.is_empty() { "-" } else { &letters };
    let value = match &variable.value {
        Value::Unset => String::new(),
        Value::Scalar(text) => format!("={}", quote_double(text)),
        value => array_literal_text(value).map_or(String::new(), |text| format!("={text}")),
    };
    format!("declare -{letters} {name}{value}\n")
}

/// `name=value`, as `set` shows it.
pub(super) fn assignment_text(shell: &Shell, name: &str) -> Option<String> {
    let variable = shell.variables.get(name)?;
    match &variable.value {
        Value::Unset => None,
        Value::Scalar(text) => {
            let quoted = if text.is_empty() { String::new() } else { quote(text) };
            Some(format!("{name}={quoted}\n"))
        }
        value => array_literal_text(value).map(|text| format!("{name}={text}\n")),
    }
}

fn declare_one(shell: &mut Shell, field: &str, wanted: &Wanted) -> Run<i32> {
    let (head, value) = match field.split_once('=') {
        Some((head, value)) => (head, Some(value)),
        None => (field, None),
    };
    let (head, append) = match head.strip_suffix('+') {
        Some(head) if value.is_some() => (head, true),
        _ => (head, false),
    };
    let (name, subscript) = match head.split_once('[') {
        Some((name, subscript)) => (name, subscript.strip_suffix(']')),
        None => (head, None),
    };
    if field == "-" && shell.builtin == "local" {
        let options = shell.options.clone();
        if let Some(frame) = shell.frames.last_mut() {
            frame.options.get_or_insert(options);
        }
        return Ok(0);
    }
    let whole = ["export", "readonly"].contains(&shell.builtin.as_str());
    if !is_name(name) || whole && subscript.is_some() {
        shell.builtin_error(&format!("`{field}': not a valid identifier"));
        return Ok(1);
    }
    // An array is no reference.
    let mut wanted = wanted.clone();
    if wanted.on.contains(['a', 'A']) {
        wanted.on.retain(|letter| letter != 'n');
    }
    let wanted = &wanted;
    let name = match declared_name(shell, name, value, wanted) {
        Ok(name) => name,
        Err(message) => {
            shell.builtin_error(&message);
            return Ok(1);
        }
    };
    let existing = place(shell, &name, wanted);
    if existing.readonly && (value.is_some() || wanted.off.contains('r')) {
        shell.builtin_error(&format!("{name}: readonly variable"));
        return Ok(1);
    }
    if let Err(message) = set_kind(shell, &name, wanted, subscript.is_some()) {
        shell.builtin_error(&message);
        return Ok(1);
    }
    set_flags(shell.variables.get_mut(&name), wanted);
    let mut status = 0;
    if let Some(value) = value {
        status = assign_value(shell, &name, subscript, value, append)?;
    }
    let variable = shell.variables.get_mut(&name);
    variable.readonly |= wanted.on.contains('r');
    variable.nameref = (variable.nameref || wanted.on.contains('n')) && !wanted.off.contains('n');
    Ok(status)
}

/// The variable that is declared, behind name references but where the reference itself is meant.
fn declared_name(shell: &Shell, name: &str, value: Option<&str>, wanted: &Wanted) -> Result<String, String> {
    let is_reference = wanted.on.contains('n') || wanted.off.contains('n');
    let name = if is_reference || wanted.local {
        name.to_owned()
    } else {
        match shell.resolve(name) {
            (name, Some(subscript)) if value.is_none() && shell.builtin != "declare" => {
                return Err(format!("`{name}[{subscript}]': not a valid identifier"));
            }
            (name, _) => name,
        }
    };
    let before = shell.variables.get(&name).filter(|variable| !variable.nameref).and_then(Variable::text);
    let target = value.or(before.map(String::as_str).filter(|before| *before != name));
    let Some(target) = target.filter(|_| wanted.on.contains('n')) else { return Ok(name) };
    let base = target.split('[').next().unwrap_or_default();
    if target == name && !shell.variables.in_function() {
        return Err(format!("{name}: nameref variable self references not allowed"));
    }
    if !target.is_empty() && !is_name(base) {
        return Err(format!("`{target}': invalid variable name for name reference"));
    }
    Ok(name)
}

/// Makes the variable in the scope that was asked for, and gives it as it is.
fn place(shell: &mut Shell, name: &str, wanted: &Wanted) -> Variable {
    if wanted.global {
        return shell.variables.global(name).clone();
    }
    if wanted.local {
        let outer = shell.variables.get(name).cloned();
        let fresh = !shell.variables.is_local(name);
        let inherits = wanted.inherit || shell.is_on("localvar_inherit");
        let variable = shell.variables.local(name);
        if fresh && let Some(outer) = outer {
            if inherits {
                *variable = outer;
            } else if outer.readonly {
                // A read-only variable cannot be hidden.
                variable.readonly = true;
                variable.value = outer.value;
            }
        }
        return variable.clone();
    }
    shell.variables.get(name).cloned().unwrap_or_default()
}

fn set_kind(shell: &mut Shell, name: &str, wanted: &Wanted, has_subscript: bool) -> Result<(), String> {
    let variable = shell.variables.get_mut(name);
    if wanted.on.contains('A') {
        if variable.kind == Kind::Indexed {
            return Err(format!("{name}: cannot convert indexed to associative array"));
        }
        if let (Kind::Scalar, Value::Scalar(text)) = (variable.kind, &variable.value) {
            let mut elements = crate::state::Assoc::default();
            elements.insert("0".to_owned(), text.clone());
            variable.value = Value::Assoc(elements);
        }
        variable.kind = Kind::Assoc;
    } else if wanted.on.contains('a') || has_subscript && variable.kind == Kind::Scalar {
        if variable.kind == Kind::Assoc {
            return Err(format!("{name}: cannot convert associative to indexed array"));
        }
        if let Value::Scalar(text) = &variable.value {
            variable.value = Value::Indexed([(0, text.clone())].into());
        }
        variable.kind = Kind::Indexed;
    }
    Ok(())
}

fn set_flags(variable: &mut Variable, wanted: &Wanted) {
    let on = |letter| wanted.on.contains(letter);
    let off = |letter| wanted.off.contains(letter);
    variable.exported = (variable.exported || on('x')) && !off('x');
    variable.integer = (variable.integer || on('i')) && !off('i');
    variable.trace = (variable.trace || on('t')) && !off('t');
    if on('l') || on('u') || on('c') {
        (variable.lower, variable.upper, variable.capital) = (on('l'), on('u') && !on('l'), on('c'));
    }
    variable.lower &= !off('l');
    variable.upper &= !off('u');
    variable.capital &= !off('c');
}

fn assign_value(shell: &mut Shell, name: &str, subscript: Option<&str>, value: &str, append: bool) -> Run<i32> {
    let is_array = value.starts_with('(') && value.ends_with(')') && subscript.is_none();
    if is_array && let Some(items) = shell.parse_array(value) {
        let values = shell.array_values(name, &items, append)?;
        if let Err(message) = shell.set_array(name, values) {
            shell.builtin_error(&message);
            return Ok(1);
        }
        return Ok(0);
    }
    let key = match subscript {
        None => None,
        Some(subscript) => match shell.subscript_key(name, subscript) {
            Ok(key) => Some(key),
            Err(message) => {
                shell.builtin_error(&message);
                return Ok(1);
            }
        },
    };
    // A reference is given its target, and does not pass it on.
    let reference = std::mem::take(&mut shell.variables.get_mut(name).nameref);
    let assigned = shell.assign(name, key.as_deref(), value.to_owned(), append);
    shell.variables.get_mut(name).nameref = reference;
    if let Err(message) = assigned {
        shell.builtin_error(&message);
        return Ok(1);
    }
    Ok(0)
}

pub(super) fn unset(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "fvn", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let mut status = 0;
    for field in &fields[at..] {
        if has('f') || !has('v') && shell.variables.get(field).is_none() && shell.functions.contains_key(field) {
            if shell.readonly_functions.contains(field) {
                shell.builtin_error(&format!("{field}: cannot unset: readonly function"));
                status = 1;
            } else {
                Rc::make_mut(&mut shell.functions).remove(field);
            }
            continue;
        }
        status = unset_variable(shell, field, has('n')).max(status);
    }
    Ok(status)
}

fn unset_variable(shell: &mut Shell, field: &str, reference: bool) -> i32 {
    let (name, subscript) = match field.split_once('[') {
        Some((name, subscript)) => (name, subscript.strip_suffix(']').map(str::to_owned)),
        None => (field, None),
    };
    if !is_name(name) {
        shell.builtin_error(&format!("`{field}': not a valid identifier"));
        return 1;
    }
    if reference && !shell.variables.get(name).is_some_and(|variable| variable.nameref) {
        return 0;
    }
    let (name, inner) = if reference { (name.to_owned(), None) } else { shell.resolve(name) };
    let subscript = subscript.or(inner);
    if shell.variables.get(&name).is_some_and(|variable| variable.readonly)
        || ["EUID", "UID", "PPID"].contains(&name.as_str())
    {
        shell.builtin_error(&format!("{name}: cannot unset: readonly variable"));
        return 1;
    }
    let Some(subscript) = subscript else {
        if shell.is_dynamic(&name) || name == "RANDOM" {
            shell.plain.push(name.clone());
        }
        shell.variables.unset(&name);
        if name == "OPTIND" {
            shell.getopts = (0, 1);
        }
        return 0;
    };
    if subscript == "@" || subscript == "*" {
        shell.variables.unset(&name);
        return 0;
    }
    let expanded = shell.expand_subscript(&subscript);
    match shell.subscript_key(&name, &expanded) {
        Ok(key) => {
            match &mut shell.variables.get_mut(&name).value {
                Value::Indexed(elements) => {
                    elements.remove(&key.parse().unwrap_or(0));
                }
                Value::Assoc(elements) => elements.remove(&key),
                value if key == "0" => *value = Value::Unset,
                _ => {}
            }
            0
        }
        Err(message) => {
            shell.builtin_error(&message);
            1
        }
    }
}

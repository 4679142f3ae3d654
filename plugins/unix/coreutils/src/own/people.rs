//! Who the user is: whoami, id, groups, who. There is one user, whom the variable USER names, and one group.

use unix_common::syntax::{Syntax, Take};

use super::command::parse;
use crate::utility::Arguments;

/// The number that stands for the user and the group: WASI has none.
const NUMBER: u32 = 1000;

fn user() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "user".to_owned())
}

const fn syntax(name: &'static str, usage: &'static str, options: &'static [(char, &'static str, Take)]) -> Syntax {
    Syntax { name, usage, status: 1, options, stops: false }
}

pub(super) fn whoami(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = syntax("whoami", "whoami [OPTION]...", &[]);
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    if let Some(extra) = given.operands.first() {
        return SYNTAX.refuse(&format!("extra operand '{extra}'")).tell();
    }
    println!("{}", user());
    0
}

pub(super) fn id(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = syntax(
        "id",
        "id [OPTION]... [USER]...",
        &[
            ('u', "user", Take::Nothing),
            ('g', "group", Take::Nothing),
            ('G', "groups", Take::Nothing),
            ('n', "name", Take::Nothing),
            ('r', "real", Take::Nothing),
            ('z', "zero", Take::Nothing),
            ('a', "", Take::Nothing),
        ],
    );
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    let user = user();
    if let Some(other) = given.operands.iter().find(|name| **name != user) {
        eprintln!("id: '{other}': no such user");
        return 1;
    }
    let of = ['u', 'g', 'G'].into_iter().filter(|letter| given.has(*letter)).count();
    if of > 1 {
        eprintln!("id: cannot print \"only\" of more than one choice");
        return 1;
    }
    if of == 0 && (given.has('n') || given.has('r')) {
        eprintln!("id: cannot print only names or real IDs in default format");
        return 1;
    }
    if of == 0 && given.has('z') {
        eprintln!("id: option --zero not permitted in default format");
        return 1;
    }
    let end = if given.has('z') { "\0" } else { "\n" };
    match (of, given.has('n')) {
        (0, _) => print!("uid={NUMBER}({user}) gid={NUMBER}({user}) groups={NUMBER}({user}){end}"),
        (_, true) => print!("{user}{end}"),
        (_, false) => print!("{NUMBER}{end}"),
    }
    0
}

pub(super) fn groups(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = syntax("groups", "groups [OPTION]... [USERNAME]...", &[]);
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    let user = user();
    if given.operands.is_empty() {
        println!("{user}");
        return 0;
    }
    let mut status = 0;
    for name in &given.operands {
        if *name == user {
            println!("{user} : {user}");
        } else {
            eprintln!("groups: '{name}': no such user");
            status = 1;
        }
    }
    status
}

pub(super) fn who(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = syntax(
        "who",
        "who [OPTION]... [ am i ]",
        &[('q', "count", Take::Nothing), ('H', "heading", Take::Nothing), ('m', "", Take::Nothing)],
    );
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    let user = user();
    if given.has('q') {
        println!("{user}\n# users=1");
        return 0;
    }
    if given.has('H') {
        println!("NAME     LINE");
    }
    // Sessions see no others, and those without a terminal are not listed elsewhere either.
    if whelk_guest::terminal::size().is_some() {
        println!("{user:<8} tty");
    }
    0
}

//! `help`.

use super::arguments::write;
use crate::state::{Run, Shell};

/// How each builtin is called.
const USAGE: &[&str] = &[
    ". file [argument ...]",
    ": [argument ...]",
    "[ expression ]",
    "alias [name[=value] ...]",
    "bg [job ...]",
    "break [count]",
    "builtin name [argument ...]",
    "caller [frame]",
    "cd [-L | -P] [directory]",
    "command [-pVv] name [argument ...]",
    "continue [count]",
    "declare [-aAfFgilnprtux] [name[=value] ...]",
    "dirs [-clpv] [+count | -count]",
    "disown [-ahr] [job ...]",
    "echo [-neE] [argument ...]",
    "enable [-anps] [name ...]",
    "eval [argument ...]",
    "exec [-cl] [-a name] [command [argument ...]] [redirection ...]",
    "exit [status]",
    "export [-fnp] [name[=value] ...]",
    "false",
    "fc [-e editor] [-lnr] [first [last]], or fc -s [old=new] [command]",
    "fg [job]",
    "getopts options name [argument ...]",
    "hash [-lr] [-p path] [-dt] [name ...]",
    "help [name ...]",
    "history [-c] [-d place] [count]",
    "jobs [-lnprs] [job ...]",
    "kill [-s signal | -signal] process | job ..., or kill -l [status]",
    "let expression ...",
    "local [option] name[=value] ...",
    "logout [status]",
    "mapfile [-d delimiter] [-n count] [-O place] [-s count] [-t] [-u fd] [array]",
    "popd [-n] [+count | -count]",
    "printf [-v name] format [argument ...]",
    "pushd [-n] [+count | -count | directory]",
    "pwd [-LP]",
    "read [-ers] [-a array] [-d delimiter] [-n count] [-N count] [-p prompt] [-t seconds] [-u fd] [name ...]",
    "readarray [-d delimiter] [-n count] [-O place] [-s count] [-t] [-u fd] [array]",
    "readonly [-aAfp] [name[=value] ...]",
    "return [status]",
    "set [-abefhmnuvxC] [-o option] [--] [argument ...]",
    "shift [count]",
    "shopt [-opqsu] [option ...]",
    "source file [argument ...]",
    "test [expression]",
    "times",
    "trap [-lp] [action condition ...]",
    "true",
    "type [-afptP] name ...",
    "typeset [-aAfFgilnprtux] [name[=value] ...]",
    "ulimit [-HS] [-a | -fntuv [limit]]",
    "umask [-pS] [mask]",
    "unalias [-a] [name ...]",
    "unset [-fnv] [name ...]",
    "wait [-n] [-p name] [process | job ...]",
];

fn name_of(usage: &str) -> &str {
    usage.split(' ').next().unwrap_or_default()
}

pub(super) fn help(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    if fields.len() == 1 {
        let mut text = "These commands are part of the shell; `ls /bin` lists the programs.\n".to_owned();
        USAGE.iter().for_each(|usage| text.push_str(&format!("  {usage}\n")));
        return Ok(write(shell, &text));
    }
    let mut status = 0;
    for name in &fields[1..] {
        match USAGE.iter().find(|usage| name_of(usage) == name) {
            Some(usage) => {
                write(shell, &format!("{name}: {usage}\n"));
            }
            None => {
                shell.builtin_error(&format!("no builtin command is called `{name}'; try `{name} --help'"));
                status = 1;
            }
        }
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_builtin_has_a_line_in_the_order_of_the_names() {
        let told: Vec<&str> = super::USAGE.iter().map(|usage| super::name_of(usage)).collect();
        assert_eq!(told, crate::builtins::all_names().collect::<Vec<_>>());
    }
}

//! What the shell nests: deep enough for programs, and an error at the end of its stack.

use whelk_tests::{Call, Client, Gateway, Input};

use super::{Ran, gateway, gateway_with, ran};

fn run_as(gateway: &Gateway, user: &str, command: &str, input: &str) -> Ran {
    let call = Call::new(Client::OpenSsh100, gateway, user).exec(command);
    let finished = call.run_long(Input::Bytes(input.as_bytes().to_vec()));
    Ran { out: finished.out.text(), err: finished.err, status: finished.status }
}

#[test]
fn functions_call_themselves_a_thousand_times() {
    let gateway = gateway();
    let count = "f() { [ $1 -eq 0 ] || f $(( $1 - 1 )); }; f 1000; echo $?\n";
    let sum = "s() { if [ $1 -eq 0 ]; then echo 0; else echo $(( $1 + $(s $(( $1 - 1 ))) )); fi; }; s 150\n";
    let nested = |open: &str, close: &str| format!("echo {}a{}\n", open.repeat(300), close.repeat(300));
    let parentheses = format!("{}echo a{}\n", "( ".repeat(300), " )".repeat(300));
    for user in ["alice", "posix"] {
        let run = |script: &str| run_as(&gateway, user, "sh", script);
        assert_eq!(run(count), ran("0\n", "", 0));
        assert_eq!(run(sum), ran("11325\n", "", 0));
        assert_eq!(run(&nested("$(echo ", ")")), ran("a\n", "", 0));
        assert_eq!(run(&nested("\"$(echo ", ")\"")), ran("a\n", "", 0));
        assert_eq!(run(&nested("${x:-", "}")), ran("a\n", "", 0));
        assert_eq!(run(&parentheses), ran("a\n", "", 0));
    }
    // The shell goes on after the line that was too much.
    let end = run_as(&gateway, "alice", "bash", "f() { f; }\nf; echo not here\necho $?\nf 2>/dev/null\nexit\n");
    assert_eq!((end.out.as_str(), end.status), ("1\n", Some(1)), "{}", end.err);
    assert!(end.err.contains("line 1: f: commands are nested too deep, in 1"), "{}", end.err);
    gateway.end();
}

/// The bodies of a function `f` that calls itself once, for each kind of nesting that takes stack.
const ENDLESS: [&str; 39] = [
    "f",
    "if f; then :; fi",
    "if :; then f; fi",
    "while :; do f; done",
    "for i in 1; do f; done",
    "for ((;;)); do f; done",
    "case x in x) f;; esac",
    "select i in 1; do f; done <<< 1",
    "( f )",
    "{ f; } 3>/dev/null",
    "x=1 f",
    "! f",
    "time f",
    ": && f",
    "echo $(f)",
    "x=$(f)",
    "echo \"a$(f)\"",
    "echo `f`",
    "echo $(( $(f) ))",
    "(( $(f) ))",
    "a[$(f)]=1",
    "let \"x[$(f)]=1\"",
    "printf -v \"a[$(f)]\" x",
    "read \"a[$(f)]\" <<< x",
    "a=( $(f) )",
    "declare x=$(f)",
    "echo {a,$(f)}",
    ": ${x:-$(f)}",
    ": ${x:=$(f)}",
    ": ${PWD/b/$(f)}",
    ": ${PWD:$(f)}",
    "case $(f) in x) ;; esac",
    "[[ $(f) = x ]]",
    ": > /dev/null$(f)",
    ": <<< $(f)",
    "eval f",
    "command eval f",
    "builtin eval f",
    "y='$(f)'; echo ${y@P}",
];

#[test]
fn every_kind_of_nesting_ends_with_an_error_of_the_shell() {
    let gateway = gateway_with(&[("again", "f() { . /data/again; f; }; f\n".to_owned())]);
    let deep = |command: &str| {
        let Ran { err, status, .. } = run_as(&gateway, "alice", "bash", command);
        // Several of them run out of files first.
        let told =
            ["nested too deep", "Too many open files", "bad array subscript"].iter().any(|text| err.contains(text));
        assert!(told && !err.contains("crashed"), "{command}: {err}");
        assert!(status.is_some_and(|status| status < 128), "{command}: {status:?}");
    };
    for body in ENDLESS {
        deep(&format!("f() {{ {body}; }}\nf\n"));
    }
    deep("command_not_found_handle() { nothing; }\nnothing\n");
    deep("trap : DEBUG\nset -T\nf() { f; }\nf\n");
    deep(". /data/again\n");
    gateway.end();
}

#[test]
fn deep_trees_are_printed_and_dropped_where_little_of_the_stack_is_left() {
    let gateway = gateway();
    let trees =
        [("", "( ", ":", " )"), ("", "echo $(", ":", ")"), (": ", "${x:-", "1", "}"), ("", "if :; then ", ":", "; fi")];
    for (before, open, inside, close) in trees {
        let tree = |count: usize| format!("g() {{ {before}{}{inside}{}; }}", open.repeat(count), close.repeat(count));
        // Almost as deep as the parser allows.
        let is_read =
            |count: &usize| run_as(&gateway, "alice", "bash", &format!("set -n\n{}\n", tree(*count))).status == Some(0);
        let count = (1..=12).map(|step| 1200 - step * 80).find(is_read).expect("240 levels are allowed");
        for what in ["declare -f g >/dev/null", "unset -f g", "( : kill; g() { :; } )"] {
            let definition = tree(count);
            let script =
                format!("{definition}\nd() {{ [ $1 -eq 0 ] && {{ {what}; }} || d $(( $1 - 1 )); }}\nd 1000\necho $?\n");
            assert_eq!(run_as(&gateway, "alice", "bash", &script), ran("0\n", "", 0), "{what} of {count} {open}");
        }
    }
    gateway.end();
}

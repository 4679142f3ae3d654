//! What the shell says to bad input, and that none of it ends the process.

use std::process::{Command, Output};

fn shell() -> Command {
    let test = std::env::current_exe().expect("the path of the test");
    let program =
        test.parent().and_then(std::path::Path::parent).expect("target/PROFILE/deps").join("examples/native-sh");
    Command::new(program)
}

fn run(script: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("script");
    std::fs::write(&path, script).expect("a new file");
    shell().arg(&path).current_dir(folder.path()).output().expect("the shell starts")
}

fn assert_ran(script: &str, status: i32, stdout: &str, stderr: &str) {
    let output = run(script);
    let said = String::from_utf8_lossy(&output.stderr);
    let shown: String = script.chars().take(60).collect();
    assert_eq!(output.status.code(), Some(status), "{shown}: {said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{shown}");
    assert!(said.contains(stderr), "{shown}: {said}");
}

#[test]
fn a_syntax_error_names_its_line_and_token() {
    assert_ran("echo a\nif true; then\nfi\n", 2, "a\n", "line 3: syntax error near unexpected token `fi'");
    assert_ran("echo 'a\n", 2, "", "looking for matching `''");
    assert_ran("for x in a; do echo $x\n", 2, "", "unexpected end of file");
    assert_ran("echo )\n", 2, "", "line 1: syntax error near unexpected token `)'");
}

#[test]
fn the_status_says_why_a_command_did_not_run() {
    assert_ran("no-such-command\necho $?\n", 0, "127\n", "line 1: no-such-command: command not found");
    assert_ran("/etc/passwd\necho $?\n", 0, "126\n", "/etc/passwd: Permission denied");
    assert_ran("bash -c 'kill -TERM $$'\necho $?\n", 0, "143\n", "");
}

#[test]
fn a_script_is_called_as_its_path_is_written() {
    let script =
        "printf '#!/bin/bash\necho $0 $BASH_SOURCE\n' > g; chmod +x g; mkdir a; cd a; ../g; trap '' HUP; ../g\n";
    assert_ran(script, 0, "../g ../g\n../g ../g\n", "");
}

#[test]
fn nesting_without_end_is_an_error() {
    let depth = 100_000;
    let deep = "nested too deep";
    assert_ran(&format!("{}:{}\n", "( ".repeat(depth), " )".repeat(depth)), 2, "", deep);
    assert_ran(&format!("echo {}{}\n", "$(echo ".repeat(depth), ")".repeat(depth)), 2, "", deep);
    assert_ran(&format!("echo {}{}\n", "\"${x:-".repeat(depth), "}\"".repeat(depth)), 2, "", deep);
    assert_ran("f() { f; }\nf\n", 1, "", "f: commands are nested too deep, in ");
    // It ends the line, and not the script.
    assert_ran("f() { f; }\nf; echo not here\necho $?\n", 0, "1\n", deep);
    let arithmetic = run(&format!("echo $(({}1{}))\n", "(".repeat(depth), ")".repeat(depth)));
    assert!(String::from_utf8_lossy(&arithmetic.stderr).contains("recursion level exceeded"));
}

#[test]
fn long_words_long_scripts_and_full_folders_are_no_faults() {
    assert_ran(&format!("x={}\necho ${{#x}}\n", "a".repeat(10_000_000)), 0, "10000000\n", "");
    assert_ran(&("x=1\n".repeat(1_000_000) + "echo done\n"), 0, "done\n", "");
    assert_ran("for i in {1..10000}; do : > f$i; done\nset -- f*\necho $#\n", 0, "10000\n", "");
}

#[test]
fn a_carriage_return_is_part_of_a_word() {
    assert_ran("echo a\r\necho b\n", 0, "a\r\nb\n", "");
    assert_ran("true\r\necho $?\n", 0, "127\n", r"$'true\r': command not found");
}

#[test]
fn numbers_at_the_ends_of_64_bits_are_no_faults() {
    let last = i64::MAX;
    assert_ran(&format!("a[{last}]=x\na+=(y)\necho ${{#a[@]}} ${{a[@]: -1}}\n"), 0, "1 y\n", "");
    assert_ran(&format!("echo $(({last} + 1)) $((-{last} - 2))\n"), 0, &format!("{} {last}\n", i64::MIN), "");
    assert_ran(&format!("x=abc\necho \"${{x: -{last}:{last}}}|${{x:1:{last}}}\"\n"), 0, "|bc\n", "");
    assert_ran(&format!("a=(b)\necho \"${{a[@]:1:{last}}}|${{a[-{last}]}}\"\n"), 0, "|\n", "bad array subscript");
}

#[test]
fn an_error_in_a_redirection_leaves_the_shells_own_files() {
    assert_ran("cat > out <<< $((1/0))\necho seen\n", 0, "seen\n", "division by 0");
}

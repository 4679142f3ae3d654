//! Lines that repeat earlier ones (`!!`): what bash makes of them, and what the shell does.

use std::path::Path;
use std::process::Command;

/// The lines before.
const HISTORY: [&str; 6] = [
    "echo one two three",
    "cp /usr/share/doc/file.tar.gz /tmp",
    "grep -n 'two words' \"a b\" c\\ d <in >>out 2>&1 | sort; true",
    "diff <(a b) $(c d) x",
    "",
    "ls -l old-name.txt",
];

const LINES: [&str; 82] = [
    "!!",
    "echo !!",
    "!! and !!",
    "!1",
    "!2",
    "!-1",
    "!-2",
    "!-9",
    "!0",
    "!-0",
    "!99",
    "!echo",
    "!e",
    "!c",
    "!nothing",
    "!?share?",
    "!?share",
    "!?nowhere?",
    "!#",
    "a b !#",
    "a b !#:1",
    "echo !$",
    "echo !^",
    "echo !*",
    "echo !:0",
    "echo !!:1",
    "echo !!$",
    "echo !!:$",
    "echo !!:^",
    "echo !!:*",
    "echo !1:*",
    "echo !1:2*",
    "echo !1:1-2",
    "echo !1:-2",
    "echo !1:0-",
    "echo !1:1-$",
    "echo !1-",
    "echo !1:9",
    "echo !1:3-1",
    "echo !1:2-9",
    "echo !3:*",
    "echo !3:2",
    "echo !3:3",
    "echo !3:4",
    "echo !3:$",
    "echo !3:5-8",
    "echo !4:*",
    "echo !4:2",
    "echo !echo:2",
    "echo !echo$",
    "echo !cp:1:h",
    "echo !cp:1:t",
    "echo !cp:1:r",
    "echo !cp:1:e",
    "echo !cp:1:t:r",
    "echo !cp:1:t:r:r",
    "echo !1:s/one/1/",
    "echo !1:s/o/0/",
    "echo !1:gs/o/0/",
    "echo !1:s:one:1:",
    "echo !1:s/one/&&/",
    "echo !1:s/one/\\&/",
    "echo !1:s/one/1",
    "echo !1:s/nothing/1/",
    "echo !1:s/one/1/:s/two/2/",
    "echo !1:q",
    "echo !1:2:q",
    "echo !1:z",
    "echo !1:",
    "^old^new",
    "^old^new^",
    "^old^new^ more",
    "^old^",
    "^nothing^new",
    "echo '!!' !!",
    "echo \"!!\"",
    "echo \"wow!\"",
    "echo \\!!",
    "echo a! b",
    "[ a != b ]",
    "echo $! ${!x} [!a]",
    "echo wow!; true",
];

/// The output for each line, after its status.
fn expansions(shell: &Path) -> Vec<String> {
    // Without its output, the error would name the line of the script.
    let script = "for line; do history -p \"$line\" 2>/dev/null; echo \"status $?\"; done";
    let history: String =
        HISTORY.iter().map(|line| format!("history -s -- \"${{history[{}]}}\"\n", index(line))).collect();
    let listed = HISTORY.map(|line| format!("'{}'", line.replace('\'', "'\\''"))).join(" ");
    let output = Command::new(shell)
        .args(["-c", &format!("history=({listed})\n{history}{script}"), "bash"])
        .args(LINES)
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("the shell runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_inclusive('\n').fold(vec![String::new()], |mut all, line| {
        let ends = line.starts_with("status ");
        if let Some(last) = all.last_mut() {
            last.push_str(line);
        }
        if ends {
            all.push(String::new());
        }
        all
    })
}

fn index(line: &str) -> usize {
    HISTORY.iter().position(|other| *other == line).expect("it is one of them")
}

#[test]
fn lines_repeat_what_they_repeat_in_bash() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let test = std::env::current_exe().expect("the path of the test");
    let program = test.parent().and_then(Path::parent).expect("target/PROFILE/deps").join("examples/native-sh");
    let own = folder.path().join("bash");
    std::os::unix::fs::symlink(program, &own).expect("a new link");
    let (ours, theirs) = (expansions(&own), expansions(Path::new("/usr/bin/bash")));
    assert_eq!(theirs.len(), LINES.len() + 1, "{theirs:?}");
    let different: Vec<String> = LINES
        .iter()
        .enumerate()
        .filter(|(at, _)| ours.get(*at) != theirs.get(*at))
        .map(|(at, line)| format!("{line}\n  bash: {:?}\n  ours: {:?}", theirs[at], ours.get(at)))
        .collect();
    assert!(different.is_empty(), "{} lines:\n{}", different.len(), different.join("\n"));
}

//! A small grammar of scripts that ordinary work is made of, from a seed.

use std::fmt::Write as _;

/// `SplitMix64`: the same numbers everywhere.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ value >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }

    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len())]
    }
}

const NAMES: &[&str] = &["a", "b", "c", "x"];
const PLAIN: &[&str] = &["a", "b", "foo", "12", "x1", "7", "w0"];
const TEXTS: &[&str] = &["a", "b c", "x*y", "", "1", "12", "foo", "-n", "é", "a:b", "  s  ", "*"];
const WHOLE: &[&str] = &[
    "\"$@\"",
    "$*",
    "\"$*\"",
    "$#",
    "\"${@:2}\"",
    "${!arr[@]}",
    "${#arr[@]}",
    "${#a}",
    "$?",
    "{1..3}",
    "{a..e..2}",
    "\"${a@Q}\"",
    "\"${a^}\"",
    "\"${b^^}\"",
    "${a:=def}",
    "\"${m[k]}\"",
    "\"${!m[@]}\"",
    "$'t\\tq'",
];

fn word(random: &mut Random, depth: u32) -> String {
    let name = random.pick(NAMES);
    match random.below(20) {
        0..=3 => random.pick(PLAIN).to_owned(),
        4 | 5 => format!("\"{}\"", random.pick(TEXTS)),
        6 => format!("'{}'", random.pick(TEXTS)),
        7 | 8 => format!("${name}"),
        9 | 10 => format!("\"${name}\""),
        11 => {
            let op = random.pick(&[":-", "-", ":+", "+"]);
            format!("\"${{{name}{op}{}}}\"", random.pick(&["d", "\"q r\"", "$b", ""]))
        }
        12 => {
            let op = random.pick(&["#", "##", "%", "%%"]);
            format!("${{{name}{op}{}}}", random.pick(&["a*", "*b", "?", "[a-f]*", "\"$a\""]))
        }
        13 => {
            let op = random.pick(&["/", "//", "/#", "/%"]);
            let pattern = random.pick(&["a", "?", "[0-9]", "o*", "$a"]);
            format!("${{{name}{op}{pattern}/{}}}", random.pick(&["Z", "", "&&", "\"$b\""]))
        }
        14 => {
            let from = random.pick(&["0", "1", " -2", "$n"]);
            format!("\"${{{name}:{from}:{}}}\"", random.pick(&["1", "2", "n"]))
        }
        15 => format!("\"${{arr[{}]}}\"", random.pick(&["0", "1", "@", "*", "-1", "n", "$n"])),
        16 => format!("${{arr[@]{}}}", random.pick(&[":1", ":0:2", "#a", "/a/b", "^^", ",,", "@Q"])),
        17 => format!("$(( {} ))", arithmetic(random, 0)),
        18 if depth < 2 => format!("\"$( {} )\"", command(random, depth + 1)),
        _ => random.pick(WHOLE).to_owned(),
    }
}

fn arithmetic(random: &mut Random, depth: u32) -> String {
    match random.below(9) {
        0..=2 => random.pick(&["1", "2", "n", "n+1", "7", "0x1f", "i", "3"]).to_owned(),
        3..=5 if depth < 3 => {
            let op = random.pick(&["+", "-", "*", "%", "<", "==", "&&", "||", "&", "<<", "**"]);
            format!("{} {op} {}", arithmetic(random, depth + 1), random.pick(&["1", "2", "3", "n"]))
        }
        6 if depth < 3 => format!("({})", arithmetic(random, depth + 1)),
        7 if depth < 3 => {
            let [condition, first, second] = [0; 3].map(|_| arithmetic(random, depth + 1));
            format!("{condition} ? {first} : {second}")
        }
        _ => random.pick(&["n++", "++n", "n--", "-n", "!n", "~n", "n+=2", "n*=2", "i=n"]).to_owned(),
    }
}

fn words(random: &mut Random, most: usize, depth: u32) -> String {
    let count = random.below(most + 1);
    (0..count).map(|_| word(random, depth)).collect::<Vec<_>>().join(" ")
}

fn simple(random: &mut Random, depth: u32) -> String {
    match random.below(24) {
        0..=5 => format!("echo {}", words(random, 3, depth)),
        6 | 7 => format!("printf '<%s>' {}; echo", words(random, 3, depth)),
        8 | 9 => format!("{}={}", random.pick(&["a", "b", "c"]), word(random, depth)),
        10 => format!("arr=({})", words(random, 3, depth)),
        11 => format!("arr[{}]={}", random.pick(&["0", "1", "5", "n"]), word(random, depth)),
        12 => format!("arr+=({})", word(random, depth)),
        13 => format!("set -- {}", words(random, 2, depth)),
        14 => random.pick(&["true", "false", "(exit 3)", ":", "shift", "let n+=1"]).to_owned(),
        15 => format!("(({}))", arithmetic(random, 0)),
        16 => format!("[[ {} {} {} ]]", word(random, 2), random.pick(&["==", "!=", "<", "=~", "="]), word(random, 2)),
        17 => format!("[ \"$a\" {} \"$b\" ]", random.pick(&["=", "!="])),
        18 => format!("m[{}]={}", random.pick(&["k", "j"]), word(random, depth)),
        19 => format!("read -r {} <<< {}", random.pick(&["a", "a b", "-a arr"]), word(random, depth)),
        20 => {
            let format = random.pick(&["'%s'", "'%05d'", "'%x'", "'%q'", "'%-4s|'", "'%b'"]);
            format!("printf -v {} {format} {}", random.pick(&["a", "b", "c"]), random.pick(&["12", "7", "a"]))
        }
        21 => format!("unset {}", random.pick(&["a", "arr[0]", "b", "m[k]"])),
        22 => format!("f {}", word(random, depth)),
        _ => random
            .pick(&[
                "declare -p arr",
                "mapfile -t arr <<< \"$a\"",
                "IFS=:",
                "IFS=,",
                "unset IFS",
                "set -e",
                "set -u",
                "set +eu",
                "shopt -s nullglob",
                "exit 4",
                "set -o pipefail",
                "break",
                "continue",
                "trap 'echo bye $?' EXIT",
            ])
            .to_owned(),
    }
}

fn command(random: &mut Random, depth: u32) -> String {
    if depth > 2 {
        return simple(random, depth);
    }
    let kind = random.below(24);
    let mut inner = || command(random, depth + 1);
    match kind {
        0 => format!("if {}; then {}; else {}; fi", inner(), inner(), inner()),
        1 => format!("{{ {}; {}; }}", inner(), inner()),
        2 => format!("( {}; {} )", inner(), inner()),
        3 => format!("( {} ) | {{ read -r x; echo \"<$x>\"; }}", inner()),
        4 => format!("{} && {}", inner(), inner()),
        5 => format!("{} || {}", inner(), inner()),
        6 => format!("! {}", inner()),
        7 => format!("f() {{ {}; {}; }}", inner(), inner()),
        8 => format!("for ((i=0;i<2;i++)); do {}; done", inner()),
        9 => {
            let body = inner();
            format!("for a in {} {}; do {body}; done", word(random, depth), word(random, depth))
        }
        10 => {
            let [first, second, third] = [inner(), inner(), inner()];
            let pattern = random.pick(&["foo", "\"$b\"", "?", "x*"]);
            format!("case {} in {pattern}) {first};; a*|[0-9]) {second};; *) {third};; esac", word(random, 2))
        }
        // A counter of its own for each depth, so that it ends.
        11 => format!("w{depth}=0; while ((w{depth}++ < 2)); do {}; done", inner()),
        _ => simple(random, depth),
    }
}

/// The script of a seed.
pub(crate) fn script(seed: u64) -> String {
    let mut random = Random(seed);
    let mut script =
        "FUNCNEST=8; n=3; a=abc; b=\"x y\"; c=; arr=(p \"q r\" s); declare -A m=([k]=v); f() { echo \"f:$#:$1\"; }\n"
            .to_owned();
    for _ in 0..3 + random.below(6) {
        let _ = writeln!(script, "{}", command(&mut random, 0));
        if random.below(8) == 0 {
            let _ = writeln!(script, "cat <<E\n{} {}\nE", word(&mut random, 2), word(&mut random, 2));
        }
    }
    script + "echo \"end $? $a|$b|$c|${arr[*]}|$n\"\n"
}

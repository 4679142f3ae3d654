//! The source files that comments and documents name.

use crate::source::text_files;

/// Files that a user has and the repository does not, or that a toolchain makes.
const ELSEWHERE: &[&str] = &["build.rs", "lib.rs", "main.rs", "mod.rs", "src/lib.rs", "src/main.rs"];

/// The names of Rust and WIT files in backticks. A function may follow: `` `source.rs::read` ``.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter_map(|quoted| {
        let path = quoted.split("::").next()?;
        let is_path = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
        (is_path && (path.ends_with(".rs") || path.ends_with(".wit"))).then_some(path)
    })
}

#[test]
fn every_source_file_that_a_comment_names_exists() {
    let files: Vec<String> = text_files(&["rs", "wit"]).into_iter().map(|(name, _)| format!("/{name}")).collect();
    let exists = |path: &str| files.iter().any(|file| file.ends_with(&format!("/{path}")));
    let mut offenders = Vec::new();
    for (file, text) in text_files(&["rs", "md", "wit", "toml"]) {
        let is_code = file.ends_with(".rs");
        for (number, line) in text.lines().enumerate() {
            let text = if is_code { line.split_once("//").map_or("", |(_, comment)| comment) } else { line };
            for path in named(text).filter(|path| !ELSEWHERE.contains(path) && !exists(path)) {
                offenders.push(format!("{file}:{}: {path}", number + 1));
            }
        }
    }
    crate::assert_none(&offenders, "files that are named and do not exist");
}

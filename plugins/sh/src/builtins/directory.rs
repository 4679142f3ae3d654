//! `cd`, `pwd` and the stack of directories.

use super::arguments::{options, write};
use crate::state::{Run, Shell};
use crate::system::FileKind;

/// A path without `.`, `..` and double slashes, as `cd -L` makes it. None: a part before a `..` is not there.
fn normal(shell: &Shell, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                let before = format!("/{}", parts.join("/"));
                if !shell.system.status(&before, true).is_ok_and(|status| status.kind == FileKind::Directory) {
                    return None;
                }
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let double = path.starts_with("//") && !path.starts_with("///");
    Some(format!("{}{}", if double { "//" } else { "/" }, parts.join("/")))
}

pub(super) fn cd(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "LPe@", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let mut physical = shell.is_on("physical");
    for (letter, _) in found {
        match letter {
            'L' => physical = false,
            'P' => physical = true,
            _ => {}
        }
    }
    if fields.len() > at + 1 {
        shell.builtin_error("too many arguments");
        return Ok(1);
    }
    let (target, shows) = match fields.get(at).map(String::as_str) {
        None => match shell.text_of("HOME") {
            Some(home) => (home, false),
            None => {
                shell.builtin_error("HOME not set");
                return Ok(1);
            }
        },
        Some("-") => match shell.text_of("OLDPWD") {
            Some(old) => (old, true),
            None => {
                shell.builtin_error("OLDPWD not set");
                return Ok(1);
            }
        },
        Some(target) => (target.to_owned(), false),
    };
    Ok(change(shell, &target, physical, shows))
}

/// The path that `cd` means with CDPATH, and whether it was found there.
fn along_cdpath(shell: &Shell, target: &str) -> (String, bool) {
    let fixed = target.starts_with('/')
        || target == "."
        || target == ".."
        || target.starts_with("./")
        || target.starts_with("../");
    let search = shell.text_of("CDPATH").filter(|_| !fixed).unwrap_or_default();
    for folder in search.split(':').filter(|_| !search.is_empty()) {
        let prefix = if folder.is_empty() { String::new() } else { format!("{}/", folder.trim_end_matches('/')) };
        let candidate = prefix + target;
        let status = shell.system.status(&shell.absolute(&candidate), true);
        if status.is_ok_and(|status| status.kind == FileKind::Directory) {
            return (candidate, !folder.is_empty());
        }
    }
    (target.to_owned(), false)
}

fn change(shell: &mut Shell, target: &str, physical: bool, mut shows: bool) -> i32 {
    if target.is_empty() && shell.posix() {
        shell.builtin_error(crate::system::Errno::ENOENT.text);
        return 1;
    }
    let (path, found) = along_cdpath(shell, target);
    shows |= found;
    let absolute = shell.absolute(&path);
    let logical = if physical { Some(absolute.clone()) } else { normal(shell, &absolute) };
    let resolved = logical.ok_or(crate::system::Errno::ENOENT).and_then(|logical| {
        let status = shell.system.status(&logical, true)?;
        if status.kind != FileKind::Directory {
            return Err(crate::system::Errno::ENOTDIR);
        }
        if !shell.system.may(&logical, 'x') {
            return Err(crate::system::Errno::EACCES);
        }
        if physical { shell.system.real_path(&logical) } else { Ok(logical) }
    });
    let new = match resolved {
        Ok(_) if target.is_empty() => shell.cwd.clone(),
        Ok(new) => new,
        Err(error) => {
            shell.builtin_error(&format!("{target}: {}", error.text));
            return 1;
        }
    };
    let old = shell.text_of("PWD");
    shell.cwd.clone_from(&new);
    let mut status = 0;
    for (name, value) in [("OLDPWD", old), ("PWD", Some(new.clone()))] {
        let Some(value) = value else { continue };
        if let Err(message) = shell.assign(name, None, value, false) {
            shell.builtin_error(&message);
            status = 1;
        }
    }
    if shows {
        return write(shell, &format!("{new}\n")).max(status);
    }
    status
}

pub(super) fn pwd(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, _) = match options(shell, fields, "LP", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let physical = found.last().map_or(shell.is_on("physical"), |(letter, _)| *letter == 'P');
    let path = if physical { shell.system.real_path(&shell.cwd) } else { Ok(shell.cwd.clone()) };
    Ok(match path {
        Ok(path) => write(shell, &format!("{path}\n")),
        Err(error) => {
            shell.builtin_error(error.text);
            1
        }
    })
}

fn shown(shell: &Shell, path: &str, long: bool) -> String {
    match shell.text_of("HOME").filter(|home| !home.is_empty() && home != "/") {
        Some(home) if !long && path == home => "~".to_owned(),
        Some(home) if !long && path.starts_with(&format!("{home}/")) => format!("~{}", &path[home.len()..]),
        _ => path.to_owned(),
    }
}

pub(super) fn dirs(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let mut all: Vec<String> = vec![shell.cwd.clone()];
    all.extend(shell.directories.iter().rev().cloned());
    let (mut long, mut lines, mut numbers) = (false, false, false);
    for field in &fields[1..] {
        match field.as_str() {
            "-c" => {
                shell.directories.clear();
                return Ok(0);
            }
            "-l" => long = true,
            "-p" => lines = true,
            "-v" => (lines, numbers) = (true, true),
            _ => match index(field, all.len()) {
                Some(at) => {
                    let text = shown(shell, &all[at], long) + "\n";
                    return Ok(write(shell, &text));
                }
                None => {
                    shell.builtin_error(&format!("{field}: directory stack index out of range"));
                    return Ok(1);
                }
            },
        }
    }
    let names: Vec<String> = all
        .iter()
        .enumerate()
        .map(
            |(at, path)| {
                if numbers { format!("{at:2}  {}", shown(shell, path, long)) } else { shown(shell, path, long) }
            },
        )
        .collect();
    Ok(write(shell, &(names.join(if lines { "\n" } else { " " }) + "\n")))
}

/// `+N` from the left and `-N` from the right.
fn index(field: &str, length: usize) -> Option<usize> {
    let number: usize = field.get(1..)?.parse().ok()?;
    let index = if field.starts_with('+') { number } else { length.checked_sub(number + 1)? };
    (index < length && field.starts_with(['+', '-'])).then_some(index)
}

pub(super) fn pushd(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let stays = fields.get(1).is_some_and(|field| field == "-n");
    let target = fields.get(1 + usize::from(stays)).cloned();
    let old = shell.cwd.clone();
    match target {
        None => {
            let Some(top) = shell.directories.pop() else {
                shell.builtin_error("no other directory");
                return Ok(1);
            };
            let status = change(shell, &top, false, false);
            if status != 0 {
                shell.directories.push(top);
                return Ok(status);
            }
            shell.directories.push(old);
        }
        Some(field) if field.starts_with(['+', '-']) && field.len() > 1 => {
            let mut all: Vec<String> = vec![old];
            all.extend(shell.directories.iter().rev().cloned());
            let Some(at) = index(&field, all.len()) else {
                shell.builtin_error(&format!("{field}: directory stack index out of range"));
                return Ok(1);
            };
            all.rotate_left(at);
            let status = change(shell, &all[0].clone(), false, false);
            if status != 0 {
                return Ok(status);
            }
            shell.directories = all[1..].iter().rev().cloned().collect();
        }
        Some(field) if stays => shell.directories.push(field),
        Some(field) => {
            let status = change(shell, &field, false, false);
            if status != 0 {
                return Ok(status);
            }
            shell.directories.push(old);
        }
    }
    dirs(shell, &[String::new()])
}

pub(super) fn popd(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let stays = fields.get(1).is_some_and(|field| field == "-n");
    if shell.directories.is_empty() {
        shell.builtin_error("directory stack empty");
        return Ok(1);
    }
    let length = shell.directories.len() + 1;
    match fields.get(1 + usize::from(stays)) {
        Some(field) => match index(field, length) {
            Some(at) if at > 0 => {
                shell.directories.remove(length - 1 - at);
            }
            Some(_) => return pop_top(shell),
            None => {
                shell.builtin_error(&format!("{field}: directory stack index out of range"));
                return Ok(1);
            }
        },
        None if stays => {
            shell.directories.pop();
        }
        None => return pop_top(shell),
    }
    dirs(shell, &[String::new()])
}

fn pop_top(shell: &mut Shell) -> Run<i32> {
    let Some(top) = shell.directories.pop() else { return Ok(1) };
    let status = change(shell, &top, false, false);
    if status != 0 { Ok(status) } else { dirs(shell, &[String::new()]) }
}

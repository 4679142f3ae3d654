//! How much there is: du and df. A file takes as many bytes as it has: the quota counts those, and WASI tells no
//! blocks.

use std::fs;
use std::path::Path;

use unix_common::syntax::{Given, Syntax, Take};
use whelk_guest::space;

use super::command::{failed, parse, worst};
use crate::utility::Arguments;

pub(super) fn du(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "du",
        usage: "du [OPTION]... [FILE]...",
        status: 1,
        options: &[
            ('a', "all", Take::Nothing),
            ('s', "summarize", Take::Nothing),
            ('h', "human-readable", Take::Nothing),
            ('b', "bytes", Take::Nothing),
            ('k', "", Take::Nothing),
            ('m', "", Take::Nothing),
            ('c', "total", Take::Nothing),
            ('d', "max-depth", Take::Value),
            ('\u{391}', "apparent-size", Take::Nothing),
            ('0', "null", Take::Nothing),
        ],
        stops: false,
    };
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    let depth = match given.value('d').map(str::parse::<usize>) {
        None if given.has('s') => 0,
        None => usize::MAX,
        Some(Ok(depth)) => depth,
        Some(Err(_)) => {
            let depth = given.value('d').unwrap_or_default();
            return SYNTAX.refuse(&format!("invalid maximum depth '{depth}'")).tell();
        }
    };
    if given.has('s') && given.has('a') {
        return SYNTAX.refuse("cannot both summarize and show all entries").tell();
    }
    let mut usage = Usage { given: &given, status: 0 };
    let roots = if given.operands.is_empty() { vec![".".to_owned()] } else { given.operands.clone() };
    let mut total = 0;
    for root in &roots {
        match fs::symlink_metadata(root) {
            Err(error) => usage.status = failed("du", &format!("cannot access '{root}'"), &error),
            Ok(_) => total += usage.count(Path::new(root), 0, depth),
        }
    }
    if given.has('c') {
        usage.show(total, "total");
    }
    usage.status
}

struct Usage<'a> {
    given: &'a Given,
    status: i32,
}

impl Usage<'_> {
    /// The bytes of a file, or of a folder with all that is in it.
    fn count(&mut self, path: &Path, level: usize, depth: usize) -> u64 {
        let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
        let mut bytes = metadata.len();
        if metadata.is_dir() {
            match fs::read_dir(path) {
                Err(error) => {
                    self.status = failed("du", &format!("cannot read directory '{}'", path.display()), &error);
                }
                Ok(entries) => {
                    let entries = entries.filter_map(Result::ok);
                    bytes += entries.map(|entry| self.count(&entry.path(), level + 1, depth)).sum::<u64>();
                }
            }
        }
        if level <= depth && (metadata.is_dir() || level == 0 || self.given.has('a')) {
            self.show(bytes, &path.display().to_string());
        }
        bytes
    }

    fn show(&self, bytes: u64, path: &str) {
        let size = if self.given.has('h') {
            human(bytes)
        } else if self.given.has('b') {
            bytes.to_string()
        } else {
            bytes.div_ceil(if self.given.has('m') { 1 << 20 } else { 1 << 10 }).to_string()
        };
        print!("{size}\t{path}{}", if self.given.has('0') { '\0' } else { '\n' });
    }
}

/// With a unit, rounded up, as GNU's programs have it: `4.0K`, `12M`.
fn human(bytes: u64) -> String {
    let mut unit = 0;
    let mut divisor = 1_u64;
    while bytes.div_ceil(divisor) >= 1024 && unit < 6 {
        (divisor, unit) = (divisor << 10, unit + 1);
    }
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(divisor));
    let name = ["", "K", "M", "G", "T", "P", "E"][unit];
    match tenths {
        _ if unit == 0 => bytes.to_string(),
        ..100 => format!("{}.{}{name}", tenths / 10, tenths % 10),
        _ => format!("{}{name}", bytes.div_ceil(divisor)),
    }
}

pub(super) fn df(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "df",
        usage: "df [OPTION]... [FILE]...",
        status: 1,
        options: &[
            ('h', "human-readable", Take::Nothing),
            ('i', "inodes", Take::Nothing),
            ('k', "", Take::Nothing),
            ('P', "portability", Take::Nothing),
            ('a', "all", Take::Nothing),
        ],
        stops: false,
    };
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    let named = !given.operands.is_empty();
    let paths = if named { given.operands.clone() } else { vec!["/".to_owned(), "/tmp".to_owned()] };
    let head = match (given.has('i'), given.has('h')) {
        (true, _) => ["Inodes", "IUsed", "IFree", "IUse%"],
        (false, true) => ["Size", "Used", "Avail", "Use%"],
        (false, false) => ["1K-blocks", "Used", "Available", "Use%"],
    };
    let mut rows = vec![head.map(str::to_owned)];
    let mut shown = vec!["Mounted on".to_owned()];
    let status = worst(paths.iter().map(|path| match space::statvfs(path) {
        // Without being asked for it, what is not there is left out.
        Err(_) if !named => 0,
        Err(error) => failed("df", path, &error.into()),
        Ok(room) => {
            let (all, free) =
                if given.has('i') { (room.total_files, room.free_files) } else { (room.total_bytes, room.free_bytes) };
            let used = all.saturating_sub(free);
            let size = |count: u64| match (given.has('i'), given.has('h')) {
                (true, _) => count.to_string(),
                (false, true) => human(count),
                (false, false) => count.div_ceil(1024).to_string(),
            };
            let percent = (used * 100).checked_div(all).map_or_else(|| "-".to_owned(), |part| format!("{part}%"));
            rows.push([size(all), size(used), size(free), percent]);
            shown.push(path.clone());
            0
        }
    }));
    let widths: Vec<usize> = (0..4).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    for (row, path) in rows.iter().zip(&shown).filter(|_| rows.len() > 1) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        let name = if path == "Mounted on" { "Filesystem" } else { "whelk" };
        println!("{name:<10} {} {path}", cells.join(" "));
    }
    status
}

//! Tables of figures, at most 120 columns wide.

use super::{Figures, Spread, Subject};
use crate::bench::rows::{SERVERS, TABLES, Table};

const TITLE: usize = 40;

/// All tables of these figures.
pub(crate) fn tables(figures: &Figures) -> String {
    TABLES.iter().map(|table| one(figures, table)).collect()
}

/// The names of its columns that have figures.
fn columns(figures: &Figures, table: &Table) -> Vec<&'static str> {
    let servers = SERVERS.map(super::super::server::Kind::name);
    let all = if table.columns.is_empty() { &servers[..] } else { table.columns };
    all.iter().copied().filter(|name| figures.has(name, |part| table.shows(part))).collect()
}

/// Medians, and where two or three are compared, the ratios of the first to the others. Nothing without figures.
fn one(figures: &Figures, table: &Table) -> String {
    let columns = columns(figures, table);
    let Some((first, others)) = columns.split_first() else { return String::new() };
    let has_ratios = others.len() <= 2;
    let mut text = format!("\n{:<TITLE$}", format!("{}, medians", table.title));
    text += &columns.iter().map(|name| format!("{name:>10}")).collect::<String>();
    if has_ratios {
        text += &others.iter().map(|name| format!("{:>25}", format!("by {name}, least-most"))).collect::<String>();
    }
    text.push('\n');
    for subject in figures.subjects().into_iter().filter(|subject| table.shows(&subject.part)) {
        text += &format!("{:<TITLE$}", title(figures, subject));
        for name in &columns {
            text += &figures
                .spread(subject, name)
                .map_or(format!("{:>10}", "-"), |it| format!("{:>10}", number(it.median)));
        }
        if has_ratios {
            text += &others.iter().map(|other| ratio(figures.ratio(subject, first, other))).collect::<String>();
        }
        text = text.trim_end().to_owned() + "\n";
    }
    text
}

fn ratio(ratio: Option<Spread>) -> String {
    let Some(Spread { least, median, most }) = ratio else { return format!("{:>10}{:15}", "-", "") };
    format!("{:>10} {:<14}", number(median), format!("{}-{}", number(least), number(most)))
}

/// The title with its unit; after that of another row that it begins with, only the rest.
fn title(figures: &Figures, subject: &Subject) -> String {
    let Subject { part, title, unit } = subject;
    match title.split_once(": ") {
        Some((of, rest)) if figures.subjects().iter().any(|other| other.part == *part && other.title == of) => {
            format!("  {rest}, {unit}")
        }
        _ => format!("{title}, {unit}"),
    }
}

/// Three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Figures beside those of an earlier run: medians of Whelk, and the medians of its ratios to the others, which a
/// machine that is faster or slower today does not change as much.
pub(crate) fn comparison(now: &Figures, before: &Figures) -> String {
    let mut text = format!("\n{:<TITLE$}{:>10}{:>10}{:>10}", "beside the earlier figures", "now", "before", "ratio");
    text += &format!("{:>26}{:>26}\n", "by sshd, now and before", "by russh, now and before");
    let mut found = false;
    for subject in now.subjects() {
        let first = TABLES.iter().find(|table| table.shows(&subject.part)).and_then(|table| table.columns.first());
        let first = first.copied().unwrap_or("whelk");
        let (Some(new), Some(old)) = (now.spread(subject, first), before.spread(subject, first)) else { continue };
        found = true;
        text += &format!("{:<TITLE$}{:>10}{:>10}", title(now, subject), number(new.median), number(old.median));
        let ratio = if old.median > 0.0 { number(new.median / old.median) } else { "-".to_owned() };
        text += &format!("{ratio:>10}");
        for peer in ["sshd", "russh"] {
            let ratios = now.ratio(subject, first, peer).zip(before.ratio(subject, first, peer));
            let ratios = ratios.map(|(new, old)| format!("{} {:>8}", number(new.median), number(old.median)));
            text += &format!("{:>26}", ratios.unwrap_or_default());
        }
        text = text.trim_end().to_owned() + "\n";
    }
    if found { text } else { "\nNothing of this was measured earlier.\n".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::Figure;
    use super::*;

    fn figures(all: &[(&str, &str, &str, [f64; 3])]) -> Figures {
        let mut figures = Figures::default();
        for (part, title, server, values) in all {
            for (run, value) in (1..).zip(*values) {
                let subject = Subject { part: (*part).into(), title: (*title).into(), unit: "us".into() };
                figures.add(Figure { subject, server: (*server).into(), run, value }).expect("no file");
            }
        }
        figures
    }

    #[test]
    fn a_table_has_medians_and_ratios_with_their_spread() {
        let figures = figures(&[
            ("echo", "echo, 1 session", "whelk", [10.0, 11.0, 12.0]),
            ("echo", "echo, 1 session", "sshd", [40.0, 44.0, 40.0]),
            ("echo", "echo, 1 session: p99", "whelk", [100.0, 300.0, 200.0]),
            ("processes", "pipe", "whelk", [1.0, 1.0, 1.0]),
            ("processes", "pipe", "kernel", [2.0, 0.5, 4.0]),
        ]);
        let expected = "\n\
            processes, medians                           whelk    kernel    by kernel, least-most\n\
            pipe, us                                      1.00      2.00     0.500 0.250-2.00\n\
            \n\
            server CPU, medians                          whelk      sshd      by sshd, least-most\n\
            echo, 1 session, us                           11.0      40.0     0.250 0.250-0.300\n\
            \x20 p99, us                                      200         -         -\n";
        assert_eq!(tables(&figures), expected);
    }

    #[test]
    fn earlier_figures_are_beside_those_of_now() {
        let before = figures(&[("echo", "echo", "whelk", [10.0; 3]), ("echo", "echo", "russh", [20.0; 3])]);
        let now = figures(&[
            ("echo", "echo", "whelk", [8.0; 3]),
            ("echo", "echo", "russh", [10.0; 3]),
            ("up", "upload", "whelk", [1.0; 3]),
        ]);
        let text = comparison(&now, &before);
        let last =
            format!("{:<40}{:>10}{:>10}{:>10}{:>26}{:>26}", "echo, us", "8.00", "10.0", "0.800", "", "0.800    0.500");
        assert_eq!(text.lines().skip(2).collect::<Vec<_>>(), [last]);
        assert_eq!(comparison(&now, &Figures::default()), "\nNothing of this was measured earlier.\n");
    }
}

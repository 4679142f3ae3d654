//! Tables of figures.

use super::{Figures, Spread, Subject, markdown, number};
use crate::bench::rows::{SERVERS, TABLES, Table};

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
    let with_ratios = if others.len() <= 2 { others } else { &[] };
    let mut heads = vec![format!("{}, medians", table.title)];
    heads.extend(columns.iter().map(|name| (*name).to_owned()));
    heads.extend(with_ratios.iter().map(|name| format!("by {name} (range)")));
    let mut rows = vec![heads];
    for subject in figures.subjects().into_iter().filter(|subject| table.shows(&subject.part)) {
        let median = |name: &&str| figures.spread(subject, name).map(|spread| number(spread.median));
        let mut row = vec![title(figures, subject)];
        row.extend(columns.iter().map(|name| median(name).unwrap_or_else(nothing)));
        row.extend(with_ratios.iter().map(|other| ratio(figures.ratio(subject, first, other))));
        rows.push(row);
    }
    format!("\n{}", markdown::table(&rows))
}

fn ratio(ratio: Option<Spread>) -> String {
    let shown = |Spread { least, median, most }| format!("{} ({}-{})", number(median), number(least), number(most));
    ratio.map_or_else(nothing, shown)
}

fn nothing() -> String {
    "-".to_owned()
}

/// The title with its unit; after that of another row that it begins with, only the rest.
fn title(figures: &Figures, subject: &Subject) -> String {
    let Subject { part, title, unit } = subject;
    match title.split_once(": ") {
        Some((of, rest)) if figures.subjects().iter().any(|other| other.part == *part && other.title == of) => {
            format!("- {rest}, {unit}")
        }
        _ => format!("{title}, {unit}"),
    }
}

/// Figures beside those of an earlier run: medians of Whelk, and the medians of its ratios to the others, which a
/// machine that is faster or slower today does not change as much.
pub(crate) fn comparison(now: &Figures, before: &Figures) -> String {
    let heads =
        ["beside the earlier figures", "now", "before", "ratio", "by sshd: now, before", "by russh: now, before"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for subject in now.subjects() {
        let first = TABLES.iter().find(|table| table.shows(&subject.part)).and_then(|table| table.columns.first());
        let first = first.copied().unwrap_or("whelk");
        let (Some(new), Some(old)) = (now.spread(subject, first), before.spread(subject, first)) else { continue };
        let ratio = if old.median > 0.0 { number(new.median / old.median) } else { nothing() };
        let mut row = vec![title(now, subject), number(new.median), number(old.median), ratio];
        for peer in ["sshd", "russh"] {
            let ratios = now.ratio(subject, first, peer).zip(before.ratio(subject, first, peer));
            let ratios = ratios.map(|(new, old)| format!("{}, {}", number(new.median), number(old.median)));
            row.push(ratios.unwrap_or_else(nothing));
        }
        rows.push(row);
    }
    if rows.len() > 1 {
        format!("\n{}", markdown::table(&rows))
    } else {
        "\nNothing of this was measured earlier.\n".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Figure;
    use super::*;
    use crate::bench::rows::{rows, titles};

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
        let expected = "
| processes, medians | whelk | kernel |  by kernel (range) |
|--------------------|------:|-------:|-------------------:|
| pipe, us           |  1.00 |   2.00 | 0.500 (0.250-2.00) |

| server CPU, medians | whelk | sshd |     by sshd (range) |
|---------------------|------:|-----:|--------------------:|
| echo, 1 session, us |  11.0 | 40.0 | 0.250 (0.250-0.300) |
| - p99, us           |   200 |    - |                   - |
";
        assert_eq!(tables(&figures), expected);
    }

    #[test]
    fn the_tables_of_the_rows_fit_120_columns() {
        let mut figures = Figures::default();
        for row in rows(&[1000, 10_000]) {
            for (title, unit) in titles(&row.title, &row.load) {
                let subject = Subject { part: row.part.into(), title, unit: unit.into() };
                for (server, value) in [("whelk", 12.0), ("sshd", 1234.0), ("russh", 1234.0)] {
                    let (subject, server) = (subject.clone(), server.to_owned());
                    figures.add(Figure { subject, server, run: 1, value }).expect("no file");
                }
            }
        }
        let text = tables(&figures);
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        assert!(text.contains("| - p99, us "), "{text}");
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
        let last = text.lines().last().expect("a row");
        let cells: Vec<&str> = last.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells, ["echo, us", "8.00", "10.0", "0.800", "-", "0.800, 0.500"]);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert_eq!(comparison(&now, &Figures::default()), "\nNothing of this was measured earlier.\n");
    }
}

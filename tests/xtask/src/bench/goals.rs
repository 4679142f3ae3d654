//! The goals: how much each figure of Whelk may be, beside that of another server, of another row, or by itself.

use super::report::markdown::{paragraph, table as lay_out};
use super::report::{Figures, Spread, Subject, number, ratios};
use super::server::Kind;

/// One goal.
struct Goal {
    /// The title of the row. `*` stands for any number.
    title: &'static str,
    beside: Beside,
    limit: f64,
    judged: Judged,
}

/// What the figure of Whelk is compared with, always that of the same run.
enum Beside {
    /// Nothing: the limit is in the unit of the row.
    Nothing,
    /// The figure of this server.
    Server(&'static str),
    /// That of Whelk in the row of this title.
    Row(&'static str),
    /// The same, but what counts is the difference, in the unit of the row.
    Difference(&'static str),
}

/// What must not be above the limit.
#[derive(Clone, Copy, PartialEq)]
enum Judged {
    /// The median of all runs.
    Median,
    /// The most of all runs.
    Most,
}

const fn median(title: &'static str, beside: Beside, limit: f64) -> Goal {
    Goal { title, beside, limit, judged: Judged::Median }
}

const fn always(title: &'static str, limit: f64) -> Goal {
    Goal { title, beside: Beside::Nothing, limit, judged: Judged::Most }
}

const RUSSH: Beside = Beside::Server("russh");
const SSHD: Beside = Beside::Server("sshd");

/// All of them.
const GOALS: [Goal; 24] = [
    median("handshake", RUSSH, 0.6),
    median("handshake", SSHD, 1.0 / 60.0),
    median("handshake, ML-KEM", Beside::Difference("handshake"), 0.03),
    median("session", RUSSH, 1.5),
    median("session", SSHD, 1.0 / 30.0),
    median("echo, 8 sessions", RUSSH, 1.0),
    median("echo, 8 sessions", SSHD, 0.25),
    median("download aes256-gcm", RUSSH, 0.9),
    median("download aes256-gcm", SSHD, 0.25),
    median("download chacha20-poly1305", SSHD, 0.47),
    median("upload aes256-gcm", RUSSH, 1.0),
    median("upload aes256-gcm", SSHD, 0.25),
    median("upload chacha20-poly1305", SSHD, 0.5),
    median("* idle sessions", Beside::Nothing, 48.0),
    median("* idle sessions after 32 KiB", Beside::Nothing, 96.0),
    median("no session, resident", Beside::Nothing, 16.0),
    median("* idle sessions: kept, of all before", Beside::Nothing, 10.0),
    median("kept after 10 x * sessions", Beside::Nothing, 10.0),
    // None: within what two measurements of the same server differ by.
    median("kept after 10 x * sessions: growth since round 2", Beside::Nothing, 2.0),
    median("echo beside 8 downloads: p99", Beside::Row("echo, 1 session: p99"), 2.0),
    always("slowest start, plugin replaced", 5.0),
    always("slowest start, plugin replaced: failed", 0.0),
    always("slowest start, replaced, 2 cores", 5.0),
    always("slowest start, replaced, 2 cores: failed", 0.0),
];

/// Whose goals these are.
const WHELK: &str = Kind::Whelk.name();

/// What no server of the bench can be compared with.
const NOTE: &str = "Not in the bench: libssh and ssh2. For ChaCha20-Poly1305, where they are the best peers, the goal \
                    beside OpenSSH stands alone.";

/// A goal and what was measured, for one row.
struct Verdict {
    row: String,
    limit: String,
    measured: Spread,
    met: bool,
}

impl Goal {
    /// One verdict for each row that it is about, none if there are no figures.
    fn verdicts(&self, figures: &Figures) -> Vec<Verdict> {
        let rows = figures.subjects().into_iter().filter(|subject| matches(self.title, &subject.title));
        rows.filter_map(|subject| {
            let measured = Spread::of(self.measured(figures, subject))?;
            let judged = if self.judged == Judged::Most { measured.most } else { measured.median };
            Some(Verdict {
                row: subject.title.clone(),
                limit: self.limit(&subject.unit),
                measured,
                met: judged <= self.limit,
            })
        })
        .collect()
    }

    fn measured(&self, figures: &Figures, subject: &Subject) -> Vec<f64> {
        let own = (subject, WHELK);
        let of_row = |title: &str| {
            let row = figures.subjects().into_iter().find(|other| other.title == title);
            row.map(|row| figures.of_same_runs(own, (row, WHELK))).unwrap_or_default()
        };
        match self.beside {
            Beside::Nothing => figures.of_same_runs(own, own).into_iter().map(|(one, _)| one).collect(),
            Beside::Server(server) => ratios(&figures.of_same_runs(own, (subject, server))),
            Beside::Row(title) => ratios(&of_row(title)),
            Beside::Difference(title) => of_row(title).into_iter().map(|(one, other)| one - other).collect(),
        }
    }

    /// The limit as a reader sees it.
    fn limit(&self, unit: &str) -> String {
        let parts = (1.0 / self.limit).round();
        let limit = if self.limit < 0.1 && (parts * self.limit - 1.0).abs() < 1e-9 && !self.has_unit() {
            format!("1/{parts}")
        } else {
            format!("{}", self.limit)
        };
        let at = if self.judged == Judged::Most { ", in each run" } else { "" };
        match self.beside {
            Beside::Nothing => format!("{limit} {unit}{at}"),
            Beside::Server(name) => format!("{limit} x {name}"),
            Beside::Row(title) => format!("{limit} x {title}"),
            Beside::Difference(title) => format!("{limit} {unit} above {title}"),
        }
    }

    fn name(&self) -> String {
        match self.beside {
            Beside::Server(server) => format!("{} beside {server}", self.title),
            _ => self.title.to_owned(),
        }
    }

    fn has_unit(&self) -> bool {
        matches!(self.beside, Beside::Nothing | Beside::Difference(_))
    }
}

/// Whether a title is this one. `*` in the pattern stands for any number.
fn matches(pattern: &str, title: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == title };
    let number = title.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|one| one.is_ascii_digit()))
}

/// The table of the goals, then those that are not met and those that were not measured. Nothing if none was measured.
pub(crate) fn table(figures: &Figures) -> String {
    let verdicts: Vec<Verdict> = GOALS.iter().flat_map(|goal| goal.verdicts(figures)).collect();
    if verdicts.is_empty() {
        return String::new();
    }
    let heads = ["goal", "limit", "median", "least-most", "met"].map(str::to_owned).to_vec();
    let cells = |verdict: &Verdict| {
        let Spread { least, median, most } = verdict.measured;
        let met = if verdict.met { "yes" } else { "**no**" };
        let range = format!("{}-{}", number(least), number(most));
        vec![verdict.row.clone(), verdict.limit.clone(), number(median), range, met.to_owned()]
    };
    let rows: Vec<_> = std::iter::once(heads).chain(verdicts.iter().map(cells)).collect();
    let missed = |Verdict { row, limit, measured, .. }: &Verdict| {
        format!(
            "{row}: {} (least {}, most {}), {limit}",
            number(measured.median),
            number(measured.least),
            number(measured.most)
        )
    };
    let missed: Vec<_> = verdicts.iter().filter(|verdict| !verdict.met).map(missed).collect();
    let unmeasured: Vec<_> = GOALS.iter().filter(|goal| goal.verdicts(figures).is_empty()).map(Goal::name).collect();
    let mut text = format!("\n{}", lay_out(&rows));
    text += &paragraph(&if missed.is_empty() {
        "Every goal that was measured is met.".to_owned()
    } else {
        format!("Goals that are not met: {}.", missed.join("; "))
    });
    if !unmeasured.is_empty() {
        text += &paragraph(&format!("Goals that were not measured: {}.", unmeasured.join("; ")));
    }
    text + &paragraph(NOTE)
}

#[cfg(test)]
mod tests {
    use super::super::report::Figure;
    use super::super::rows::{Row, rows, titles};
    use super::*;

    fn figures(all: &[(&str, &str, &str, &[f64])]) -> Figures {
        let mut figures = Figures::default();
        for (title, unit, server, values) in all {
            for (run, value) in (1..).zip(*values) {
                let subject = Subject { part: "part".into(), title: (*title).into(), unit: (*unit).into() };
                figures.add(Figure { subject, server: (*server).into(), run, value: *value }).expect("no file");
            }
        }
        figures
    }

    fn met(goal: &Goal, figures: &Figures) -> Vec<bool> {
        goal.verdicts(figures).iter().map(|verdict| verdict.met).collect()
    }

    #[test]
    fn each_goal_is_about_a_row_of_the_bench() {
        let titles = |row: &Row| titles(&row.title, &row.load).into_iter().map(|(title, _)| title).collect::<Vec<_>>();
        let titles: Vec<String> = rows(&[1000, 10_000]).iter().flat_map(titles).collect();
        for goal in &GOALS {
            assert!(titles.iter().any(|title| matches(goal.title, title)), "no row {:?}", goal.title);
            if let Beside::Row(title) | Beside::Difference(title) = goal.beside {
                assert!(titles.iter().any(|other| other == title), "no row {title:?}");
            }
        }
    }

    #[test]
    fn a_star_is_any_number() {
        assert!(matches("* idle sessions", "10000 idle sessions"));
        assert!(!matches("* idle sessions", "10000 idle sessions after 32 KiB"));
        assert!(!matches("* idle sessions", " idle sessions") && !matches("* idle sessions", "few idle sessions"));
        assert!(matches("session", "session") && !matches("session", "sessions"));
    }

    #[test]
    fn a_goal_is_judged_by_ratio_difference_or_value() {
        let figures = figures(&[
            // The machine is half as fast in the second run.
            ("session", "ms", "whelk", &[0.1, 0.2, 0.4]),
            ("session", "ms", "russh", &[0.2, 0.4, 0.1]),
            ("more", "ms", "whelk", &[0.3, 0.4, 0.5]),
            ("9 idle", "KiB", "whelk", &[7.0, 9.0, 8.0]),
        ]);
        assert_eq!(met(&median("session", RUSSH, 0.5), &figures), [true]);
        assert_eq!(met(&median("session", RUSSH, 0.49), &figures), [false]);
        assert_eq!(met(&median("session", SSHD, 1.0), &figures), [false; 0]);
        assert_eq!(met(&median("more", Beside::Difference("session"), 0.21), &figures), [true]);
        assert_eq!(met(&median("more", Beside::Difference("session"), 0.19), &figures), [false]);
        assert_eq!(met(&median("more", Beside::Row("session"), 2.0), &figures), [true]);
        assert_eq!(met(&median("more", Beside::Row("gone"), 2.0), &figures), [false; 0]);
        assert_eq!(met(&median("* idle", Beside::Nothing, 8.0), &figures), [true]);
        assert_eq!(met(&always("* idle", 8.0), &figures), [false]);
        assert_eq!(met(&always("* idle", 9.0), &figures), [true]);
    }

    #[test]
    fn goals_that_are_not_met_and_not_measured_are_named() {
        let figures = figures(&[
            ("session", "ms", "whelk", &[0.1, 0.2]),
            ("session", "ms", "sshd", &[6.0, 6.0]),
            ("slowest start, plugin replaced", "ms", "whelk", &[4.0, 5.5]),
        ]);
        let text = table(&figures);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("| s")).collect();
        assert_eq!(
            lines,
            [
                "| session                        |       1/30 x sshd | 0.0333 | 0.0167-0.0333 |    yes |",
                "| slowest start, plugin replaced | 5 ms, in each run |   5.50 |     4.00-5.50 | **no** |",
            ]
        );
        let missed = "slowest start, plugin replaced: 5.50 (least 4.00, most 5.50), 5 ms, in each run.";
        assert!(text.contains(&format!("\nGoals that are not met: {missed}\n")), "{text}");
        assert!(
            text.contains("\nGoals that were not measured: handshake beside russh; handshake beside sshd;"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        assert_eq!(table(&Figures::default()), "");
    }
}

//! The figures of a run: kept as lines of JSON, and shown as tables and plots.

pub(crate) mod markdown;
pub(crate) mod plot;
pub(crate) mod table;

use crate::step::{Outcome, doing, output};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// What is measured: a row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) part: String,
    /// With `: ` before what distinguishes it from the row of the title before that.
    pub(crate) title: String,
    pub(crate) unit: String,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) subject: Subject,
    /// The server, or whatever else a column of the table is.
    pub(crate) server: String,
    /// From 1.
    pub(crate) run: u64,
    pub(crate) value: f64,
}

/// All of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    all: Vec<Figure>,
    /// Where, when and of what they are: see [`machine`].
    machine: Value,
    /// Where each is written as soon as it is there.
    file: Option<File>,
}

/// Least, median and most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// `None` without figures.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let median = *figures.get(figures.len() / 2)?;
        Some(Self { least: *figures.first()?, median, most: *figures.last()? })
    }
}

impl Figures {
    /// For figures that are also written into a file, after a line about this machine.
    pub(crate) fn kept_in(file: &Path, machine: &Value) -> Outcome<Self> {
        let mut kept = doing(file.display(), File::create(file))?;
        doing(file.display(), writeln!(kept, "{machine}"))?;
        Ok(Self { all: Vec::new(), machine: machine.clone(), file: Some(kept) })
    }

    /// From such a file.
    pub(crate) fn read(file: &Path) -> Outcome<Self> {
        let text = doing(file.display(), fs::read_to_string(file))?;
        let mut figures = Self::default();
        for (line, number) in text.lines().zip(1..) {
            let place = || format!("{}, line {number}", file.display());
            let value: Value = serde_json::from_str(line).map_err(|error| format!("{}: {error}", place()))?;
            if value.get("machine").is_some() {
                figures.machine = value;
                continue;
            }
            figures.all.push(Figure::read(&value).ok_or_else(|| format!("{}: no figure: {line}", place()))?);
        }
        Ok(figures)
    }

    pub(crate) fn add(&mut self, figure: Figure) -> Outcome {
        let Figure { subject: Subject { part, title, unit }, server, run, value } = &figure;
        eprintln!("{title}, {unit}, {run}: {server} {value:.4}");
        if let Some(file) = &mut self.file {
            let line = json!({
                "part": part, "title": title, "unit": unit, "server": server, "run": run, "value": value
            });
            doing("the figures", writeln!(file, "{line}"))?;
        }
        self.all.push(figure);
        Ok(())
    }

    /// What was measured, in this order.
    pub(crate) fn subjects(&self) -> Vec<&Subject> {
        let mut subjects: Vec<&Subject> = Vec::new();
        for Figure { subject, .. } in &self.all {
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
        subjects
    }

    /// Whether there is a figure of this server for one of the parts.
    pub(crate) fn has(&self, server: &str, shows: impl Fn(&str) -> bool) -> bool {
        self.all.iter().any(|figure| figure.server == server && shows(&figure.subject.part))
    }

    fn of<'a>(&'a self, subject: &'a Subject, server: &'a str) -> impl Iterator<Item = &'a Figure> {
        self.all.iter().filter(move |figure| figure.subject == *subject && figure.server == server)
    }

    /// The figures of one server.
    pub(crate) fn spread(&self, subject: &Subject, server: &str) -> Option<Spread> {
        Spread::of(self.of(subject, server).map(|figure| figure.value).collect())
    }

    /// The figures of a server for a subject, each beside another one of the same run.
    pub(crate) fn of_same_runs(&self, one: (&Subject, &str), other: (&Subject, &str)) -> Vec<(f64, f64)> {
        let beside = |run| self.of(other.0, other.1).find(|figure| figure.run == run);
        self.of(one.0, one.1).filter_map(|figure| Some((figure.value, beside(figure.run)?.value))).collect()
    }

    /// One server's figures by another's, each by that of the same run.
    pub(crate) fn ratio(&self, subject: &Subject, server: &str, by: &str) -> Option<Spread> {
        Spread::of(ratios(&self.of_same_runs((subject, server), (subject, by))))
    }

    /// How often something was measured at most.
    fn runs(&self) -> u64 {
        self.all.iter().map(|figure| figure.run).max().unwrap_or_default()
    }

    /// Where, when and how they were measured, in a sentence.
    pub(crate) fn circumstances(&self) -> String {
        let text = |name: &str| self.machine[name].as_str().unwrap_or("unknown").to_owned();
        let commit =
            self.machine["commit"].as_str().map_or_else(String::new, |commit| format!(", commit {commit:.12}"));
        format!(
            "Measured on {}, {} processors, Linux {}, at {}{commit}: medians of {} alternating runs, server on core 0, \
             client on core 1, program of profile {}. CPU time is from {}.",
            text("machine"),
            self.machine["processors"],
            text("kernel"),
            text("time"),
            self.runs(),
            text("profile"),
            text("cpu time"),
        )
    }
}

/// The first of each pair by the second. Where there is nothing to divide by there is no ratio.
pub(crate) fn ratios(pairs: &[(f64, f64)]) -> Vec<f64> {
    pairs.iter().filter(|(_, by)| *by > 0.0).map(|(one, by)| one / by).collect()
}

/// Three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.1.. => format!("{value:.3}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.4}"),
    }
}

impl Figure {
    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let subject = Subject { part: text("part")?, title: text("title")?, unit: text("unit")? };
        Some(Self { subject, server: text("server")?, run: value["run"].as_u64()?, value: value["value"].as_f64()? })
    }
}

/// The first line of a file of figures: where, when and of what they are. `source`: where the CPU time comes from.
/// `profile`: how the program was built.
pub(crate) fn machine(repository: &Path, source: &str, profile: &str) -> Outcome<Value> {
    let processors = doing("/proc/cpuinfo", fs::read_to_string("/proc/cpuinfo"))?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let said = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        output(command.current_dir(repository).args(arguments)).map(|text| text.trim().to_owned())
    };
    Ok(json!({
        "machine": model.map_or("unknown", |(_, name)| name),
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "kernel": said("uname", &["-r"])?,
        "profile": profile,
        "time": said("date", &["-u", "+%FT%TZ"])?,
        // There is none in a copy of the sources without their history.
        "commit": said("git", &["rev-parse", "HEAD"]).ok(),
        "cpu time": source,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(title: &str) -> Subject {
        Subject { part: "echo".to_owned(), title: title.to_owned(), unit: "us".to_owned() }
    }

    fn figure(server: &str, run: u64, value: f64) -> Figure {
        Figure { subject: subject("echo"), server: server.to_owned(), run, value }
    }

    #[test]
    fn figures_are_read_as_they_were_written() {
        let file = std::env::temp_dir().join(format!("figures-{}.jsonl", std::process::id()));
        let mut written = Figures::kept_in(&file, &json!({ "machine": "one" })).expect("a file");
        let all = [figure("whelk", 1, 0.1 + 0.2), figure("sshd", 1, 17.0)];
        all.iter().for_each(|figure| written.add(figure.clone()).expect("a line"));
        let read = Figures::read(&file).expect("the same file");
        assert_eq!(read.all, all);
        fs::write(&file, "{\"title\": \"echo\"}\n").expect("a file");
        let error = Figures::read(&file).expect_err("no figure");
        assert!(error.ends_with(r#".jsonl, line 1: no figure: {"title": "echo"}"#), "{error}");
        fs::remove_file(&file).expect("the file");
    }

    #[test]
    fn ratios_are_those_of_one_run() {
        let mut figures = Figures::default();
        // The machine is twice as fast in the second run, and lacks the other server in the fourth.
        let all = [("whelk", [10.0, 5.0, 12.0]), ("sshd", [40.0, 20.0, 40.0])];
        for (server, values) in all {
            (1..).zip(values).for_each(|(run, value)| figures.add(figure(server, run, value)).expect("no file"));
        }
        figures.add(figure("whelk", 4, 1.0)).expect("no file");
        let (echo, ratio) = (subject("echo"), Spread { least: 0.25, median: 0.25, most: 0.3 });
        assert_eq!(figures.ratio(&echo, "whelk", "sshd"), Some(ratio));
        assert_eq!(figures.ratio(&echo, "whelk", "russh"), None);
        assert_eq!(figures.spread(&echo, "sshd"), Some(Spread { least: 20.0, median: 40.0, most: 40.0 }));
    }
}

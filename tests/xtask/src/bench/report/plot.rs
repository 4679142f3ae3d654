//! Plots of figures: an SVG for each part of the bench, with bars of medians and lines from the least to the most.
//!
//! Each row has its own scale, since rows have different units: bars compare servers, numbers compare rows.

use super::{Figures, Spread, Subject, number};
use crate::bench::rows::{SERVERS, TABLES};
use crate::step::{Outcome, doing};
use std::fs;
use std::path::Path;

const WIDTH: f64 = 720.0;
/// Where bars begin; the names of the servers are left of it.
const LEFT: f64 = 72.0;
/// The length of the longest bar; its number is right of it.
const LONGEST: f64 = 540.0;
const TITLE: f64 = 24.0;
const BAR: f64 = 16.0;
/// Between two rows.
const GAP: f64 = 10.0;

/// Colours that are seen on light and on dark pages.
const STYLE: &str = "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.whelk{fill:#3b82c4}\
                     .sshd{fill:#8a929b}.russh{fill:#d08a3c}.other{fill:#8a929b}line{stroke:#222;stroke-width:1.5}\
                     @media(prefers-color-scheme:dark){text{fill:#ddd}line{stroke:#eee}}";

/// Writes `PART.svg` into a folder, for each part that compares servers.
pub(crate) fn plots(figures: &Figures, folder: &Path) -> Outcome {
    doing(folder.display(), fs::create_dir_all(folder))?;
    let compares_servers = |part: &str| TABLES.iter().any(|table| table.columns.is_empty() && table.shows(part));
    let subjects = figures.subjects();
    let mut parts: Vec<&str> = subjects.iter().map(|subject| subject.part.as_str()).collect();
    parts.dedup();
    for part in parts.into_iter().filter(|part| compares_servers(part)) {
        let rows: Vec<&Subject> = subjects.iter().copied().filter(|subject| subject.part == part).collect();
        let file = folder.join(format!("{part}.svg"));
        doing(file.display(), fs::write(&file, plot(figures, &rows)))?;
    }
    Ok(())
}

fn plot(figures: &Figures, subjects: &[&Subject]) -> String {
    let (mut rows, mut top) = (String::new(), GAP);
    for subject in subjects {
        let bars: Vec<(&str, Spread)> = SERVERS
            .iter()
            .filter_map(|server| Some((server.name(), figures.spread(subject, server.name())?)))
            .collect();
        let most = bars.iter().map(|(_, spread)| spread.most).fold(0.0, f64::max);
        let title = format!("{}, {}", subject.title, subject.unit);
        rows += &format!("<text class=\"title\" x=\"8\" y=\"{:.0}\">{title}</text>\n", top + TITLE - 8.0);
        top += TITLE;
        for (name, spread) in &bars {
            bar(&mut rows, top, name, *spread, if most > 0.0 { LONGEST / most } else { 0.0 });
            top += BAR;
        }
        top += GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" height=\"{top}\">\n\
         <style>{STYLE}</style>\n{rows}</svg>\n"
    )
}

/// One bar, `scale` pixels for each of the unit.
fn bar(rows: &mut String, top: f64, name: &str, Spread { least, median, most }: Spread, scale: f64) {
    // What a server keeps of memory may be less than nothing.
    let at = |value: f64| LEFT + value.max(0.0) * scale;
    let (middle, text) = (top + BAR / 2.0, top + BAR - 4.0);
    let (height, width, end) = (BAR - 3.0, (at(median) - LEFT).max(1.0), at(most) + 8.0);
    let lines = [
        format!("<text x=\"{:.0}\" y=\"{text:.0}\" text-anchor=\"end\">{name}</text>", LEFT - 8.0),
        format!("<rect class=\"{name}\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height}\"/>"),
        format!("<line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\"/>", at(least), at(most)),
        format!("<text x=\"{end:.1}\" y=\"{text:.0}\">{}</text>", number(median)),
    ];
    *rows += &(lines.join("\n") + "\n");
}

#[cfg(test)]
mod tests {
    use super::super::Figure;
    use super::*;

    #[test]
    fn the_longest_line_ends_at_the_scale_and_bars_at_the_medians() {
        let subject = Subject { part: "echo".into(), title: "echo".into(), unit: "us".into() };
        let mut figures = Figures::default();
        for (server, values) in [("whelk", [10.0, 20.0, 30.0]), ("russh", [40.0, 40.0, 60.0])] {
            for (run, value) in (1..).zip(values) {
                let (subject, server) = (subject.clone(), server.to_owned());
                figures.add(Figure { subject, server, run, value }).expect("no file");
            }
        }
        let svg = plot(&figures, &[&subject]);
        // 540 pixels for the most of all, 60: nine for one.
        assert!(svg.contains(r#"<rect class="whelk" x="72" y="34.0" width="180.0" height="13"/>"#), "{svg}");
        assert!(svg.contains(r#"<rect class="russh" x="72" y="50.0" width="360.0" height="13"/>"#), "{svg}");
        assert!(svg.contains(r#"<line x1="162.0" y1="42.0" x2="342.0" y2="42.0"/>"#), "{svg}");
        assert!(svg.contains(r#"<line x1="432.0" y1="58.0" x2="612.0" y2="58.0"/>"#), "{svg}");
        assert!(svg.contains(r#">20.0</text>"#) && svg.contains(r#"viewBox="0 0 720 76""#), "{svg}");
    }
}

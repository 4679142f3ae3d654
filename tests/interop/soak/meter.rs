//! The memory and the descriptors of the server over time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use whelk_tests::Gateway;

use super::load::Load;

/// What the server has at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Minutes since the first.
    at: f64,
    /// Resident memory, bytes.
    memory: f64,
    files: f64,
}

/// Samples the server after the warm-up, until the time is over or the load is.
pub(super) fn measure(load: &Load, warm_up: Duration, measured: Duration, every: Duration) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut goes_on = load.pause(warm_up);
    let began = Instant::now();
    while goes_on && began.elapsed() <= measured {
        let at = began.elapsed().as_secs_f64() / 60.0;
        let gateway = &load.site.gateway;
        samples.push(Sample { at, memory: gateway.resident_memory() as f64, files: gateway.open_files() as f64 });
        goes_on = load.pause(every);
    }
    samples
}

/// What the server has open.
pub(super) fn descriptors(gateway: &Gateway) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("the server runs");
    // One may be closed meanwhile.
    folder.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect()
}

/// A straight line through samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Growth in a minute.
    pub(super) slope: f64,
    /// The value of the line at the first sample ...
    pub(super) first: f64,
    /// ... and how much higher it is at the last.
    pub(super) grown: f64,
}

/// The lines of both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    pub(super) memory: Line,
    pub(super) files: Line,
}

pub(super) fn growth(samples: &[Sample]) -> Growth {
    let of = |value: fn(&Sample) -> f64| {
        let points: Vec<_> = samples.iter().map(|sample| (sample.at, value(sample))).collect();
        line(&points)
    };
    Growth { memory: of(|sample| sample.memory), files: of(|sample| sample.files) }
}

/// The line of the least squares through points, of which the first and the last are the ends.
fn line(points: &[(f64, f64)]) -> Line {
    let count = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (at, middle) = (mean(|point| point.0), mean(|point| point.1));
    let square: f64 = points.iter().map(|point| (point.0 - at).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - at) * (point.1 - middle)).sum::<f64>() / square;
    let [(begin, _), .., (end, _)] = points else { panic!("{} samples make no line", points.len()) };
    Line { slope, first: middle + slope * (begin - at), grown: slope * (end - begin) }
}

#[test]
fn a_line_goes_through_its_points_or_between_them() {
    let Line { slope, first, grown } = line(&[(0.0, 5.0), (1.0, 7.0), (3.0, 11.0)]);
    assert!((slope - 2.0).abs() < 1e-9 && (first - 5.0).abs() < 1e-9 && (grown - 6.0).abs() < 1e-9);
    let Line { slope, first, grown } = line(&[(0.0, 0.0), (1.0, 4.0), (2.0, 2.0)]);
    assert!((slope - 1.0).abs() < 1e-9 && (first - 1.0).abs() < 1e-9 && (grown - 2.0).abs() < 1e-9);
}

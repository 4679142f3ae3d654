//! The queries of the alerts and of the dashboard ask for metrics and labels that there are.
//!
//! A tokenizer instead of a parser: `promtool check rules` says in the tests of real clients whether the alerts parse.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::observe::metrics::{ALL, MetricDescription, MetricKind};

/// Functions and aggregations.
const FUNCTIONS: [&str; 8] = ["rate", "increase", "sum", "min", "max", "topk", "histogram_quantile", "label_values"];
/// Words that are followed by the names of labels in parentheses.
const GROUPING: [&str; 4] = ["by", "without", "on", "ignoring"];
const OPERATORS: [&str; 3] = ["and", "or", "unless"];
/// The labels that Prometheus adds to what it reads, and that of the buckets.
const ADDED: [&str; 3] = ["instance", "job", "le"];

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text,
    Number,
    /// What stands in brackets.
    Range,
    Sign(char),
}

/// The tokens of a query.
fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let until = |end: &dyn Fn(char) -> bool| rest.find(end).unwrap_or(rest.len());
        let length = match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = until(&|letter| !letter.is_ascii_alphanumeric() && letter != '_');
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
            '0'..='9' => {
                tokens.push(Token::Number);
                until(&|letter| !letter.is_ascii_digit() && letter != '.')
            }
            '"' => {
                tokens.push(Token::Text);
                rest[1..].find('"').unwrap_or_else(|| panic!("a text without an end: {query}")) + 2
            }
            '[' => {
                tokens.push(Token::Range);
                rest.find(']').unwrap_or_else(|| panic!("a range without an end: {query}")) + 1
            }
            sign => {
                tokens.push(Token::Sign(sign));
                sign.len_utf8()
            }
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The metric of a name in a query: of a histogram there are three series.
fn metric(name: &str) -> Option<&'static MetricDescription> {
    let parts = ["_bucket", "_sum", "_count"];
    ALL.iter().copied().find(|metric| match metric.kind {
        MetricKind::Histogram => parts.iter().any(|part| name.strip_suffix(part) == Some(metric.name)),
        MetricKind::Counter | MetricKind::Gauge => metric.name == name,
    })
}

/// What is wrong with a query: metrics and labels that there are not, and counters that are not taken as rates.
fn wrong(query: &str) -> Vec<String> {
    let (mut wrong, mut labels) = (Vec::new(), BTreeSet::new());
    // Those that are asked for by a grouping, which may stand before the metric.
    let mut grouped: Vec<String> = Vec::new();
    let tokens = tokens(query);
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        index += 1;
        let Token::Word(word) = token else { continue };
        let next = tokens.get(index);
        if GROUPING.contains(&word.as_str()) && next == Some(&Token::Sign('(')) {
            let names = tokens[index..].iter().take_while(|token| **token != Token::Sign(')'));
            let names = names.filter_map(|token| if let Token::Word(name) = token { Some(name.clone()) } else { None });
            grouped.extend(names);
            index += tokens[index..].iter().position(|token| *token == Token::Sign(')')).unwrap_or_default();
        } else if word == "label_values" {
            // label_values(METRIC, LABEL)
            if let Some(Token::Word(label)) = tokens.get(index + 3) {
                grouped.push(label.clone());
            }
            if let Some(Token::Word(name)) = tokens.get(index + 1)
                && metric(name).is_none()
            {
                wrong.push(format!("there is no metric {name}"));
            }
            index += 4;
        } else if !FUNCTIONS.contains(&word.as_str()) && !OPERATORS.contains(&word.as_str()) {
            let matchers = matchers(&tokens[index..]);
            index += matchers.1;
            let own: &[&str] = match (metric(word), word.as_str()) {
                (Some(metric), _) => {
                    let is_rate = tokens.get(index) == Some(&Token::Range);
                    if (metric.kind == MetricKind::Counter || metric.kind == MetricKind::Histogram) && !is_rate {
                        wrong.push(format!("{word} only goes up: take its rate"));
                    }
                    metric.labels
                }
                (None, "up") => &[],
                (None, _) => {
                    wrong.push(format!("there is no metric {word}"));
                    continue;
                }
            };
            labels.extend(own.iter().copied());
            let unknown = matchers.0.into_iter().filter(|name| !own.contains(&name.as_str()) && !is_added(name));
            wrong.extend(unknown.map(|name| format!("{word} has no label {name}")));
        }
    }
    let unknown = grouped.into_iter().filter(|name| !labels.contains(name.as_str()) && !is_added(name));
    wrong.extend(unknown.map(|name| format!("nothing has the label {name}")));
    wrong
}

fn is_added(label: &str) -> bool {
    ADDED.contains(&label)
}

/// The names of the labels in the braces at the beginning, and how many tokens these take.
fn matchers(tokens: &[Token]) -> (Vec<String>, usize) {
    if tokens.first() != Some(&Token::Sign('{')) {
        return (Vec::new(), 0);
    }
    let end = tokens.iter().position(|token| *token == Token::Sign('}')).expect("the braces are closed");
    let names = tokens[..end].iter().filter_map(|token| match token {
        Token::Word(name) => Some(name.clone()),
        Token::Text | Token::Number | Token::Range | Token::Sign(_) => None,
    });
    (names.collect(), end + 1)
}

fn file(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("service/prometheus").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn the_alerts_ask_for_what_there_is() {
    let (path, text) = file("alerts.yml");
    let parsed = YamlLoader::load_from_str(&text).unwrap();
    let rules = parsed[0]["groups"][0]["rules"].as_vec().unwrap();
    assert!(rules.len() >= 15, "{}", rules.len());
    let mut names = BTreeSet::new();
    for rule in rules {
        let text = |value: &Yaml| value.as_str().unwrap_or_else(|| panic!("{rule:?}")).to_owned();
        let (name, query) = (text(&rule["alert"]), text(&rule["expr"]));
        assert!(names.insert(name.clone()), "{name}: twice");
        assert_eq!(wrong(&query), [""; 0], "{}: {name}: {query}", path.display());
        let severity = text(&rule["labels"]["severity"]);
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}");
        assert!(!text(&rule["annotations"]["summary"]).is_empty(), "{name}");
    }
}

/// Every query of the dashboard.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(query) if name == "expr" => found.push(query.clone()),
                    Value::String(query) if query.starts_with("label_values(") => found.push(query.clone()),
                    other => queries(other, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let (path, text) = file("dashboard.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    assert!(found.len() >= 30, "{}", found.len());
    for query in found {
        assert_eq!(wrong(&query), [""; 0], "{}: {query}", path.display());
    }
}

#[test]
fn what_there_is_not_is_found_in_a_query() {
    for (query, expected) in [
        ("whelk_sessions", ""),
        ("sum by (kind) (rate(whelk_failures_total{reason=\"SEGV\",instance=~\"$i\"}[$__rate_interval])) > 1.5", ""),
        ("histogram_quantile(0.9, sum by (le) (rate(whelk_handshake_seconds_bucket[5m])))", ""),
        ("label_values(whelk_build_info, instance)", ""),
        ("label_values(whelk_build, instance)", "there is no metric whelk_build"),
        ("whelk_session", "there is no metric whelk_session"),
        ("rate(whelk_handshake_seconds[5m])", "there is no metric whelk_handshake_seconds"),
        ("whelk_failures_total > 1", "whelk_failures_total only goes up: take its rate"),
        ("whelk_sessions{user=\"alice\"}", "whelk_sessions has no label user"),
        ("sum by (user) (whelk_sessions)", "nothing has the label user"),
        ("avg(whelk_sessions)", "there is no metric avg"),
    ] {
        let expected: Vec<&str> = Some(expected).filter(|expected| !expected.is_empty()).into_iter().collect();
        assert_eq!(wrong(query), expected, "{query}");
    }
}

//! Outcomes for people: a table. (For programs they are JSON as they are.)

use std::fmt::Write as _;

use super::measure::{Latency, Outcome};

/// The heads of the columns.
const HEADS: [&str; 8] = [
    "",
    "messages/s",
    "server CPU",
    "switches",
    "resident MiB",
    "confirm p50 / p99 / p99.9",
    "deliver p50 / p99 / p99.9",
    "generator CPU",
];

/// A table of named outcomes.
pub(super) fn table(rows: &[(String, Outcome)]) -> String {
    let mut cells: Vec<Vec<String>> = vec![HEADS.map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(|(name, outcome)| row(name, outcome)));
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| {
            let lengths = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            lengths.max().unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for row in cells {
        let mut line = String::new();
        for (number, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ =
                if number == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(name: &str, outcome: &Outcome) -> Vec<String> {
    let none = || "-".to_owned();
    let server = outcome.server;
    vec![
        outcome.phase.map_or_else(|| name.to_owned(), |phase| format!("{name}, {phase}")),
        figure(outcome.messages_per_second),
        server.map_or_else(none, |cost| nanoseconds(cost.cpu_ns)),
        server.map_or_else(none, |cost| figure(cost.switches)),
        server.map_or_else(none, |cost| figure(cost.resident_mib)),
        latency(outcome.confirm),
        latency(outcome.deliver),
        nanoseconds(outcome.generator.cpu_ns),
    ]
}

fn latency(latency: Option<Latency>) -> String {
    latency.map_or_else(
        || "-".to_owned(),
        |of| format!("{} / {} / {}", micros(of.p50_us), micros(of.p99_us), micros(of.p999_us)),
    )
}

fn micros(us: f64) -> String {
    if us >= 1000.0 { format!("{} ms", figure(us / 1000.0)) } else { format!("{} µs", figure(us)) }
}

fn nanoseconds(ns: f64) -> String {
    if ns >= 1000.0 { format!("{} µs", figure(ns / 1000.0)) } else { format!("{} ns", figure(ns)) }
}

/// Three digits that mean something, and thousands apart.
fn figure(value: f64) -> String {
    if value >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        return text;
    }
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::Cost;
    use super::*;

    #[test]
    fn figures_have_three_digits_or_thousands_apart() {
        for (value, text) in [(1_234_567.0, "1,234,567"), (123.4, "123"), (12.34, "12.3"), (0.1234, "0.12")] {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let outcome = Outcome {
            messages_per_second: 1_000_000.0,
            server: Some(Cost { cpu_ns: 1234.0, ..Cost::default() }),
            deliver: Some(Latency { p50_us: 10.0, p99_us: 2000.0, p999_us: 3000.0, max_us: 4000.0 }),
            ..Outcome::default()
        };
        let text = table(&[("transient-16".to_owned(), outcome)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        let end = lines[0].find("messages/s").unwrap() + "messages/s".len();
        assert!(lines[1][..end].ends_with("1,000,000"), "{text}");
        assert!(lines[1].contains("1,234") || lines[1].contains("1.23 µs"), "{text}");
        assert!(lines[1].contains("10.0 µs / 2.00 ms / 3.00 ms"), "{text}");
    }
}

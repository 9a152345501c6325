//! Prometheus' text format: `# HELP`, `# TYPE`, then a line for each value.

use std::fmt::Write;

use crate::metrics::{DURATION_BOUNDS_US, DurationTally};

/// How a family's values behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, but for a restart.
    Counter,
    /// Counts by size.
    Histogram,
}

/// A document under way. Every name begins with the same prefix.
#[derive(Debug)]
pub(super) struct Text {
    prefix: &'static str,
    text: String,
}

/// Names and values.
pub(super) type Labels<'l> = &'l [(&'l str, &'l str)];

impl Text {
    /// `prefix` is `rabbitmq_`, or that of another endpoint.
    pub(super) fn new(prefix: &'static str) -> Self {
        Self { prefix, text: String::new() }
    }

    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let prefix = self.prefix;
        self.push(format_args!("# TYPE {prefix}{name} {kind}\n# HELP {prefix}{name} {help}\n"));
    }

    /// One value of a family.
    pub(super) fn value(&mut self, name: &str, labels: Labels<'_>, value: impl std::fmt::Display) {
        let prefix = self.prefix;
        self.push(format_args!("{prefix}{name}"));
        for (index, (label, value)) in labels.iter().enumerate() {
            self.push(format_args!("{}{label}=\"", if index == 0 { '{' } else { ',' }));
            self.escape(value);
            self.text.push('"');
        }
        self.push(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }

    /// The values of a histogram of durations, whose family has begun: in seconds, as Prometheus counts.
    pub(super) fn durations(&mut self, name: &str, labels: Labels<'_>, tally: &DurationTally) {
        let bucket = format!("{name}_bucket");
        let mut count = 0;
        for (bound, counted) in DURATION_BOUNDS_US.iter().map(Some).chain([None]).zip(tally.counts) {
            count += counted;
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |micros| seconds(*micros));
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.value(&bucket, &labels, count);
        }
        self.value(&format!("{name}_sum"), labels, seconds(tally.micros));
        self.value(&format!("{name}_count"), labels, count);
    }

    /// A family with a single value.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, labels: Labels<'_>, value: u64) {
        self.family(name, kind, help);
        self.value(name, labels, value);
    }

    /// What another part has written.
    pub(super) fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
    }

    /// The document.
    pub(super) fn finish(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    fn escape(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                _ => self.text.push(c),
            }
        }
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing into a String does not fail.
        let _written = self.text.write_fmt(arguments);
    }
}

/// Microseconds as seconds: `0.0005`, `5`.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::new("rabbitmq_");
        text.single("queues", Kind::Gauge, "Queues", &[("vhost", "/"), ("queue", "a\"b\\c\nd")], 7);
        let expected = "# TYPE rabbitmq_queues gauge\n# HELP rabbitmq_queues Queues\n\
                        rabbitmq_queues{vhost=\"/\",queue=\"a\\\"b\\\\c\\nd\"} 7\n";
        assert_eq!(String::from_utf8(text.finish()).unwrap(), expected);
    }

    #[test]
    fn durations_are_in_seconds_and_each_class_counts_those_below_it() {
        let (mut text, mut tally) = (Text::new("x_"), DurationTally::default());
        [100, 200, 2_000_000_000].into_iter().for_each(|micros| tally.count(micros));
        text.durations("y", &[("queue", "q")], &tally);
        let text = String::from_utf8(text.finish()).unwrap();
        assert!(text.starts_with(
            "x_y_bucket{queue=\"q\",le=\"0.0001\"} 1\nx_y_bucket{queue=\"q\",le=\"0.0005\"} 2\n"
        ));
        assert!(text.contains("le=\"1800\"} 2\nx_y_bucket{queue=\"q\",le=\"+Inf\"} 3\n"), "{text}");
        assert!(text.ends_with("x_y_sum{queue=\"q\"} 2000.0003\nx_y_count{queue=\"q\"} 3\n"), "{text}");
    }

    #[test]
    fn a_value_without_labels_has_no_braces() {
        let mut text = Text::new("x_");
        text.value("y", &[], 1);
        assert_eq!(text.finish(), b"x_y 1\n");
    }
}

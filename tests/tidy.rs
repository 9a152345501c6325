//! The style is a test: which module may import which, how long files and functions are, what may not stay behind.
//!
//! Every rule is a function from a file to its findings, and has a test of its own below that shows it can fail.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read the sources fails"
)]

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

/// The modules of `src`, highest row first. A module imports from rows below its own; the modules of one row do not
/// know each other. Whoever adds a module gives it a place here and in ARCHITECTURE.md.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["app", "bench", "command"],
    &["management", "server"],
    &["connection"],
    &["channel"],
    &["broker"],
    &["exchange", "queue"],
    &["auth", "policy", "tls"],
    &["metadata"],
    &["storage"],
    &["config", "exception", "message", "metrics", "outbound"],
    &["clock", "delay", "erlang", "fingerprint", "id", "name", "pattern"],
];

/// Modules that know bytes and positions but no AMQP: the protocol crate is not for them.
const WITHOUT_PROTOCOL: &[&str] = &["storage"];

/// Where the sources are.
const SOURCES: &[&str] = &["src", "protocol", "tests", "benches", "examples"];

/// Folders below them that hold other people's code.
const FOREIGN: &[&str] = &["node_modules", "target"];

/// Longer files hide a second subject.
const FILE_LINES_MAX: usize = 500;

/// Longer functions do not fit on a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Two files side by side; comments and strings too, which rustfmt leaves alone.
const LINE_WIDTH_MAX: usize = 120;

/// Spelled in halves, so that this file does not hold them.
const LEFTOVERS: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("db", "g!("),
];

/// An `ignore` that says no reason.
const IGNORED: &str = concat!("#[", "ignore]");

type Rule = fn(&Source) -> Vec<Finding>;

const RULES: &[Rule] = &[
    layers,
    file_length,
    function_length,
    leftovers,
    ignored_tests,
    introduction,
    trailing_space,
    line_width,
];

/// A source file: where it is, below the repository's root, and what it says.
struct Source {
    path: String,
    text: String,
}

/// A line that breaks a rule.
#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

#[test]
fn every_source_file_is_tidy() {
    let sources = sources();
    assert!(sources.len() > 100, "only {} files found", sources.len());
    let findings: Vec<String> = sources
        .iter()
        .flat_map(|source| RULES.iter().flat_map(move |rule| rule(source)))
        .map(|finding| finding.to_string())
        .collect();
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn every_module_has_one_place_in_the_layers() {
    let sources = sources();
    let modules: BTreeSet<&str> = sources.iter().filter_map(Source::module).collect();
    let places: Vec<&str> = LAYERS.iter().flat_map(|row| row.iter().copied()).collect();
    assert_eq!(modules, places.iter().copied().collect(), "modules in src/ (left), rows of LAYERS (right)");
    assert_eq!(places.len(), modules.len(), "a module stands in LAYERS twice");
}

/// Imports point down, and only down.
fn layers(source: &Source) -> Vec<Finding> {
    let Some(module) = source.module() else { return Vec::new() };
    let mut findings = Vec::new();
    for (number, line) in source.code() {
        for other in paths_after(line, "crate::") {
            match (row(module), row(other)) {
                _ if other == module => {}
                (Some(own), Some(row)) if row > own => {}
                (Some(_), Some(_)) => {
                    let rule =
                        format!("`{module}` may not know `{other}`: imports point down the table LAYERS");
                    findings.push(source.finding(number, rule));
                }
                (_, _) => {
                    let rule =
                        format!("`{module}` imports `crate::{other}`: spell a path from a module in LAYERS");
                    findings.push(source.finding(number, rule));
                }
            }
        }
        if line.contains(&"super::".repeat(source.depth(number))) {
            findings.push(source.finding(number, "`super::` leads out of the module: write `crate::`"));
        }
        if WITHOUT_PROTOCOL.contains(&module) && line.contains("lepus_protocol") {
            findings.push(source.finding(number, format!("`{module}` may not know the protocol")));
        }
    }
    findings
}

fn row(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// The names that follow `prefix` in `line`.
fn paths_after<'l>(line: &'l str, prefix: &str) -> impl Iterator<Item = &'l str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.split(prefix).skip(1).map(move |rest| rest.split(|c| !is_name(c)).next().unwrap_or_default())
}

/// Unit tests do not count, nor do the dialogues under `tests`.
fn file_length(source: &Source) -> Vec<Finding> {
    let lines = source.tests_start() - 1;
    if source.is_test() || lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![source.finding(lines, format!("{lines} lines without tests, more than {FILE_LINES_MAX}"))]
}

/// rustfmt puts the end of a function as deep as its start.
fn function_length(source: &Source) -> Vec<Finding> {
    let lines: Vec<(usize, &str)> = source.lines().collect();
    let mut findings = Vec::new();
    for (index, (start, line)) in lines.iter().enumerate() {
        if !starts_function(line) || line.ends_with(['}', ';']) {
            continue;
        }
        let ends =
            |other: &str| indent(other) == indent(line) && (other.trim() == "}" || other.ends_with(';'));
        let end = lines[index + 1..].iter().find(|(_, other)| ends(other));
        let length = end.map_or(0, |(end, _)| end - start + 1);
        if length > FUNCTION_LINES_MAX {
            let rule = format!("a function of {length} lines, more than {FUNCTION_LINES_MAX}");
            findings.push(source.finding(*start, rule));
        }
    }
    findings
}

fn starts_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.find(|word| !matches!(*word, "const" | "async") && !word.starts_with("pub")) == Some("fn")
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn leftovers(source: &Source) -> Vec<Finding> {
    let leftover = |line: &str| LEFTOVERS.iter().find(|word| line.contains(**word));
    source.find(|line| leftover(line).map(|word| format!("`{word}` is for the working copy only")))
}

fn ignored_tests(source: &Source) -> Vec<Finding> {
    source.find(|line| line.contains(IGNORED).then(|| "a test is ignored without a reason".into()))
}

/// A `tests.rs` is introduced by the module that it tests.
fn introduction(source: &Source) -> Vec<Finding> {
    if source.text.starts_with("//! ") || source.path.ends_with("/tests.rs") {
        return Vec::new();
    }
    vec![source.finding(1, "a file starts with a `//!` line that says what it is for")]
}

fn trailing_space(source: &Source) -> Vec<Finding> {
    source.find(|line| line.ends_with([' ', '\t', '\r']).then(|| "white space at the end of the line".into()))
}

fn line_width(source: &Source) -> Vec<Finding> {
    source.find(|line| {
        let width = line.chars().count();
        (width > LINE_WIDTH_MAX).then(|| format!("{width} columns, more than {LINE_WIDTH_MAX}"))
    })
}

impl Source {
    /// The module under `src` that the file belongs to. `lib.rs` and `main.rs` belong to none.
    fn module(&self) -> Option<&str> {
        let path = self.path.strip_prefix("src/")?;
        let module = path.split_once('/').map_or(path, |(folder, _)| folder).trim_end_matches(".rs");
        (!matches!(module, "lib" | "main")).then_some(module)
    }

    /// How many `super::` lead from this line to the crate's root.
    fn depth(&self, line: usize) -> usize {
        let parts = self.path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count() - 1;
        parts + usize::from(line > self.tests_start())
    }

    /// Whether all of the file is for testing.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The line of the unit tests, or the one after the last.
    fn tests_start(&self) -> usize {
        let tests = self.lines().find(|(_, line)| line.starts_with("mod tests {"));
        tests.map_or_else(|| self.lines().count() + 1, |(number, _)| number)
    }

    /// Lines with their numbers from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.split_terminator('\n').enumerate().map(|(index, line)| (index + 1, line))
    }

    /// As `lines`, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
    }

    fn find(&self, check: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
        self.lines().filter_map(|(number, line)| Some(self.finding(number, check(line)?))).collect()
    }

    fn finding(&self, line: usize, rule: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, rule: rule.into() }
    }
}

/// Every Rust file of the repository.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in SOURCES.iter().filter(|folder| root.join(folder).is_dir()) {
        collect(root, &root.join(folder), &mut sources);
    }
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !FOREIGN.contains(&name.as_str()) {
            collect(root, &path, sources);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            sources.push(Source { path, text });
        }
    }
}

/// Each rule fails where it should, and only there.
mod rules {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    /// The lines that `rule` finds fault with.
    fn faults(rule: Rule, path: &str, text: &str) -> Vec<usize> {
        rule(&source(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn imports_point_down() {
        let text = "use crate::broker::Broker;\nuse crate::queue::Queue;\nuse crate::channel::Channel;\n";
        assert_eq!(faults(layers, "src/queue/mod.rs", text), [1, 3]);
        assert_eq!(faults(layers, "src/channel/qos.rs", text), []);
        assert_eq!(faults(layers, "src/lib.rs", text), []);
        assert_eq!(faults(layers, "tests/support/mod.rs", text), []);
    }

    #[test]
    fn modules_of_one_row_do_not_know_each_other() {
        assert_eq!(faults(layers, "src/exchange/topic.rs", "use crate::queue::Queue;"), [1]);
    }

    #[test]
    fn paths_in_the_middle_of_a_line_count_and_comments_do_not() {
        let text = "let a = (crate::clock::now(), crate::app::App);\n/// [`App`](crate::app::App)\n";
        assert_eq!(faults(layers, "src/broker/mod.rs", text), [1]);
    }

    #[test]
    fn a_module_without_a_row_and_grouped_imports_are_faults() {
        assert_eq!(faults(layers, "src/broker/mod.rs", "use crate::novelty::Thing;"), [1]);
        assert_eq!(faults(layers, "src/novelty.rs", "use crate::clock::Clock;"), [1]);
        assert_eq!(faults(layers, "src/app/mod.rs", "use crate::{clock, id};"), [1]);
    }

    #[test]
    fn super_stays_within_its_module() {
        assert_eq!(
            faults(layers, "src/clock.rs", "use super::id;\nmod tests {\n    use super::*;\n}\n"),
            [1]
        );
        assert_eq!(faults(layers, "src/queue/mod.rs", "use super::broker;"), [1]);
        assert_eq!(faults(layers, "src/queue/ready.rs", "use super::lease;\nuse super::super::app;"), [2]);
    }

    #[test]
    fn storage_knows_no_protocol() {
        assert_eq!(faults(layers, "src/storage/wal.rs", "use lepus_protocol::Frame;"), [1]);
        assert_eq!(faults(layers, "src/queue/mod.rs", "use lepus_protocol::Frame;"), []);
    }

    #[test]
    fn a_finding_names_file_line_and_rule() {
        let findings = layers(&source("src/id.rs", "\nuse crate::app::App;"));
        assert_eq!(
            findings.iter().map(Finding::to_string).collect::<Vec<_>>(),
            ["src/id.rs:2: `id` may not know `app`: imports point down the table LAYERS"]
        );
    }

    #[test]
    fn files_are_short_without_their_tests() {
        let long = "x\n".repeat(FILE_LINES_MAX + 1);
        assert_eq!(faults(file_length, "src/a.rs", &long), [FILE_LINES_MAX + 1]);
        assert_eq!(faults(file_length, "src/a.rs", &long[2..]), []);
        assert_eq!(faults(file_length, "src/a.rs", &format!("mod tests {{\n{long}}}\n")), []);
        assert_eq!(faults(file_length, "tests/a.rs", &long), []);
    }

    #[test]
    fn functions_are_short() {
        let of = |lines: usize| {
            format!("impl A {{\n    pub async fn f() {{\n{}    }}\n}}\n", "x\n".repeat(lines - 2))
        };
        assert_eq!(faults(function_length, "src/a.rs", &of(FUNCTION_LINES_MAX + 1)), [2]);
        assert_eq!(faults(function_length, "src/a.rs", &of(FUNCTION_LINES_MAX)), []);
    }

    #[test]
    fn nothing_is_left_over() {
        for word in LEFTOVERS {
            assert_eq!(faults(leftovers, "src/a.rs", &format!("//! a\n{word}\n")), [2], "{word}");
        }
    }

    #[test]
    fn ignored_tests_say_why() {
        assert_eq!(faults(ignored_tests, "tests/a.rs", &format!("{IGNORED}\n#[ignore = \"slow\"]\n")), [1]);
    }

    #[test]
    fn files_introduce_themselves() {
        assert_eq!(faults(introduction, "src/a.rs", "use b;\n"), [1]);
        assert_eq!(faults(introduction, "src/a.rs", "//! A.\n"), []);
        assert_eq!(faults(introduction, "src/a/tests.rs", "use b;\n"), []);
    }

    #[test]
    fn lines_end_where_they_end() {
        assert_eq!(faults(trailing_space, "src/a.rs", "a\nb \nc\t\nd\r\n"), [2, 3, 4]);
    }

    #[test]
    fn lines_are_narrow() {
        let narrow = "é".repeat(LINE_WIDTH_MAX);
        assert_eq!(faults(line_width, "src/a.rs", &format!("{narrow}\n{narrow}é\n")), [2]);
    }
}

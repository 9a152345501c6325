//! The command line of RabbitMQ's tools: options may stand anywhere, before and after the command.

use super::stop::{EX_USAGE, Stop};

/// An option: its long name, its short one, and whether a value follows.
struct Known {
    long: &'static str,
    short: Option<char>,
    takes_value: bool,
}

const fn value(long: &'static str, short: Option<char>) -> Known {
    Known { long, short, takes_value: true }
}

const fn flag(long: &'static str, short: Option<char>) -> Known {
    Known { long, short, takes_value: false }
}

/// What any of the commands knows.
const KNOWN: &[Known] = &[
    value("node", Some('n')),
    value("timeout", Some('t')),
    value("vhost", Some('p')),
    value("formatter", None),
    value("printer", None),
    value("erlang-cookie", None),
    value("priority", None),
    value("apply-to", None),
    value("user", None),
    value("pid", Some('P')),
    value("within", None),
    value("unit", None),
    value("per-connection-delay", None),
    value("limit", None),
    value("tags", None),
    value("description", None),
    value("default-queue-type", None),
    value("format", None),
    value("port", None),
    flag("quiet", Some('q')),
    flag("silent", Some('s')),
    flag("longnames", Some('l')),
    flag("no-table-headers", None),
    flag("offline", None),
    flag("online", None),
    flag("local", None),
    flag("global", None),
    flag("if-empty", Some('e')),
    flag("if-unused", Some('u')),
    flag("pre-hashed-password", None),
    flag("address", None),
    flag("minimal", Some('m')),
    flag("all", None),
    flag("dry-run", None),
    flag("verbose", None),
    flag("help", Some('h')),
    flag("version", None),
];

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Formatter {
    Table,
    Json,
    Csv,
    PrettyTable,
}

/// A command line that was read.
#[derive(Debug)]
pub(super) struct Line {
    /// The command; empty if there is none.
    pub(super) command: String,
    /// What follows it.
    pub(super) arguments: Vec<String>,
    options: Vec<(&'static str, String)>,
    pub(super) formatter: Formatter,
}

impl Line {
    /// Reads the arguments of the program.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, Stop> {
        let (mut words, mut options, mut rest) = (Vec::new(), Vec::new(), arguments.iter());
        while let Some(word) = rest.next() {
            if word == "--" {
                words.extend(rest.by_ref().cloned());
            } else if word.len() > 1 && word.starts_with('-') && !is_number(word) {
                let (known, inline) = find(word)?;
                let given = match (known.takes_value, inline) {
                    (false, None) => String::new(),
                    (false, Some(_)) => return Err(usage(format!("{word}: takes no value"))),
                    (true, Some(value)) => value,
                    (true, None) => {
                        rest.next().cloned().ok_or_else(|| usage(format!("{word}: needs a value")))?
                    }
                };
                options.push((known.long, given));
            } else {
                words.push(word.clone());
            }
        }
        let mut words = words.into_iter();
        let command = words.next().unwrap_or_default();
        let mut line = Self { command, arguments: words.collect(), options, formatter: Formatter::Table };
        line.formatter = line.named_formatter()?;
        Ok(line)
    }

    fn named_formatter(&self) -> Result<Formatter, Stop> {
        match self.option("formatter").unwrap_or("table") {
            "table" => Ok(Formatter::Table),
            "json" => Ok(Formatter::Json),
            "csv" => Ok(Formatter::Csv),
            "pretty_table" => Ok(Formatter::PrettyTable),
            other => Err(usage(format!("there is no formatter '{other}': table, json, csv, pretty_table"))),
        }
    }

    /// The value of an option, of several the last one.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(long, _)| *long == name).map(|(_, value)| value.as_str())
    }

    /// Whether a flag is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.option(name).is_some()
    }

    /// The virtual host.
    pub(super) fn vhost(&self) -> &str {
        self.option("vhost").unwrap_or("/")
    }

    /// An argument; empty if it is not there.
    pub(super) fn argument(&self, at: usize) -> &str {
        self.arguments.get(at).map_or("", String::as_str)
    }

    /// Seconds to wait.
    pub(super) fn timeout(&self, default: u64) -> Result<u64, Stop> {
        let Some(text) = self.option("timeout") else { return Ok(default) };
        if text == "infinity" {
            return Ok(u64::from(u32::MAX));
        }
        text.parse().map_err(|_| usage(format!("--timeout: '{text}' is no number of seconds")))
    }
}

/// `-1` is a value.
fn is_number(word: &str) -> bool {
    word.parse::<f64>().is_ok()
}

fn find(word: &str) -> Result<(&'static Known, Option<String>), Stop> {
    let unknown = || usage(format!("Invalid options for this command:\n{word}"));
    if let Some(long) = word.strip_prefix("--") {
        let (name, inline) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let name = name.replace('_', "-");
        let known = KNOWN.iter().find(|known| known.long == name).ok_or_else(unknown)?;
        return Ok((known, inline.map(str::to_owned)));
    }
    let mut letters = word.chars().skip(1);
    let known = letters.next().and_then(|letter| KNOWN.iter().find(|known| known.short == Some(letter)));
    let known = known.ok_or_else(unknown)?;
    let inline: String = letters.collect();
    Ok((known, (!inline.is_empty()).then_some(inline)))
}

fn usage(text: String) -> Stop {
    Stop::new(EX_USAGE, format!("Error (argument validation): {text}")).plain()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Line, Stop> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Line::parse(&words)
    }

    #[test]
    fn options_stand_anywhere_in_all_their_forms() {
        let line =
            parse("-q -n rabbit@a list_queues -p v1 name --formatter=json --timeout 5 messages").unwrap();
        assert_eq!(
            (line.command.as_str(), line.arguments.join(" ")),
            ("list_queues", "name messages".to_owned())
        );
        assert_eq!((line.vhost(), line.option("node")), ("v1", Some("rabbit@a")));
        assert_eq!((line.has("quiet"), line.formatter, line.timeout(9).unwrap()), (true, Formatter::Json, 5));
        assert_eq!(parse("-pv list_queues").unwrap().vhost(), "v");
    }

    #[test]
    fn numbers_and_what_follows_two_dashes_are_values() {
        assert_eq!(parse("x -1").unwrap().argument(0), "-1");
        assert_eq!(parse("x -- -q").unwrap().argument(0), "-q");
        assert_eq!(parse("set_permissions u .* - -").unwrap().arguments.len(), 4);
    }

    #[test]
    fn what_is_unknown_is_a_usage_error() {
        for line in ["x --bogus", "x -z", "x -p", "x --quiet=1", "x --formatter xml", "x -q1"] {
            assert_eq!(parse(line).unwrap_err().code, EX_USAGE, "{line}");
        }
        assert!(parse("x --timeout soon").unwrap().timeout(1).is_err());
    }
}

//! The options of `rabbitmqadmin`.

use super::modern;
use crate::command::failure::Failure;

/// How rows are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Table,
    Tsv,
    Long,
    KeyValue,
    /// Names only, between spaces.
    Bash,
    RawJson,
    PrettyJson,
}

/// A command line that was read.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// What is no option.
    pub(super) words: Vec<String>,
    /// Where the API is, if something was said of it.
    pub(super) url: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) vhost: Option<String>,
    pub(super) timeout: Option<u64>,
    pub(super) format: Format,
    pub(super) sort: Option<String>,
    pub(super) depth: Option<usize>,
    pub(super) sort_reverse: bool,
    pub(super) quiet: bool,
    /// What is to be deleted need not be there.
    pub(super) idempotent: bool,
    /// PEM file of the authorities that vouch for the broker.
    pub(super) ca_file: Option<String>,
    pub(super) version: bool,
    pub(super) help: bool,
    /// Options of the command have come.
    pub(super) is_modern: bool,
}

/// What comes before the scheme, host and port are put together.
#[derive(Default)]
struct Place {
    host: Option<String>,
    port: Option<String>,
    tls: bool,
    prefix: String,
    base: Option<String>,
}

impl Line {
    pub(super) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let (mut line, mut place) = (Self::default(), Place::default());
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            if !word.starts_with('-') || word == "-" {
                line.words.push(word.clone());
                if line.words.len() == 2 {
                    modern::normal(&mut line.words);
                }
                continue;
            }
            let (option, inline) = split(word);
            if line.flag(&option, &mut place) {
                continue;
            }
            let value = inline.or_else(|| rest.next().cloned());
            let value = value.ok_or_else(|| Failure::Usage(format!("option {option} needs a value")))?;
            line.option(&option, value, &mut place)?;
        }
        if line.is_modern {
            modern::complete(&mut line.words, line.vhost.as_deref())?;
        }
        line.url = place.url();
        Ok(line)
    }

    /// An option of the command, as the second version has them, or one for all commands.
    fn option(&mut self, option: &str, value: String, place: &mut Place) -> Result<(), Failure> {
        let is_classic = !self.is_modern && self.words.len() > 2;
        if let Some(word) = modern::word(&self.words, option, &value).filter(|_| !is_classic) {
            self.is_modern = true;
            self.words.push(word);
            return Ok(());
        }
        match (self.words.first().map(String::as_str), option) {
            (Some("export" | "import"), "--file") => self.words.push(value),
            (Some("list"), "--columns") => self.words.extend(value.split(',').map(str::to_owned)),
            (_, _) => return self.valued(option, value, place),
        }
        Ok(())
    }

    fn flag(&mut self, option: &str, place: &mut Place) -> bool {
        match option {
            "-q" | "--quiet" => self.quiet = true,
            "-R" | "--sort-reverse" => self.sort_reverse = true,
            "-s" | "--ssl" | "--use-tls" => place.tls = true,
            // The second version's word for output that programs read.
            "--non-interactive" => self.format = Format::Tsv,
            "--idempotently" => self.idempotent = true,
            "--version" => self.version = true,
            "-h" | "--help" => self.help = true,
            _ => return false,
        }
        true
    }

    fn valued(&mut self, option: &str, value: String, place: &mut Place) -> Result<(), Failure> {
        let number = |value: &str| {
            value.parse().map_err(|_| Failure::Usage(format!("option {option}: '{value}' is no number")))
        };
        match option {
            "-H" | "--host" | "--hostname" => place.host = Some(value),
            "-P" | "--port" => place.port = Some(value),
            "-U" | "--base-uri" => place.base = Some(value),
            "--path-prefix" => place.prefix = value,
            "-V" | "--vhost" => self.vhost = Some(value),
            "-u" | "--username" => self.user = Some(value),
            "-p" | "--password" => self.password = Some(value),
            "-S" | "--sort" => self.sort = Some(value),
            "-f" | "--format" | "--output" => self.format = format(&value)?,
            "-d" | "--depth" => self.depth = Some(usize::try_from(number(&value)?).unwrap_or(usize::MAX)),
            "--tls-ca-cert-file" => self.ca_file = Some(value),
            "--table-style" => {}
            "-t" | "--request-timeout" | "--timeout" => self.timeout = Some(number(&value)?),
            unknown => return Err(Failure::Usage(format!("no such option: {unknown}"))),
        }
        Ok(())
    }

    /// Whether the usual columns are shown, where none are asked for.
    pub(super) fn uses_columns(&self) -> bool {
        self.depth.is_none_or(|depth| depth == 1)
            && !matches!(self.format, Format::RawJson | Format::PrettyJson)
    }
}

/// `--host=x` and `-Hx` are an option and its value.
fn split(word: &str) -> (String, Option<String>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
            None => (word.to_owned(), None),
        };
    }
    let (option, value): (String, String) = (word.chars().take(2).collect(), word.chars().skip(2).collect());
    (option, (!value.is_empty()).then_some(value))
}

fn format(name: &str) -> Result<Format, Failure> {
    Ok(match name {
        "table" => Format::Table,
        "tsv" => Format::Tsv,
        "long" => Format::Long,
        "kvp" => Format::KeyValue,
        "bash" => Format::Bash,
        "raw_json" | "json" => Format::RawJson,
        "pretty_json" => Format::PrettyJson,
        unknown => return Err(Failure::Usage(format!("Format {unknown} not recognised"))),
    })
}

impl Place {
    /// The API's URL; nothing if nothing was said of it.
    fn url(self) -> Option<String> {
        if let Some(base) = self.base {
            return Some(base);
        }
        if self.host.is_none() && self.port.is_none() && self.prefix.is_empty() && !self.tls {
            return None;
        }
        let scheme = if self.tls { "https" } else { "http" };
        let (host, port) =
            (self.host.as_deref().unwrap_or("localhost"), self.port.as_deref().unwrap_or("15672"));
        Some(format!("{scheme}://{host}:{port}{}", self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Line, Failure> {
        Line::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_anywhere() {
        let line = parse("-H h list -Vv queues --port=1 -u u -p p name -f tsv -q").unwrap();
        assert_eq!(line.words, ["list", "queues", "name"]);
        assert_eq!(line.url.as_deref(), Some("http://h:1"));
        assert_eq!((line.user.as_deref(), line.vhost.as_deref()), (Some("u"), Some("v")));
        assert_eq!((line.format, line.quiet), (Format::Tsv, true));
        assert_eq!(parse("list queues").unwrap().url, None);
        assert_eq!(parse("-s list").unwrap().url.as_deref(), Some("https://localhost:15672"));
        assert_eq!(parse("-U http://a:2/ list").unwrap().url.as_deref(), Some("http://a:2/"));
    }

    #[test]
    fn what_is_unknown_or_cut_off_is_said() {
        for line in ["-H", "--bogus x", "-f xml", "-d deep", "-Z"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}

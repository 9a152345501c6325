//! `rabbitmqadmin` as RabbitMQ has shipped it for years: `declare queue name=q`, `list queues name messages`; and as it
//! is since its second version ([`modern`]).

mod line;
mod modern;
mod show;

use std::path::Path as FilePath;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::access::Access;
use super::arguments::read;
use super::client::{Client, Path, path};
use super::context::print;
use super::failure::Failure;
use super::text::at;
use line::Line;

/// The program's name.
pub(crate) const PROGRAM: &str = "rabbitmqadmin";

/// What can be listed, below which path of the API, whether `--vhost` narrows it, and the usual columns.
const LISTS: &[(&str, &str, bool, &[&str])] = &[
    ("connections", "connections", false, &["name", "user", "channels"]),
    ("channels", "channels", false, &["name", "user"]),
    ("consumers", "consumers", true, &[]),
    ("exchanges", "exchanges", true, &["name", "type"]),
    ("queues", "queues", true, &["name", "messages"]),
    ("bindings", "bindings", true, &["source", "destination", "routing_key"]),
    ("users", "users", false, &[]),
    ("vhosts", "vhosts", false, &["name", "messages"]),
    ("permissions", "permissions", false, &[]),
    ("nodes", "nodes", false, &["name", "type", "mem_used"]),
    ("parameters", "parameters", false, &[]),
    ("policies", "policies", false, &[]),
    ("operator_policies", "operator-policies", false, &[]),
    ("vhost_limits", "vhost-limits", false, &[]),
];

/// Kinds of things that are declared and deleted, and the keys that each of them takes.
const KINDS: &[Kind] = &[
    kind("exchange", &["name"], &["type"], &["auto_delete", "durable", "internal", "arguments"]),
    kind("queue", &["name"], &[], &["auto_delete", "durable", "arguments", "node", "queue_type"]),
    kind(
        "binding",
        &["source", "destination"],
        &[],
        &["destination_type", "routing_key", "arguments", "properties_key"],
    ),
    kind("vhost", &["name"], &[], &["tracing", "description", "default_queue_type"]),
    kind("user", &["name"], &["tags"], &["password", "password_hash", "hashing_algorithm"]),
    kind("permission", &["vhost", "user"], &["configure", "write", "read"], &[]),
    kind("parameter", &["component", "name"], &["value"], &[]),
    kind("policy", &["name"], &["pattern", "definition"], &["priority", "apply-to"]),
    kind("operator_policy", &["name"], &["pattern", "definition"], &["priority", "apply-to"]),
    kind("vhost_limit", &["vhost", "name"], &["value"], &[]),
    kind("user_limit", &["user", "name"], &["value"], &[]),
];

/// A kind of thing: which keys name it, which of the others it cannot do without, which may be given.
struct Kind {
    name: &'static str,
    names: &'static [&'static str],
    needs: &'static [&'static str],
    others: &'static [&'static str],
}

const fn kind(
    name: &'static str,
    names: &'static [&'static str],
    needs: &'static [&'static str],
    others: &'static [&'static str],
) -> Kind {
    Kind { name, names, needs, others }
}

impl Kind {
    fn keys(&self) -> Vec<&'static str> {
        [self.names, self.needs, self.others].concat()
    }
}

/// Keys whose values are JSON.
const JSON: &[&str] = &["arguments", "value", "definition", "priority", "properties"];

/// `name=value` words.
type Given = Map<String, Value>;

/// How a command ends: 1 for everything, as the tool has it.
type Done = Result<(), Failure>;

struct Admin {
    line: Line,
    client: Client,
}

/// Runs a command.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    match Line::parse(arguments).and_then(carry_out) {
        Ok(()) | Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

#[expect(clippy::print_stderr, reason = "that is where errors of a command go")]
fn fail(failure: &Failure) -> ExitCode {
    eprintln!("*** {failure}\n");
    ExitCode::FAILURE
}

fn usage(text: impl Into<String>) -> Failure {
    Failure::Usage(text.into())
}

fn carry_out(line: Line) -> Done {
    if line.version {
        return print(concat!("rabbitmqadmin ", env!("CARGO_PKG_VERSION"), "\n"));
    }
    if line.help || line.words.first().is_some_and(|word| word == "help") {
        return print(&help());
    }
    let access = Access::of_tool(line.url.clone(), line.user.clone(), line.password.clone(), line.timeout);
    let context = access.trusting(line.ca_file.clone()).context()?;
    let admin = Admin { line, client: context.client };
    let words = admin.line.words.clone();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list", what, columns @ ..] => admin.list(what, columns),
        ["show", "overview", columns @ ..] => admin.show(columns),
        ["declare", kind, given @ ..] => admin.declare(kind, given),
        ["delete", kind, given @ ..] => admin.delete(kind, given),
        ["close", "connection", given @ ..] => admin.close(given),
        ["purge", "queue", given @ ..] => admin.purge(given),
        ["publish", given @ ..] => admin.publish(given),
        ["get", given @ ..] => admin.get(given),
        ["health_check", check, given @ ..] => admin.check(check, given),
        ["export", file] => admin.export(file),
        ["import", file] => admin.import(file),
        [] => Err(usage("Action not specified")),
        [action, ..] => {
            Err(usage(format!("Action {action} not understood, or something is missing after it")))
        }
    }
}

fn help() -> String {
    let mut text =
        "Usage: rabbitmqadmin [options] subcommand\n\n  list <what> [<column>...]\n  show overview \
                    [<column>...]\n"
            .to_owned();
    for kind in KINDS {
        let keys = kind.keys();
        text.push_str(&format!(
            "  declare {} {}=...\n  delete {} ...\n",
            kind.name,
            keys.join("=... "),
            kind.name
        ));
    }
    text.push_str("  (or --name ... instead of name=..., and `queues list` for `list queues`)\n");
    text.push_str(
        "  close connection name=...\n  purge queue name=...\n  publish routing_key=... [payload=... exchange=... \
         properties=... payload_encoding=...]\n  get queue=... [count=... ackmode=... encoding=... payload_file=...]\n\
         \x20 export <file>\n  import <file>\n\nOptions: -H host -P port -V vhost -u user -p password -U uri -q -f \
         table|tsv|long|kvp|bash|raw_json|pretty_json -S sort -R -d depth -t timeout\n",
    );
    text
}

/// Words `name=value`, of which the `known` are.
fn given(words: &[&str], known: &[&str]) -> Result<Given, Failure> {
    let mut given = Given::new();
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| usage(format!("Argument \"{word}\" not in the name=value format")))?;
        if !known.contains(&name) {
            return Err(usage(format!("Argument \"{name}\" is not recognised")));
        }
        let value = if JSON.contains(&name) {
            serde_json::from_str(value).map_err(|_| usage(format!("Could not parse JSON: {value}")))?
        } else {
            Value::from(value)
        };
        given.insert(name.to_owned(), value);
    }
    Ok(given)
}

/// As it stands in a path.
fn encoded(text: &str) -> String {
    super::client::encode(text)
}

fn need<'g>(given: &'g Given, name: &str) -> Result<&'g str, Failure> {
    let found = given.get(name).and_then(Value::as_str);
    found.ok_or_else(|| usage(format!("mandatory argument \"{name}\" is required")))
}

impl Admin {
    /// The virtual host of what is declared.
    fn vhost(&self) -> &str {
        self.line.vhost.as_deref().unwrap_or("/")
    }

    fn verbose(&self, text: &str) -> Done {
        if self.line.quiet { Ok(()) } else { print(&format!("{text}\n")) }
    }

    fn list(&self, what: &str, columns: &[&str]) -> Done {
        let found = LISTS.iter().find(|(name, ..)| *name == what);
        let (_, resource, of_vhost, usual) =
            found.ok_or_else(|| usage(format!("Don't know how to list {what}")))?;
        let mut segments = vec![*resource];
        segments.extend(self.line.vhost.as_deref().filter(|_| *of_vhost));
        let columns = if columns.is_empty() && self.line.uses_columns() { usual } else { columns };
        let rows = self.client.get(self.queried(path(&segments), columns))?;
        show::rows(&self.line, columns, rows)
    }

    fn queried(&self, mut path: Path, columns: &[&str]) -> Path {
        if !columns.is_empty() {
            path = path.query("columns", &columns.join(","));
        }
        if let Some(sort) = &self.line.sort {
            path = path.query("sort", sort);
        }
        if self.line.sort_reverse { path.query("sort_reverse", "true") } else { path }
    }

    fn show(&self, columns: &[&str]) -> Done {
        const USUAL: &[&str] =
            &["rabbitmq_version", "cluster_name", "queue_totals.messages", "object_totals.queues"];
        let columns = if columns.is_empty() && self.line.uses_columns() { USUAL } else { columns };
        let overview = self.client.get(self.queried(path(&["overview"]), columns))?;
        show::rows(&self.line, columns, Value::Array(vec![overview]))
    }

    /// The kind of this name with what is given of one.
    fn parse(&self, kind: &str, words: &[&str]) -> Result<(&'static Kind, Given), Failure> {
        let found = KINDS.iter().find(|known| known.name == kind);
        let found = found.ok_or_else(|| usage(format!("Type {kind} not recognised")))?;
        let mut given = given(words, &found.keys())?;
        for name in found.names {
            need(&given, name)?;
        }
        if !given.contains_key("vhost") {
            given.insert("vhost".to_owned(), self.vhost().into());
        }
        Ok((found, given))
    }

    /// Where what is given stands.
    fn path_of(kind: &Kind, given: &Given) -> Result<Path, Failure> {
        let of = |name: &str| need(given, name);
        let vhost = of("vhost")?;
        Ok(match kind.name {
            "exchange" => path(&["exchanges", vhost, of("name")?]),
            "queue" => path(&["queues", vhost, of("name")?]),
            "binding" => {
                let to = if given.get("destination_type").and_then(Value::as_str) == Some("exchange") {
                    "e"
                } else {
                    "q"
                };
                let mut segments = vec!["bindings", vhost, "e", of("source")?, to, of("destination")?];
                segments.extend(given.get("properties_key").and_then(Value::as_str));
                path(&segments)
            }
            "vhost" => path(&["vhosts", of("name")?]),
            "user" => path(&["users", of("name")?]),
            "permission" => path(&["permissions", vhost, of("user")?]),
            "parameter" => path(&["parameters", of("component")?, vhost, of("name")?]),
            "policy" => path(&["policies", vhost, of("name")?]),
            "user_limit" => path(&["user-limits", of("user")?, of("name")?]),
            "operator_policy" => path(&["operator-policies", vhost, of("name")?]),
            _ => path(&["vhost-limits", vhost, of("name")?]),
        })
    }

    fn declare(&self, kind: &str, words: &[&str]) -> Done {
        let (kind, mut given) = self.parse(kind, words)?;
        if let Some(missing) = kind.needs.iter().find(|name| !given.contains_key(**name)) {
            return Err(usage(format!("mandatory argument \"{missing}\" is required")));
        }
        for flag in ["durable", "auto_delete", "internal", "tracing"] {
            if let Some(text) = given.get(flag).and_then(Value::as_str) {
                let is = match text.to_ascii_lowercase().as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return Err(usage(format!("{flag}={text}: true or false"))),
                };
                given.insert(flag.to_owned(), is.into());
            }
        }
        if kind.name == "user" && !given.contains_key("password") && !given.contains_key("password_hash") {
            return Err(usage("one of mandatory arguments \"['password', 'password_hash']\" is required"));
        }
        if let Some(queue_type) = given.remove("queue_type") {
            let arguments = given.entry("arguments").or_insert_with(|| json!({}));
            if let Some(arguments) = arguments.as_object_mut() {
                arguments.insert("x-queue-type".to_owned(), queue_type);
            }
        }
        let path = Self::path_of(kind, &given)?;
        let body = Value::Object(given);
        if kind.name == "binding" {
            self.client.post(path, &body).map(drop)
        } else {
            self.client.put(path, &body).map(drop)
        }?;
        self.verbose(&format!("{} declared", kind.name))
    }

    fn delete(&self, kind: &str, words: &[&str]) -> Done {
        let (kind, mut given) = self.parse(kind, words)?;
        if kind.name == "binding" && !given.contains_key("properties_key") {
            // That of a binding without key and arguments.
            given.insert("properties_key".to_owned(), "~".into());
        }
        match self.client.delete(Self::path_of(kind, &given)?) {
            Err(Failure::Missing(_)) if self.line.idempotent => {}
            deleted => deleted?,
        }
        self.verbose(&format!("{} deleted", kind.name))
    }

    fn close(&self, words: &[&str]) -> Done {
        let given = given(words, &["name"])?;
        self.client.delete(path(&["connections", need(&given, "name")?]))?;
        self.verbose("connection closed")
    }

    fn purge(&self, words: &[&str]) -> Done {
        let given = given(words, &["name"])?;
        self.client.delete(path(&["queues", self.vhost(), need(&given, "name")?, "contents"]))?;
        self.verbose("queue purged")
    }

    fn publish(&self, words: &[&str]) -> Done {
        let known = ["routing_key", "payload", "properties", "exchange", "payload_encoding"];
        let mut given = given(words, &known)?;
        need(&given, "routing_key")?;
        if !given.contains_key("payload") {
            given.insert("payload".to_owned(), STANDARD.encode(read("-".as_ref())?).into());
            given.insert("payload_encoding".to_owned(), "base64".into());
        }
        given.entry("payload_encoding").or_insert_with(|| "string".into());
        given.entry("properties").or_insert_with(|| json!({}));
        let exchange = given.get("exchange").and_then(Value::as_str).filter(|name| !name.is_empty());
        let exchange = exchange.unwrap_or("amq.default");
        let path = path(&["exchanges", self.vhost(), exchange, "publish"]);
        let answer = self.client.post(path, &Value::Object(given))?;
        let routed = at(&answer, "routed") == &Value::Bool(true);
        self.verbose(if routed { "Message published" } else { "Message published but NOT routed" })
    }

    fn get(&self, words: &[&str]) -> Done {
        let mut given = given(words, &["queue", "count", "ackmode", "payload_file", "encoding"])?;
        let queue = need(&given, "queue")?.to_owned();
        let file = given.remove("payload_file");
        for (name, value) in [("count", "1"), ("ackmode", "ack_requeue_true"), ("encoding", "auto")] {
            given.entry(name).or_insert_with(|| value.into());
        }
        if file.is_some() && need(&given, "count")? != "1" {
            return Err(usage("Cannot get multiple messages using payload_file"));
        }
        let found =
            self.client.post(path(&["queues", self.vhost(), &queue, "get"]), &Value::Object(given))?;
        let Some(file) = file.as_ref().and_then(Value::as_str) else {
            return show::rows(&self.line, &[], found);
        };
        let Some(message) = found.get(0) else { return self.verbose("No items") };
        let payload = at(message, "payload").as_str().unwrap_or_default();
        let octets = match at(message, "payload_encoding").as_str() {
            Some("base64") => STANDARD.decode(payload).unwrap_or_default(),
            _ => payload.as_bytes().to_vec(),
        };
        std::fs::write(file, octets)
            .map_err(|error| Failure::Broken(format!("cannot write {file}: {error}")))?;
        let columns = ["routing_key", "exchange", "message_count", "payload_bytes", "redelivered"];
        show::rows(&self.line, &columns, found)
    }

    /// Asks the broker how it is: 1 if it is not well.
    fn check(&self, check: &str, words: &[&str]) -> Done {
        let check = check.replace('_', "-");
        let given = given(words, &["port", "protocol"])?;
        let mut segments =
            vec!["health", "checks", if check == "cluster-wide-alarms" { "alarms" } else { &check }];
        segments.extend(given.values().filter_map(Value::as_str));
        let answer = self.client.check(path(&segments).about(format!("check '{check}'")))?;
        if answer.status != 200 {
            return Err(Failure::Unhealthy(format!("not well: {}", answer.body)));
        }
        self.verbose("ok")
    }

    fn definitions(&self) -> Path {
        let segments: Vec<&str> = ["definitions"].into_iter().chain(self.line.vhost.as_deref()).collect();
        path(&segments)
    }

    fn export(&self, file: &str) -> Done {
        let found = self.client.get(self.definitions())?;
        super::definitions::write_private(FilePath::new(file), &format!("{found}\n"))?;
        self.verbose(&format!("Exported definitions to \"{file}\""))
    }

    fn import(&self, file: &str) -> Done {
        let body: Value = serde_json::from_slice(&read(FilePath::new(file))?)
            .map_err(|error| usage(format!("{file} is not JSON: {error}")))?;
        self.client.post(self.definitions(), &body)?;
        self.verbose(&format!("Imported definitions from \"{file}\""))
    }
}

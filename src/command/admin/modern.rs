//! The words of `rabbitmqadmin` since its second version: `declare queue --name q --durable true`, `queues list`. They
//! are put into those of the first, which the rest understands.

use crate::command::failure::Failure;

/// Commands that take options of their own, and the names of these. An option that is not here is one for all commands.
const OPTIONS: &[(&str, &str, &[&str])] = &[
    ("declare", "queue", &["name", "type", "durable", "auto-delete", "arguments"]),
    ("declare", "exchange", &["name", "type", "durable", "auto-delete", "internal", "arguments"]),
    ("declare", "binding", BINDING),
    ("declare", "vhost", &["name", "description", "default-queue-type", "tracing"]),
    ("declare", "user", &["name", "password", "password-hash", "hashing-algorithm", "tags"]),
    ("declare", "permission", &["user", "configure", "write", "read"]),
    ("declare", "parameter", &["component", "name", "value"]),
    ("declare", "policy", POLICY),
    ("declare", "operator_policy", POLICY),
    ("declare", "vhost_limit", &["name", "value"]),
    ("declare", "user_limit", &["user", "name", "value"]),
    ("delete", "binding", BINDING),
    ("delete", "permission", &["user"]),
    ("delete", "parameter", &["component", "name"]),
    ("delete", "user_limit", &["user", "name"]),
    ("purge", "queue", &["name"]),
    ("close", "connection", &["name"]),
    ("health_check", "port_listener", &["port"]),
    ("health_check", "protocol_listener", &["protocol"]),
    ("publish", "message", &["exchange", "routing-key", "payload", "properties"]),
    ("get", "messages", &["queue", "count", "ack-mode"]),
];

const BINDING: &[&str] = &["source", "destination", "destination-type", "routing-key", "arguments"];
const POLICY: &[&str] = &["name", "pattern", "definition", "priority", "apply-to"];

/// What most things are deleted by.
const NAME: &[&str] = &["name"];

/// Options whose names differ from those of the keys, and the keys. Of the rest `-` is `_`.
const KEYS: &[(&str, &str)] = &[("type", "queue_type"), ("apply-to", "apply-to"), ("ack-mode", "ackmode")];

/// Things by their names in groups of commands (`queues list`), and as they are declared.
const GROUPS: &[(&str, &str)] = &[
    ("bindings", "binding"),
    ("channels", "channel"),
    ("connections", "connection"),
    ("exchanges", "exchange"),
    ("nodes", "node"),
    ("operator_policies", "operator_policy"),
    ("parameters", "parameter"),
    ("permissions", "permission"),
    ("policies", "policy"),
    ("queues", "queue"),
    ("user_limits", "user_limit"),
    ("users", "user"),
    ("vhost_limits", "vhost_limit"),
    ("vhosts", "vhost"),
];

/// What can be done with each group.
const VERBS: &[&str] = &["list", "declare", "delete", "purge", "close"];

/// Things that are declared in a virtual host by a key, and not by an option for all commands.
const WITH_VHOST: &[&str] = &["permission", "vhost_limit"];

/// `queues list` is `list queues`, `declare permissions` is `declare permission`, `definitions export` is `export`.
pub(super) fn normal(words: &mut Vec<String>) {
    let [first, second, ..] = words.as_mut_slice() else { return };
    if group(first).is_some() && VERBS.contains(&second.as_str()) {
        std::mem::swap(first, second);
    }
    match (first.as_str(), second.as_str()) {
        ("list", _) => {}
        ("definitions", "export" | "import") => drop(words.remove(0)),
        (_, thing) => {
            if let Some(one) = group(thing) {
                *second = one.to_owned();
            }
        }
    }
}

fn group(name: &str) -> Option<&'static str> {
    GROUPS.iter().find(|(many, _)| *many == name).map(|(_, one)| *one)
}

/// The word that an option and its value stand for after `words`; `None`: the option is one for all commands.
pub(super) fn word(words: &[String], option: &str, value: &str) -> Option<String> {
    let option = option.strip_prefix("--")?;
    let [verb, thing, ..] = words else { return None };
    let known = OPTIONS.iter().find(|(of, what, _)| of == verb && what == thing);
    let known = match (known, verb.as_str()) {
        (Some((.., known)), _) => known,
        (None, "delete") => NAME,
        (None, _) => return None,
    };
    if !known.contains(&option) {
        return None;
    }
    let renamed = KEYS.iter().find(|(name, _)| *name == option && (option != "type" || thing == "queue"));
    let key = renamed.map_or_else(|| option.replace('-', "_"), |(_, key)| (*key).to_owned());
    Some(format!("{key}={value}"))
}

/// What the first version wants to be told as well.
pub(super) fn complete(words: &mut Vec<String>, vhost: Option<&str>) -> Result<(), Failure> {
    let given = |words: &[String], key: &str| {
        let prefix = format!("{key}=");
        words.iter().find_map(|word| word.strip_prefix(&prefix).map(str::to_owned))
    };
    let [verb, thing, ..] = words.as_slice() else { return Ok(()) };
    if WITH_VHOST.contains(&thing.as_str()) && given(words, "vhost").is_none() {
        words.push(format!("vhost={}", vhost.unwrap_or("/")));
        return Ok(());
    }
    match (verb.as_str(), thing.as_str()) {
        ("publish", "message") | ("get", "messages") => drop(words.remove(1)),
        // A binding is named by its key, as long as it has no arguments.
        ("delete", "binding") => {
            if given(words, "arguments").is_some_and(|arguments| arguments != "{}") {
                let text =
                    "a binding with arguments is deleted by properties_key=, which `list bindings` shows";
                return Err(Failure::Usage(text.to_owned()));
            }
            if let Some(key) = given(words, "routing_key") {
                words.retain(|word| !word.starts_with("routing_key=") && !word.starts_with("arguments="));
                let key = if key.is_empty() { "~".to_owned() } else { super::encoded(&key) };
                words.push(format!("properties_key={key}"));
            }
        }
        (_, _) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::line::Line;

    fn words(line: &str) -> String {
        let line: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Line::parse(&line).unwrap().words.join(" ")
    }

    #[test]
    fn options_of_a_command_are_keys_of_the_first_version() {
        for (modern, classic) in [
            (
                "declare queue --name q --type quorum --auto-delete=true",
                "declare queue name=q queue_type=quorum auto_delete=true",
            ),
            ("declare exchange --name e --type topic", "declare exchange name=e type=topic"),
            ("queues declare --name q", "declare queue name=q"),
            ("queues list name messages", "list queues name messages"),
            ("declare permissions --user u --read .*", "declare permission user=u read=.* vhost=/"),
            (
                "--vhost v declare vhost_limit --name max-queues --value 1",
                "declare vhost_limit name=max-queues value=1 vhost=v",
            ),
            ("declare policy --name p --apply-to queues", "declare policy name=p apply-to=queues"),
            ("publish message --routing-key k --payload x", "publish routing_key=k payload=x"),
            ("get messages --queue q --ack-mode ack_requeue_false", "get queue=q ackmode=ack_requeue_false"),
            (
                "delete binding --source e --destination q --routing-key a.#",
                "delete binding source=e destination=q properties_key=a.%23",
            ),
            (
                "delete binding --source e --destination q --routing-key=",
                "delete binding source=e destination=q properties_key=~",
            ),
            ("delete queue --name q --idempotently", "delete queue name=q"),
            ("definitions export --file f", "export f"),
        ] {
            assert_eq!(words(modern), classic, "{modern}");
        }
    }

    #[test]
    fn options_for_all_commands_stay_what_they_are() {
        let line =
            ["--username", "u", "--password", "p", "declare", "user", "--name", "n", "--password", "q"];
        let line = Line::parse(&line.map(str::to_owned)).unwrap();
        assert_eq!((line.user.as_deref(), line.password.as_deref()), (Some("u"), Some("p")));
        assert_eq!(line.words, ["declare", "user", "name=n", "password=q"]);
        let classic = ["declare", "user", "name=n", "password=q", "tags=", "--password", "p"];
        let classic = Line::parse(&classic.map(str::to_owned)).unwrap();
        assert_eq!(classic.password.as_deref(), Some("p"));
    }
}

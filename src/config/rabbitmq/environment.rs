//! RabbitMQ's environment variables, as its container image has them.

use std::path::{Path, PathBuf};

use crate::config::load::{Given, Origin};
use crate::config::value::Raw;

/// Variables and the settings that they are other names for.
const ALIASES: &[(&str, &str)] = &[("RABBITMQ_NODENAME", "management.node_name")];

/// The port of the listener for AMQP, and its address.
const NODE_PORT: &str = "RABBITMQ_NODE_PORT";
const NODE_IP_ADDRESS: &str = "RABBITMQ_NODE_IP_ADDRESS";

/// What the variables give.
pub(in crate::config) fn read(variables: &[(String, String)]) -> Vec<Given> {
    let give = |key: &str, text: String, variable: &str| Given {
        key: key.to_owned(),
        raw: Raw::Text(text),
        origin: Origin::Environment(variable.to_owned()),
    };
    let alias =
        |(variable, key): &(&str, &str)| Some(give(key, get(variables, variable)?.to_owned(), variable));
    let port = get(variables, NODE_PORT).map(|port| match get(variables, NODE_IP_ADDRESS) {
        None => give("listen", port.to_owned(), NODE_PORT),
        Some(address) if address.contains(':') => give("listen", format!("[{address}]:{port}"), NODE_PORT),
        Some(address) => give("listen", format!("{address}:{port}"), NODE_PORT),
    });
    ALIASES.iter().filter_map(alias).chain(port).collect()
}

/// The files that the variables name, and warnings.
pub(in crate::config) fn files(variables: &[(String, String)]) -> (Vec<PathBuf>, Vec<String>) {
    let mut files = Vec::new();
    let mut warnings = Vec::new();
    if let Some(name) = get(variables, "RABBITMQ_CONFIG_FILE") {
        // RabbitMQ: the ending may be left out, and the file may be missing.
        let candidates = [PathBuf::from(name), PathBuf::from(format!("{name}.conf"))];
        match candidates.into_iter().find(|path| path.is_file()) {
            Some(path) => files.push(path),
            None => warnings.push(format!("RABBITMQ_CONFIG_FILE: there is no file {name}")),
        }
    }
    if let Some(name) = get(variables, "RABBITMQ_CONFIG_FILES") {
        // RabbitMQ: a directory, or all of its files by a pattern.
        let path = Path::new(name.strip_suffix("/*.conf").unwrap_or(name));
        if path.exists() {
            files.push(path.to_owned());
        } else {
            warnings.push(format!("RABBITMQ_CONFIG_FILES: there is no {name}"));
        }
    }
    if get(variables, "RABBITMQ_ADVANCED_CONFIG_FILE").is_some() {
        warnings.push("RABBITMQ_ADVANCED_CONFIG_FILE is ignored: it holds Erlang's terms".to_owned());
    }
    (files, warnings)
}

fn get<'v>(variables: &'v [(String, String)], name: &str) -> Option<&'v str> {
    let (_, value) = variables.iter().find(|(known, value)| known == name && !value.is_empty())?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_port_may_have_an_address() {
        let listen = |pairs: &[(&str, &str)]| read(&variables(pairs)).pop().map(|given| given.raw);
        let text = |text: &str| Some(Raw::Text(text.to_owned()));
        assert_eq!(listen(&[("RABBITMQ_NODE_PORT", "5673")]), text("5673"));
        let both = |address| [("RABBITMQ_NODE_PORT", "5673"), ("RABBITMQ_NODE_IP_ADDRESS", address)];
        assert_eq!(listen(&both("192.0.2.1")), text("192.0.2.1:5673"));
        assert_eq!(listen(&both("::1")), text("[::1]:5673"));
        let others = [("RABBITMQ_NODE_PORT", ""), ("RABBITMQ_LOGS", "-"), ("RABBITMQ_ERLANG_COOKIE", "c")];
        assert_eq!(listen(&others), None);
    }

    #[test]
    fn files_are_found_without_their_ending_and_missing_ones_are_told() {
        let directory = tempfile::TempDir::new().unwrap();
        std::fs::write(directory.path().join("rabbitmq.conf"), "").unwrap();
        let name = directory.path().join("rabbitmq").display().to_string();
        let pattern = format!("{}/*.conf", directory.path().display());
        let pairs = [("RABBITMQ_CONFIG_FILE", name.as_str()), ("RABBITMQ_CONFIG_FILES", pattern.as_str())];
        let (found, warnings) = files(&variables(&pairs));
        assert_eq!(found, [directory.path().join("rabbitmq.conf"), directory.path().to_owned()]);
        assert!(warnings.is_empty());
        let pairs = [("RABBITMQ_CONFIG_FILE", "/nowhere/rabbitmq"), ("RABBITMQ_ADVANCED_CONFIG_FILE", "a")];
        assert_eq!(files(&variables(&pairs)).1.len(), 2);
    }
}

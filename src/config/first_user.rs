//! The first user as container images know it: RabbitMQ's variables, and secrets in files.
//!
//! ```text
//!   RABBITMQ_DEFAULT_USER_FILE < RABBITMQ_DEFAULT_USER < LEPUS_DEFAULT_USER_FILE < LEPUS_DEFAULT_USER
//! ```

use super::load::{Given, Origin};
use super::value::Raw;

/// The settings, and what their variables end in.
const SETTINGS: [(&str, &str); 3] =
    [("default_user", "DEFAULT_USER"), ("default_pass", "DEFAULT_PASS"), ("default_vhost", "DEFAULT_VHOST")];

/// A variable that ends so names a file with the value, as secrets are given to containers.
const FILE: &str = "_FILE";

/// What the environment gives; the later ones are the stronger ones.
pub(super) fn read(variables: &[(String, String)]) -> Vec<Given> {
    let mut given = Vec::new();
    for (prefix, plain) in [("RABBITMQ_", true), ("LEPUS_", false)] {
        for (key, name) in SETTINGS {
            let name = format!("{prefix}{name}");
            let in_file = format!("{name}{FILE}");
            given.extend(
                value(variables, &in_file).map(|path| self::given(key, in_file.as_str(), from_file(path))),
            );
            if plain {
                let raw = value(variables, &name).map(|value| Raw::Word(value.to_owned()));
                given.extend(raw.map(|raw| self::given(key, &name, raw)));
            }
        }
    }
    given
}

/// Whether a variable is one of these.
pub(super) fn is_known(name: &str) -> bool {
    let base = name.strip_prefix("LEPUS_").and_then(|name| name.strip_suffix(FILE));
    base.is_some_and(|base| SETTINGS.iter().any(|(_, name)| *name == base))
}

/// A variable that is empty counts as not set.
fn value<'v>(variables: &'v [(String, String)], name: &str) -> Option<&'v str> {
    let found = variables.iter().find(|(known, value)| known == name && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}

fn given(key: &str, variable: &str, raw: Raw) -> Given {
    Given { key: key.to_owned(), raw, origin: Origin::Environment(variable.to_owned()) }
}

/// The end of the last line does not belong to the value. What cannot be read is no value: the broker must not begin
/// with a password that everybody knows instead.
fn from_file(path: &str) -> Raw {
    match std::fs::read_to_string(path) {
        Ok(text) => Raw::Word(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(_) => Raw::Other("a file that cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(variables: &[(&str, &str)]) -> Vec<(String, Raw)> {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read(&variables).into_iter().map(|given| (given.key, given.raw)).collect()
    }

    #[test]
    fn rabbitmqs_variables_name_the_first_user() {
        let given = read_all(&[("RABBITMQ_DEFAULT_USER", "alice"), ("RABBITMQ_DEFAULT_VHOST", "")]);
        assert_eq!(given, [("default_user".to_owned(), Raw::Word("alice".to_owned()))]);
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "pass word\n").unwrap();
        for variable in ["RABBITMQ_DEFAULT_PASS_FILE", "LEPUS_DEFAULT_PASS_FILE"] {
            let given = read_all(&[(variable, path.to_str().unwrap())]);
            assert_eq!(given, [("default_pass".to_owned(), Raw::Word("pass word".to_owned()))]);
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_no_value() {
        let given = read_all(&[("LEPUS_DEFAULT_PASS_FILE", "/nowhere/secret")]);
        assert!(matches!(given.as_slice(), [(_, Raw::Other(_))]), "{given:?}");
    }
}

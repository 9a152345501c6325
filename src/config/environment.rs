//! Settings from environment variables.

use super::first_user;
use super::load::{Given, Origin};
use super::setting::Meta;
use super::suggest::did_you_mean;
use super::value::{Raw, Unit, Value};

/// What our variables begin with.
const PREFIX: &str = "LEPUS_";

/// Names the configuration files, separated by commas.
pub const CONFIG_VARIABLE: &str = "LEPUS_CONFIG";

/// Kubernetes sets such variables for a service named `lepus`; they are not meant for the broker.
const OF_SERVICES: &[&str] = &["LEPUS_PORT", "LEPUS_SERVICE"];

/// What the environment gives, and warnings. A variable that is empty counts as not set.
pub(super) fn read(variables: &[(String, String)], settings: &[(Meta, bool)]) -> (Vec<Given>, Vec<String>) {
    let mut given = first_user::read(variables);
    let mut warnings = Vec::new();
    for (name, value) in
        variables.iter().filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
    {
        match find(name, value, settings) {
            Some(found) => given.push(found),
            None => warnings.extend(warning(name, settings)),
        }
    }
    (given, warnings)
}

fn find(name: &str, value: &str, settings: &[(Meta, bool)]) -> Option<Given> {
    settings.iter().find_map(|(meta, is_switch)| {
        let variable = meta.variable();
        let raw = if variable == name {
            Raw::Word(value.to_owned())
        } else if *is_switch && negative(&variable) == name {
            negated(value)
        } else {
            return None;
        };
        Some(Given { key: meta.key(), raw, origin: Origin::Environment(name.to_owned()) })
    })
}

/// `LEPUS_NO_ANONYMOUS=1` is `LEPUS_ANONYMOUS=0`.
pub(super) fn negative(variable: &str) -> String {
    variable.replacen(PREFIX, "LEPUS_NO_", 1)
}

fn negated(value: &str) -> Raw {
    let word = Raw::Word(value.to_owned());
    bool::parse(&word, Unit::Things).map_or(word, |is| Raw::Boolean(!is))
}

/// An unknown variable may be meant for another program, so that only one that looks like a setting is worth a word.
fn warning(name: &str, settings: &[(Meta, bool)]) -> Option<String> {
    if name == CONFIG_VARIABLE
        || first_user::is_known(name)
        || OF_SERVICES.iter().any(|prefix| name.starts_with(prefix))
    {
        return None;
    }
    let variables: Vec<String> = settings.iter().map(|(meta, _)| meta.variable()).collect();
    let hint = did_you_mean(
        name.strip_prefix(PREFIX)?,
        variables.iter().filter_map(|name| name.strip_prefix(PREFIX)),
    );
    (!hint.is_empty()).then(|| format!("environment variable {name} is no setting{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(name: &str, value: &str) -> (Vec<Given>, Vec<String>) {
        let settings =
            [(Meta::new("", "anonymous", ""), true), (Meta::new("limits", "heartbeat", ""), false)];
        read(&[(name.to_owned(), value.to_owned())], &settings)
    }

    #[test]
    fn a_variable_gives_a_word() {
        let (given, warnings) = read_one("LEPUS_HEARTBEAT", "30");
        assert_eq!((given[0].key.as_str(), &given[0].raw), ("limits.heartbeat", &Raw::Word("30".to_owned())));
        assert!(warnings.is_empty());
    }

    #[test]
    fn switches_can_be_negated() {
        assert_eq!(read_one("LEPUS_NO_ANONYMOUS", "1").0[0].raw, Raw::Boolean(false));
        assert_eq!(read_one("LEPUS_NO_ANONYMOUS", "0").0[0].raw, Raw::Boolean(true));
    }

    #[test]
    fn empty_variables_and_those_of_others_are_passed_over() {
        for (name, value) in [
            ("LEPUS_HEARTBEAT", ""),
            ("LEPUS_PORT", "tcp://10.0.0.1:5672"),
            ("HOME", "/"),
            ("LEPUS_URI", "x"),
        ] {
            let (given, warnings) = read_one(name, value);
            assert!(given.is_empty() && warnings.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_a_warning() {
        assert_eq!(
            read_one("LEPUS_HEARTBEET", "1").1,
            ["environment variable LEPUS_HEARTBEET is no setting; did you mean 'HEARTBEAT'?"]
        );
    }
}

//! The flags of all settings, made from the settings themselves.

use std::path::PathBuf;

use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::Config;
use crate::config::example::readable;
use crate::config::load::{Given, Origin, Sources};
use crate::config::setting::Field;
use crate::config::value::Raw;

/// The flag that names configuration files.
const CONFIG: &str = "config";

/// Where the settings come from, as the command line says.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    files: Vec<PathBuf>,
    flags: Vec<Given>,
}

impl Settings {
    /// With the environment of this process.
    pub(super) fn into_sources(self) -> Sources {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment = std::env::vars_os().filter_map(utf8).collect();
        Sources { files: self.files, environment, flags: self.flags }
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .action(ArgAction::Append)
            .value_parser(clap::value_parser!(PathBuf))
            .help(
                "Configuration file; of several, the later ones are the stronger ones [env: LEPUS_CONFIG=]",
            );
        let mut settings = Config::of_server();
        settings.fields().iter().flat_map(arguments).fold(command.arg(config), Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let files = matches.get_many(CONFIG).into_iter().flatten().cloned().collect();
        let mut settings = Config::of_server();
        let flags = settings.fields().iter().flat_map(|field| given(field, matches)).collect();
        Ok(Self { files, flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of a setting; a switch has a second one, which switches off.
fn arguments(field: &Field<'_>) -> Vec<Arg> {
    let flag = field.meta.flag();
    let default = field.shown();
    let (help, long_help) = (help(field), format!("{}\n\n[setting: {}]", help(field), field.meta.key()));
    let argument = Arg::new(flag.clone()).long(flag.clone()).help(help.clone()).long_help(long_help);
    if !field.is_switch() {
        let action = if field.is_list() { ArgAction::Append } else { ArgAction::Set };
        return vec![argument.action(action).value_name(field.meta.name.to_ascii_uppercase())];
    }
    let negative = Arg::new(negative(&flag))
        .long(negative(&flag))
        .action(ArgAction::SetTrue)
        .overrides_with(flag.clone())
        .help(format!("Do not: {help}"));
    let positive = argument
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("BOOLEAN")
        .overrides_with(negative.get_id().clone());
    // Only the one that changes something is worth a line.
    if default == Raw::Boolean(true) {
        vec![positive.hide_short_help(true), negative]
    } else {
        vec![positive, negative.hide(true)]
    }
}

fn negative(flag: &str) -> String {
    format!("no-{flag}")
}

fn help(field: &Field<'_>) -> String {
    let text = field.meta.help_lines().collect::<Vec<_>>().join(" ");
    let shown = field.shown();
    let default = if shown == Raw::Nothing {
        String::new()
    } else {
        format!(" [default: {}]", readable(&shown, field.meta.unit))
    };
    format!("{text} [env: {}=]{default}", field.meta.variable())
}

fn given(field: &Field<'_>, matches: &ArgMatches) -> Vec<Given> {
    let flag = field.meta.flag();
    let give =
        |flag: &str, raw| Given { key: field.meta.key(), raw, origin: Origin::Flag(format!("--{flag}")) };
    let is_given = |flag: &str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    let mut given = Vec::new();
    if is_given(&flag) {
        let mut words: Vec<Raw> =
            matches.get_many::<String>(&flag).into_iter().flatten().cloned().map(Raw::Word).collect();
        let raw = if field.is_list() { Raw::List(words) } else { words.pop().unwrap_or(Raw::Nothing) };
        given.push(give(&flag, raw));
    }
    if field.is_switch() && is_given(&negative(&flag)) {
        given.push(give(&negative(&flag), Raw::Boolean(false)));
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(arguments: &[&str]) -> Vec<(String, Raw, String)> {
        let command = Settings::augment_args(Command::new("lepus").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).unwrap();
        let settings = Settings::from_arg_matches(&matches).unwrap();
        settings.flags.into_iter().map(|given| (given.key, given.raw, given.origin.to_string())).collect()
    }

    #[test]
    fn only_what_is_given_is_given() {
        assert!(flags(&[]).is_empty());
        let heartbeat = ("limits.heartbeat".to_owned(), Raw::Word("5".to_owned()), "--heartbeat".to_owned());
        assert_eq!(flags(&["--heartbeat", "5"]), [heartbeat]);
    }

    #[test]
    fn lists_are_given_piece_by_piece() {
        let [(_, raw, _)] = flags(&["--listen", "a,b", "--listen", "c"]).try_into().unwrap();
        assert_eq!(raw, Raw::List(vec![Raw::Word("a,b".to_owned()), Raw::Word("c".to_owned())]));
    }

    #[test]
    fn of_both_forms_of_a_switch_the_last_one_counts() {
        let of = |arguments: &[&str]| {
            let [(_, raw, origin)] = flags(arguments).try_into().unwrap();
            (raw, origin)
        };
        let (yes, no) = (Raw::Word("true".to_owned()), Raw::Boolean(false));
        assert_eq!(of(&["--no-anonymous"]), (no.clone(), "--no-anonymous".to_owned()));
        assert_eq!(of(&["--anonymous", "--no-anonymous"]), (no, "--no-anonymous".to_owned()));
        assert_eq!(of(&["--no-anonymous", "--anonymous"]), (yes, "--anonymous".to_owned()));
    }
}

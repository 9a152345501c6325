//! `lepus config`: checks a file, shows what is in effect, writes an example.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::settings::Settings;
use super::{bad_settings, fail};
use crate::config::example::{example, readable};
use crate::config::load::{Loaded, Shown, Sources};
use crate::config::value::Raw;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a file, or all that `lepus server` would read here. Exits with 2 and a line for each problem.
    Check {
        /// The file; without it, the files, the environment and the flags that the server would use.
        file: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show every setting in effect and where it comes from.
    Show {
        /// A table for people, or JSON for programs.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        #[command(flatten)]
        settings: Settings,
    },
    /// Print a file with every setting, its default and what it is for.
    Example,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
}

/// A setting in JSON.
#[derive(Debug, Serialize)]
struct Row {
    key: String,
    value: serde_json::Value,
    origin: String,
    reloads: bool,
}

pub(super) fn run(command: Command) -> ExitCode {
    match command {
        Command::Check { file, settings } => {
            let sources = file.map_or_else(
                || settings.into_sources(),
                |file| Sources { files: vec![file], ..Sources::default() },
            );
            with(sources, |_| "the settings are good\n".to_owned())
        }
        Command::Show { format, settings } => with(settings.into_sources(), |loaded| match format {
            Format::Table => table(&loaded.shown()),
            Format::Json => json(loaded.shown()),
        }),
        Command::Example => print(&example()),
    }
}

/// Loads, tells problems and warnings, and prints what follows from the settings.
fn with(sources: Sources, text: impl FnOnce(&Loaded) -> String) -> ExitCode {
    match sources.load() {
        Err(problems) => bad_settings(&problems),
        Ok(loaded) => {
            warn(&loaded.warnings);
            print(&text(&loaded))
        }
    }
}

#[expect(clippy::print_stderr, reason = "warnings must not be mixed with what is asked for")]
fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("lepus: warning: {warning}");
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

fn table(settings: &[Shown]) -> String {
    let rows: Vec<[String; 3]> = settings
        .iter()
        .map(|shown| [shown.meta.key(), readable(&shown.value, shown.meta.unit), shown.origin.to_string()])
        .collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let (keys, values) = (width(0), width(1));
    let line = |[key, value, origin]: &[String; 3]| format!("{key:keys$}  {value:values$}  {origin}\n");
    rows.iter().map(line).collect()
}

fn json(settings: Vec<Shown>) -> String {
    let row = |shown: Shown| Row {
        key: shown.meta.key(),
        value: json_value(shown.value),
        origin: shown.origin.to_string(),
        reloads: shown.meta.reloads,
    };
    let rows: Vec<Row> = settings.into_iter().map(row).collect();
    // Rows hold nothing that JSON has no form for.
    serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n"
}

fn json_value(raw: Raw) -> serde_json::Value {
    match raw {
        Raw::Nothing | Raw::Other(_) => serde_json::Value::Null,
        Raw::Word(text) | Raw::Text(text) => text.into(),
        Raw::Integer(number) => number.into(),
        Raw::Float(number) => number.into(),
        Raw::Boolean(is) => is.into(),
        Raw::List(items) => items.into_iter().map(json_value).collect(),
    }
}

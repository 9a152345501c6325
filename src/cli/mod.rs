//! The command line.

mod completion;
mod config;
mod server;
mod settings;
mod store;

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::bench;
use crate::command;

/// Ends a process whose flags, variables or files cannot be used; a broker that cannot start for another reason ends
/// with 1.
const BAD_SETTINGS: u8 = 2;

/// A message broker for RabbitMQ's clients.
#[derive(Debug, Parser)]
#[command(name = "lepus", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker.
    Server(settings::Settings),
    /// Check and show settings.
    #[command(subcommand)]
    Config(config::Command),
    /// Check and repair a data directory.
    #[command(subcommand)]
    Store(store::Command),
    /// Make a load on a broker and measure it.
    Bench(Box<bench::command::Bench>),
    #[command(flatten)]
    Operate(Box<command::Command>),
    /// As RabbitMQ's tool of that name, for scripts and health checks; so is a link of that name to this program.
    #[command(disable_help_flag = true)]
    Rabbitmqctl(Words),
    /// As rabbitmqctl.
    #[command(name = "rabbitmq-diagnostics", disable_help_flag = true)]
    Diagnostics(Words),
    /// As rabbitmqctl.
    #[command(name = "rabbitmq-queues", disable_help_flag = true)]
    Queues(Words),
    /// As rabbitmqctl.
    #[command(name = "rabbitmq-upgrade", disable_help_flag = true)]
    Upgrade(Words),
    /// As RabbitMQ's tool of that name: what is built in is enabled.
    #[command(name = "rabbitmq-plugins", disable_help_flag = true)]
    Plugins(Words),
    /// As RabbitMQ's tool of that name (the classic one: `declare queue name=q`).
    #[command(disable_help_flag = true)]
    Rabbitmqadmin(Words),
    /// Print a script that completes commands and options in your shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Everything that follows, as it is.
#[derive(Debug, clap::Args)]
struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    words: Vec<String>,
}

/// As which of RabbitMQ's tools the program was called.
fn called_as(program: &OsStr) -> Option<String> {
    let name = Path::new(program).file_name()?.to_str()?;
    let is_tool = command::ctl::PROGRAMS.contains(&name) || name == command::admin::PROGRAM;
    is_tool.then(|| name.to_owned())
}

/// Runs one of RabbitMQ's tools.
fn tool(name: &str, words: &[String]) -> ExitCode {
    if name == command::admin::PROGRAM { command::admin::run(words) } else { command::ctl::run(name, words) }
}

/// Carries out what the command line says.
pub fn run() -> ExitCode {
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next().as_deref().and_then(called_as) {
        let words: Result<Vec<String>, _> = arguments.map(OsString::into_string).collect();
        return words.map_or_else(|_| fail_with(64, "an argument is not UTF-8"), |words| tool(&name, &words));
    }
    match Cli::parse().command {
        Command::Server(settings) => server::run(settings),
        Command::Config(command) => config::run(command),
        Command::Store(command) => store::run(command),
        Command::Bench(bench) => bench::command::main(&bench),
        Command::Operate(command) => command::run(*command),
        Command::Rabbitmqctl(Words { words }) => tool("rabbitmqctl", &words),
        Command::Diagnostics(Words { words }) => tool("rabbitmq-diagnostics", &words),
        Command::Queues(Words { words }) => tool("rabbitmq-queues", &words),
        Command::Upgrade(Words { words }) => tool("rabbitmq-upgrade", &words),
        Command::Plugins(Words { words }) => tool("rabbitmq-plugins", &words),
        Command::Rabbitmqadmin(Words { words }) => tool("rabbitmqadmin", &words),
        Command::Completion { shell } => completion::run(shell, Cli::command()),
    }
}

fn fail(reason: impl Display) -> ExitCode {
    fail_with(1, reason)
}

#[expect(clippy::print_stderr, reason = "the log may not have been started")]
fn fail_with(code: u8, reason: impl Display) -> ExitCode {
    eprintln!("lepus: {reason}");
    ExitCode::from(code)
}

/// A line for each problem.
#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn bad_settings(problems: &[impl Display]) -> ExitCode {
    for problem in problems {
        eprintln!("lepus: {problem}");
    }
    ExitCode::from(BAD_SETTINGS)
}

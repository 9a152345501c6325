//! The command line.

mod completion;
mod config;
mod server;
mod settings;
mod store;

use std::fmt::Display;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

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
    #[command(flatten)]
    Operate(command::Command),
    /// Print a script that completes commands and options in your shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Carries out what the command line says.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Server(settings) => server::run(settings),
        Command::Config(command) => config::run(command),
        Command::Store(command) => store::run(command),
        Command::Operate(command) => command::run(command),
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

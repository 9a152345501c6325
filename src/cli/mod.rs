//! The command line.

mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Server(server::Arguments),
}

/// Carries out what the command line says.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Server(arguments) => server::run(arguments),
    }
}

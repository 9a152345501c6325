//! The options that every command has: which broker, who asks, where, and how to print.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::client::{Client, Login};
use super::context::Context;
use super::failure::Failure;

/// Where a broker with default settings serves its management API.
const URL: &str = "http://127.0.0.1:15672";

/// The user of a new broker, and the password.
const GUEST: &str = "guest";

/// Which broker, and who asks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Broker")]
pub(crate) struct Access {
    /// Where the broker's management API listens [default: http://127.0.0.1:15672].
    #[arg(long, global = true, env = "LEPUS_URL", value_name = "URL")]
    url: Option<String>,
    /// Who asks [default: guest].
    #[arg(id = "asking-user", long = "user", global = true, env = "LEPUS_USER", value_name = "NAME")]
    user: Option<String>,
    /// The password; other users of the machine can see it here, not in LEPUS_PASSWORD.
    #[arg(long, global = true, env = "LEPUS_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// A file that holds the password.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// The virtual host [default: / for one thing, all for lists].
    #[arg(long, global = true, env = "LEPUS_VHOST", value_name = "NAME")]
    vhost: Option<String>,
    /// A table for people, or the API's JSON for programs.
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// Seconds to wait for an answer.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
}

impl Access {
    /// What a command works with.
    pub(super) fn context(self) -> Result<Context, Failure> {
        let timeout = Duration::from_secs(self.timeout.into());
        let password = match &self.password_file {
            None => self.password.clone(),
            Some(file) => Some(first_line(file)?),
        };
        let login = match (self.user, password) {
            (None, None) => Login { user: GUEST.to_owned(), password: GUEST.to_owned() },
            (user, password) => Login {
                user: user.unwrap_or_else(|| GUEST.to_owned()),
                password: password.unwrap_or_else(|| GUEST.to_owned()),
            },
        };
        let client = Client::new(self.url.as_deref().unwrap_or(URL), login, timeout)?;
        Ok(Context { client, vhost: self.vhost, format: self.format })
    }
}

fn first_line(file: &PathBuf) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Broken(format!("cannot read {}: {error}", file.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

//! What a command works with: the client, the virtual host, and where its output goes.

use std::io::{ErrorKind, Write};

use serde_json::Value;

use super::access::Format;
use super::client::Client;
use super::failure::Failure;
use super::text::{self, Column};

/// How a command ends.
pub(super) type Done = Result<(), Failure>;

/// What a command works with.
pub(super) struct Context {
    pub(super) client: Client,
    /// The virtual host that was asked for.
    pub(super) vhost: Option<String>,
    pub(super) format: Format,
    /// Where the settings of this machine say that AMQP is served.
    pub(super) amqp: Option<std::net::SocketAddr>,
}

impl Context {
    /// The virtual host, where there must be one.
    pub(super) fn vhost(&self) -> &str {
        self.vhost.as_deref().unwrap_or("/")
    }

    /// How something in the virtual host appears in errors.
    pub(super) fn in_vhost(&self, kind: &str, name: &str) -> String {
        format!("{kind} '{name}' in virtual host '{}'", self.vhost())
    }

    /// Prints rows: as a table with these columns, or as they are.
    pub(super) fn table(&self, columns: &[Column], rows: &Value) -> Done {
        match self.format {
            Format::Json => self.json(rows),
            Format::Table => print(&text::table(columns, rows.as_array().map_or(&[], Vec::as_slice))),
        }
    }

    /// Prints one thing: a line for each field, or as it is.
    pub(super) fn document(&self, document: &Value) -> Done {
        match self.format {
            Format::Json => self.json(document),
            Format::Table => print(&text::fields(document)),
        }
    }

    /// Tells what has been done; programs see it by the exit code.
    pub(super) fn say(&self, what: impl std::fmt::Display) -> Done {
        match self.format {
            Format::Json => Ok(()),
            Format::Table => print(&format!("{what}\n")),
        }
    }

    /// Prints JSON.
    pub(super) fn json(&self, value: &Value) -> Done {
        // A document that was read can be written.
        print(&(serde_json::to_string_pretty(value).unwrap_or_default() + "\n"))
    }
}

/// Prints.
pub(super) fn print(text: &str) -> Done {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            return Failure::Unread;
        }
        Failure::Broken(format!("cannot write the output: {error}"))
    })
}

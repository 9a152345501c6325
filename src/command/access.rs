//! The options that every command has: which broker, who asks, where, and how to print; and what holds without them.
//!
//! ```text
//!   --url, --user, --password          as given, with guest for what is not
//!   none of them                       the operator file in the data directory of this machine's broker
//!   that cannot be read                guest at the address in the settings
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use ureq::tls::{PemItem, RootCerts, parse_pem};

use super::client::{Client, Login};
use super::context::Context;
use super::failure::Failure;
use crate::auth::OperatorFile;
use crate::config::Config;
use crate::config::load::Sources;

/// Where a broker with default settings serves its management API.
const API: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15672);

/// The user of a new broker, and the password.
const GUEST: &str = "guest";

/// The user as the operator file lets one in, in errors.
const OPERATOR: &str = "the operator of this machine";

/// Which broker, and who asks.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Broker")]
pub(super) struct Access {
    /// Where the broker's management API listens [default: of this machine's broker].
    #[arg(long, global = true, env = "LEPUS_URL", value_name = "URL")]
    url: Option<String>,
    /// Who asks [default: whoever can read the broker's operator file, else guest].
    #[arg(id = "asking-user", long = "user", global = true, env = "LEPUS_USER", value_name = "NAME")]
    user: Option<String>,
    /// The password; other users of the machine can see it here, not in LEPUS_PASSWORD.
    #[arg(long, global = true, env = "LEPUS_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// A file that holds the password.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// A PEM file of the authorities that vouch for the broker's certificate [default: those that browsers trust].
    #[arg(long, global = true, env = "LEPUS_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The data directory of this machine's broker, for its operator file [default: as the settings say].
    #[arg(long, global = true, value_name = "DIR")]
    broker_dir: Option<PathBuf>,
    /// The virtual host [default: / for one thing, all for lists].
    #[arg(long, global = true, env = "LEPUS_VHOST", value_name = "NAME")]
    vhost: Option<String>,
    /// A table for people, or the API's JSON for programs.
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// Seconds to wait for an answer.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
}

/// A broker of this machine.
pub(super) type Local = OperatorFile;

impl Access {
    /// As the environment says, for tools that have no such options.
    pub(super) fn of_environment(timeout: u64, vhost: &str) -> Self {
        let access = Self::of_tool(None, None, None, Some(timeout));
        Self { vhost: Some(vhost.to_owned()), ..access }
    }

    /// As a tool's own options say, and the environment where they say nothing.
    pub(super) fn of_tool(
        url: Option<String>,
        user: Option<String>,
        password: Option<String>,
        timeout: Option<u64>,
    ) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            url: url.or_else(|| variable("LEPUS_URL")),
            user: user.or_else(|| variable("LEPUS_USER")),
            password: password.or_else(|| variable("LEPUS_PASSWORD")),
            ca_file: variable("LEPUS_CA_FILE").map(PathBuf::from),
            timeout: timeout.unwrap_or(60),
            ..Self::default()
        }
    }

    /// As it is, trusting the authorities of this file instead, if one is named.
    pub(super) fn trusting(self, ca_file: Option<String>) -> Self {
        Self { ca_file: ca_file.map(PathBuf::from).or(self.ca_file), ..self }
    }

    /// The broker of this machine, if there is one whose operator file can be read.
    pub(super) fn local(&self) -> Option<Local> {
        local(self.broker_dir.as_deref(), &settings())
    }

    /// What a command works with.
    pub(super) fn context(self) -> Result<Context, Failure> {
        let settings = settings();
        let timeout = Duration::from_secs(self.timeout);
        let password = match &self.password_file {
            None => self.password.clone(),
            Some(file) => Some(first_line(file)?),
        };
        let says_nothing = self.url.is_none() && self.user.is_none() && password.is_none();
        let own = if says_nothing { local(self.broker_dir.as_deref(), &settings) } else { None };
        let (url, login) = match own.and_then(|own| Some((own.api?, own.token))) {
            // The token goes to no other address than its own.
            Some((api, token)) => {
                let login = Login::Operator { name: OPERATOR.to_owned(), token: token.reveal().to_owned() };
                (format!("http://{api}"), login)
            }
            None => {
                let url = self.url.unwrap_or_else(|| format!("http://{}", api(&settings)));
                let guest = || GUEST.to_owned();
                let (user, password) = (self.user.unwrap_or_else(guest), password.unwrap_or_else(guest));
                (url, Login::Password { user, password })
            }
        };
        let authorities = self.ca_file.as_deref().map(authorities).transpose()?;
        let client = Client::new(&url, login, timeout, authorities)?;
        let amqp = settings.listen.first().copied().map(reached_at);
        Ok(Context { client, vhost: self.vhost, format: self.format, amqp })
    }
}

/// What the broker here would be started with, as far as its files and the environment can be read.
fn settings() -> Config {
    let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let environment = std::env::vars_os().filter_map(utf8).collect();
    let loaded = Sources { environment, ..Sources::default() }.load();
    loaded.map_or_else(|_| Config::of_server(), |loaded| loaded.config)
}

fn local(dir: Option<&Path>, settings: &Config) -> Option<Local> {
    let dir = dir.or(settings.data_dir.as_deref())?;
    OperatorFile::read(dir).ok().flatten()
}

fn api(settings: &Config) -> SocketAddr {
    settings.management.listen.first().copied().map_or(API, reached_at)
}

/// Where a listener of this machine is reached: one on every address, on loopback.
pub(super) fn reached_at(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    } else {
        address
    }
}

/// The certificates of a PEM file.
fn authorities(file: &Path) -> Result<RootCerts, Failure> {
    let bad = |why: String| Failure::Usage(format!("--ca-file {}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|error| bad(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| bad(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(bad("there is no certificate in it".to_owned()));
    }
    Ok(RootCerts::from(found))
}

fn first_line(file: &PathBuf) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Broken(format!("cannot read {}: {error}", file.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

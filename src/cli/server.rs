//! `lepus server`: runs the broker until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, telemetry};
use crate::config::{COMPATIBLE_VERSION, Config, Identity};

/// Settings of the broker. Each can be given by its environment variable too.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Address and port to listen on; may be given several times.
    #[arg(long, env = "LEPUS_LISTEN", value_delimiter = ',', default_value = "127.0.0.1:5672")]
    listen: Vec<SocketAddr>,

    /// Directory of the broker's data; made if it is not there.
    #[arg(long, env = "LEPUS_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,

    /// What to log: a level (error, warn, info, debug, trace) or `module=level,...`.
    #[arg(long, env = "LEPUS_LOG", default_value = "info")]
    log: String,

    /// As which product to present the broker to clients. Some choose their semantics by it.
    #[arg(long, env = "LEPUS_IDENTITY", value_enum, default_value_t)]
    identity: IdentityArgument,

    /// Which version of RabbitMQ to present. With 3.13.7, kombu and Celery use channel-wide prefetch again, which can
    /// be changed while consumers run.
    #[arg(long, env = "LEPUS_RABBITMQ_VERSION", default_value = COMPATIBLE_VERSION)]
    rabbitmq_version: String,

    /// Refuse SASL ANONYMOUS, which otherwise logs in as guest from loopback.
    #[arg(long, env = "LEPUS_NO_ANONYMOUS", value_parser = FalseyValueParser::new())]
    no_anonymous: bool,

    /// Connections at a time.
    #[arg(long, env = "LEPUS_CONNECTIONS_MAX", default_value_t = Config::default().limits.connections_max)]
    connections_max: usize,

    /// Largest message body in octets.
    #[arg(long, env = "LEPUS_MESSAGE_SIZE_MAX", default_value_t = Config::default().limits.message_size_max)]
    message_size_max: u64,

    /// Octets of messages held in memory above which publishers are blocked.
    #[arg(long, env = "LEPUS_MEMORY_LIMIT", default_value_t = Config::default().memory_limit)]
    memory_limit: u64,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum IdentityArgument {
    #[default]
    Rabbitmq,
    Lepus,
}

impl From<Arguments> for Config {
    fn from(arguments: Arguments) -> Self {
        let mut config = Self {
            listen: arguments.listen,
            data_dir: Some(arguments.data_dir),
            identity: match arguments.identity {
                IdentityArgument::Rabbitmq => Identity::RabbitMq,
                IdentityArgument::Lepus => Identity::Lepus,
            },
            rabbitmq_version: arguments.rabbitmq_version,
            anonymous: !arguments.no_anonymous,
            memory_limit: arguments.memory_limit,
            ..Self::default()
        };
        config.limits.connections_max = arguments.connections_max;
        config.limits.message_size_max = arguments.message_size_max;
        config
    }
}

/// Runs the broker.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    if let Err(error) = telemetry::init(&arguments.log) {
        return fail(format_args!("--log '{}' is not a log filter: {error}", arguments.log));
    }
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(serve(arguments.into())));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

async fn serve(config: Config) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "Lepus starts");
    let app = App::start(config).await?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    app.shutdown().await;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the log may not have been started")]
fn fail(reason: impl std::fmt::Display) -> ExitCode {
    eprintln!("lepus: {reason}");
    ExitCode::FAILURE
}

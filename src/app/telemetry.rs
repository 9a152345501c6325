//! The log: one line per event on standard error.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::LogFilter;

/// The running log.
#[derive(Debug)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Starts logging what `filter` lets through.
pub fn init(filter: &LogFilter) -> Log {
    let (layer, filter) = reload::Layer::new(filter.to_filter());
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(layer).with(lines).init();
    Log { filter }
}

impl Log {
    /// Logs what `filter` lets through from here on.
    pub fn set(&self, filter: &LogFilter) {
        // It fails only once the log is gone, and then nobody would read of it.
        let _ = self.filter.reload(filter.to_filter());
    }
}

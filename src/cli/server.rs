//! `lepus server`: runs the broker until it is told to stop.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use sd_notify::NotifyState;

use super::settings::Settings;
use super::{bad_settings, fail};
use crate::app::App;
use crate::app::telemetry::{self, Log};
use crate::config::Config;
use crate::config::load::{Sources, changes};

/// Runs the broker.
pub(super) fn run(settings: Settings) -> ExitCode {
    let sources = settings.into_sources();
    let loaded = match sources.load() {
        Ok(loaded) => loaded,
        Err(problems) => return bad_settings(&problems),
    };
    let log = telemetry::init(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let running = Running { sources, config: loaded.config, log };
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(running.serve()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// A broker and what it was made of.
struct Running {
    sources: Sources,
    /// As it was started, or reloaded last.
    config: Config,
    log: Log,
}

impl Running {
    async fn serve(mut self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "Lepus starts");
        let app = App::start(self.config.clone()).await?;
        tell_manager(NotifyState::Ready);
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            () = self.follow(&app, &mut hangup) => {}
        }
        tell_manager(NotifyState::Stopping);
        app.shutdown().await;
        Ok(())
    }

    /// Reads the settings again each time it is told to.
    async fn follow(&mut self, app: &App, hangup: &mut Signal) {
        loop {
            // `None` would mean that no more signals come; there is nothing to do then either.
            if hangup.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            self.reload(app);
        }
    }

    /// What cannot be used changes nothing.
    fn reload(&mut self, app: &App) {
        let loaded = match self.sources.load() {
            Ok(loaded) => loaded,
            Err(problems) => {
                for problem in problems {
                    tracing::error!("SIGHUP: {problem}");
                }
                return tracing::error!("SIGHUP: nothing was changed");
            }
        };
        for warning in &loaded.warnings {
            tracing::warn!("SIGHUP: {warning}");
        }
        if let Err(error) = app.reload(&loaded.config) {
            return tracing::error!("SIGHUP: {error}; nothing was changed");
        }
        self.log.set(&loaded.config.log);
        let changes = changes(&self.config, &loaded.config);
        for key in &changes.waiting {
            tracing::warn!("SIGHUP: '{key}' has changed: it needs a restart");
        }
        for key in &changes.reloaded {
            tracing::info!("SIGHUP: '{key}' has changed");
        }
        tracing::info!("SIGHUP: settings read again");
        // What waits for a restart is told again next time.
        self.config.take_over(&loaded.config);
    }
}

/// Tells systemd, if it has started the broker and waits for that.
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

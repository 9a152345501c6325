//! Listening sockets: accepted connections, within a limit, are served until the broker stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::connection::{self, Ends, Settings};

/// Pause after a failed accept, such as for lack of file descriptors: others may be closed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the connections of one listener.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    settings: Arc<Settings>,
    room: Arc<Room>,
    tasks: TaskTracker,
}

/// Counts connections, whichever listener they came in by.
#[derive(Debug, Default)]
pub struct Room {
    taken: AtomicUsize,
}

/// A connection's place. Dropping it makes room for another one.
#[derive(Debug)]
struct Place(Arc<Room>);

impl Room {
    /// A place, unless `limit` are taken.
    fn enter(self: &Arc<Self>, limit: usize) -> Option<Place> {
        let next = |taken| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    /// A server on `listener`. `room` and `tasks` are shared among listeners.
    pub fn new(listener: TcpListener, settings: Arc<Settings>, room: Arc<Room>, tasks: TaskTracker) -> Self {
        Self { listener, settings, room, tasks }
    }

    /// Binds `address`.
    ///
    /// # Errors
    /// As the system says, with the address.
    pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
    }

    /// Accepts until the broker stops.
    pub async fn run(self) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = self.settings.stopping.cancelled() => return,
            };
            match accepted {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, socket: TcpStream, peer: SocketAddr) {
        let limit = self.settings.limits().connections_max;
        let Some(place) = self.room.enter(limit) else {
            tracing::warn!(%peer, limit, "connection limit reached");
            return;
        };
        // Frames are gathered here already; the kernel need not wait for more.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY not set");
        }
        let local = match socket.local_addr() {
            Ok(local) => local,
            Err(error) => return tracing::debug!(%peer, %error, "client left at once"),
        };
        let ends = Ends { peer, local };
        let (reader, writer) = socket.into_split();
        let settings = Arc::clone(&self.settings);
        self.tasks.spawn(async move {
            connection::serve(reader, writer, ends, settings).await;
            drop(place);
        });
    }
}

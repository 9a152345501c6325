//! Listening sockets: accepted connections, within a limit, are served until the broker stops.
//!
//! ```text
//!   listener (TCP, Unix) -> room -> arrival: PROXY header -> TLS -> connection
//! ```

mod arrival;
mod listener;
mod proxy;
mod room;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::connection::Settings;
use crate::tls::Tls;

use listener::Socket;

pub use listener::Listener;
pub use room::Room;

/// Pause after a failed accept, such as for lack of file descriptors: others may be closed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the connections of one listener.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    transport: Transport,
    settings: Arc<Settings>,
    room: Arc<Room>,
    tasks: TaskTracker,
}

/// What comes before AMQP on a TCP socket.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    /// A proxy tells who connects.
    pub proxy: bool,
    /// Clients shake hands.
    pub tls: Option<Arc<Tls>>,
}

impl Server {
    /// A server on `listener`. `room` and `tasks` are shared among listeners.
    pub fn new(
        listener: Listener,
        transport: Transport,
        settings: Arc<Settings>,
        room: Arc<Room>,
        tasks: TaskTracker,
    ) -> Self {
        Self { listener, transport, settings, room, tasks }
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

    fn admit(&self, socket: Socket, peer: SocketAddr) {
        let limit = self.settings.limits().connections_max;
        let Some(place) = self.room.enter(limit) else {
            tracing::warn!(%peer, limit, "connection limit reached");
            return;
        };
        let (transport, settings) = (self.transport.clone(), Arc::clone(&self.settings));
        self.tasks.spawn(async move {
            arrival::serve(socket, peer, transport, settings).await;
            drop(place);
        });
    }
}

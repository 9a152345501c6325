//! From an accepted socket to a connection: what a proxy tells, then TLS, then AMQP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Transport;
use super::listener::Socket;
use super::proxy;
use crate::connection::{self, Ends, Settings};
use crate::tls::Tls;

/// Serves a client until it leaves.
pub(super) async fn serve(socket: Socket, peer: SocketAddr, transport: Transport, settings: Arc<Settings>) {
    match socket {
        Socket::Unix(stream) => {
            let (reader, writer) = stream.into_split();
            connection::serve(reader, writer, Ends { peer, local: peer, tls: None }, settings).await;
        }
        Socket::Tcp(stream) => {
            let ends = tokio::select! {
                ends = ends_of(stream, peer, &transport, &settings) => ends,
                () = settings.stopping.cancelled() => return,
            };
            match ends {
                Ok((stream, ends)) => serve_tcp(stream, ends, transport.tls, settings).await,
                Err(error) => tracing::warn!(%peer, %error, "client refused"),
            }
        }
    }
}

async fn serve_tcp(stream: TcpStream, ends: Ends, tls: Option<Arc<Tls>>, settings: Arc<Settings>) {
    match tls {
        None => {
            let (reader, writer) = stream.into_split();
            connection::serve(reader, writer, ends, settings).await;
        }
        // In a place of its own, so that a connection without TLS takes no more memory.
        Some(tls) => Box::pin(serve_tls(stream, ends, tls, settings)).await,
    }
}

/// Client and listener, as the proxy tells if there is one.
async fn ends_of(
    mut stream: TcpStream,
    peer: SocketAddr,
    transport: &Transport,
    settings: &Settings,
) -> io::Result<(TcpStream, Ends)> {
    // Frames are gathered here already; the kernel need not wait for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY not set");
    }
    let mut ends = Ends { peer, local: stream.local_addr()?, tls: None };
    if transport.proxy {
        let limit = settings.limits().handshake_timeout;
        if let Some((peer, local)) = told(limit, &mut stream).await? {
            ends = Ends { peer, local, tls: None };
        }
    }
    Ok((stream, ends))
}

async fn told(limit: Duration, stream: &mut TcpStream) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the PROXY header did not come in time");
    timeout(limit, proxy::read(stream)).await.map_err(late)?
}

async fn serve_tls(stream: TcpStream, ends: Ends, tls: Arc<Tls>, settings: Arc<Settings>) {
    let peer = ends.peer;
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        () = settings.stopping.cancelled() => return,
    };
    match accepted {
        Ok(accepted) => {
            let (reader, writer) = tokio::io::split(accepted.stream);
            let ends = Ends { tls: Some(Arc::new(accepted.secured)), ..ends };
            connection::serve(reader, writer, ends, settings).await;
        }
        Err(error) => tracing::warn!(%peer, %error, "TLS handshake failed"),
    }
}

//! The one task that writes to a connection's socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lepus_protocol::encoder;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::outbound::{KEEP_CAPACITY, Outbound};

/// Octets after which the buffer hears of progress: a large message on a slow line must not look like a dead peer.
const PIECE: usize = 64 * 1024;

/// Writes what the outbound buffer holds until it is closed; a heartbeat whenever nothing was written for
/// `heartbeat` (§4.2.7).
pub(super) async fn run<W>(socket: W, outbound: Arc<Outbound>, heartbeat: Option<Duration>) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let written = write_all(socket, &outbound, heartbeat).await;
    outbound.close_now();
    written
}

async fn write_all<W>(mut socket: W, outbound: &Outbound, heartbeat: Option<Duration>) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    while next(outbound, &mut buffer, heartbeat).await.is_some() {
        for piece in buffer.chunks(PIECE) {
            socket.write_all(piece).await?;
            // TLS keeps what it could not write yet; plain sockets have nothing to do here.
            socket.flush().await?;
            outbound.written(piece.len());
        }
        buffer.clear();
        buffer.shrink_to(KEEP_CAPACITY);
    }
    socket.shutdown().await
}

async fn next(outbound: &Outbound, buffer: &mut Vec<u8>, heartbeat: Option<Duration>) -> Option<()> {
    let Some(heartbeat) = heartbeat else { return outbound.take(buffer).await };
    match timeout(heartbeat, outbound.take(buffer)).await {
        Ok(taken) => taken,
        Err(_) => {
            encoder::heartbeat(buffer);
            Some(())
        }
    }
}

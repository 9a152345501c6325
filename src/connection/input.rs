//! The octets of a connection that have been read and not yet been used.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Octets asked for at first, and again after little came: an idle connection keeps no more than this.
const READ_MIN: usize = 2 * 1024;

/// Octets asked for when much comes: enough for hundreds of small messages in one batch.
const READ_MAX: usize = 128 * 1024;

/// Reads and keeps what is not yet used.
#[derive(Debug)]
pub(super) struct Input<R> {
    reader: R,
    buffer: BytesMut,
    /// How much to ask for next; follows what the peer sends.
    ask: usize,
}

impl<R: AsyncRead + Unpin> Input<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: BytesMut::new(), ask: READ_MIN }
    }

    /// Reads some octets; 0 is the end of the stream. Nothing is lost if this is dropped while it waits.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        self.buffer.reserve(self.ask);
        let spare = self.buffer.capacity() - self.buffer.len();
        let count = self.reader.read_buf(&mut self.buffer).await?;
        self.ask = if count >= spare.min(READ_MAX) {
            (self.ask * 2).min(READ_MAX)
        } else if count < self.ask / 4 {
            (self.ask / 2).max(READ_MIN)
        } else {
            self.ask
        };
        Ok(count)
    }

    /// What has been read and not used.
    pub(super) fn octets(&self) -> &[u8] {
        &self.buffer
    }

    /// The first `count` octets have been used.
    pub(super) fn consume(&mut self, count: usize) {
        self.buffer.advance(count);
        if self.buffer.is_empty() && self.buffer.capacity() > READ_MIN {
            // The memory goes back between batches: ten thousand idle connections hold no buffers.
            self.buffer = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_buffer_grows_with_what_comes_and_goes_back_when_used() {
        let octets = vec![7; 1024 * 1024];
        let mut input = Input::new(octets.as_slice());
        let mut total = 0;
        loop {
            let count = input.read().await.unwrap();
            if count == 0 {
                break;
            }
            total += count;
            let len = input.octets().len();
            input.consume(len);
            assert!(input.buffer.capacity() <= READ_MIN);
        }
        assert_eq!(total, octets.len());
    }
}

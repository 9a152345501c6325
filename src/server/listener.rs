//! Sockets that are listened on: TCP and Unix.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, unix};

/// A client of a Unix socket counts as one of loopback; it has no port.
const UNIX_PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What is listened on.
#[derive(Debug)]
pub enum Listener {
    /// An address and port.
    Tcp(TcpListener),
    /// A path. The file goes with the listener.
    Unix(UnixListener, PathBuf),
}

/// A client that has come.
#[derive(Debug)]
pub(super) enum Socket {
    /// By TCP.
    Tcp(TcpStream),
    /// By a Unix socket.
    Unix(UnixStream),
}

impl Listener {
    /// Listens on an address and port.
    ///
    /// # Errors
    /// As the system says, with the address.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp).map_err(|error| refused(address, &error))
    }

    /// Listens on a path. A socket that a dead process left there is replaced.
    ///
    /// # Errors
    /// As the system says, with the path; also when somebody listens there, or a file is there that is no socket.
    pub fn unix(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        UnixListener::bind(path)
            .map(|listener| Self::Unix(listener, path.to_owned()))
            .map_err(|error| refused(path.display(), &error))
    }

    /// The address, for TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| (Socket::Tcp(stream), peer)),
            Self::Unix(listener, _) => {
                let (stream, _): (_, unix::SocketAddr) = listener.accept().await?;
                Ok((Socket::Unix(stream), UNIX_PEER))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self
            && let Err(error) = fs::remove_file(&*path)
        {
            tracing::debug!(path = %path.display(), %error, "the socket's file stays");
        }
    }
}

fn refused(place: impl std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {place}: {error}"))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let is_stale = is_socket && std::os::unix::net::UnixStream::connect(path).is_err();
    if is_stale { fs::remove_file(path).map_err(|error| refused(path.display(), &error)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_of_a_dead_process_is_replaced_and_nothing_else() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("socket");
        // Dropped by the system as a killed process drops it: the file stays.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = Listener::unix(&path).unwrap();
        assert!(Listener::unix(&path).unwrap_err().to_string().contains("cannot listen on"));
        drop(listener);
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(Listener::unix(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}

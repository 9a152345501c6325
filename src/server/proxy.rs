//! The PROXY protocol, versions 1 and 2: a proxy tells first for whom it connects.
//!
//! Nothing behind the header is read: what follows belongs to TLS or AMQP.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Octets that tell the version: of the second, the whole signature; of the first, less than its shortest line.
const START: usize = 12;

/// How version 2 begins (its §2.2).
const SIGNATURE: &[u8; START] = b"\r\n\r\n\0\r\nQUIT\n";

/// Octets of the longest line of version 1 (its §2.1).
const LINE_MAX: usize = 107;

/// Octets of version 2 before its addresses.
const FIXED: usize = 16;

/// Octets of addresses and extensions in version 2: a thousand are plenty, even with a certificate's names.
const REST_MAX: usize = 4096;

/// Client and destination, as the proxy tells them. `None`: the proxy speaks for itself, such as for a health check.
///
/// # Errors
/// When what comes first is no such header.
pub(super) async fn read<S>(stream: &mut S) -> io::Result<Option<(SocketAddr, SocketAddr)>>
where
    S: AsyncRead + Unpin,
{
    let mut header = vec![0; START];
    stream.read_exact(&mut header).await?;
    if header == *SIGNATURE {
        read_v2(stream, header).await
    } else if header.starts_with(b"PROXY ") {
        read_v1(stream, header).await
    } else {
        Err(bad("is missing"))
    }
}

async fn read_v1<S>(stream: &mut S, mut line: Vec<u8>) -> io::Result<Option<(SocketAddr, SocketAddr)>>
where
    S: AsyncRead + Unpin,
{
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_MAX {
            return Err(bad("does not end"));
        }
        // One by one: what follows the line is not ours.
        line.push(stream.read_u8().await?);
    }
    match v1::Header::try_from(line.as_slice()).map_err(bad)?.addresses {
        v1::Addresses::Unknown => Ok(None),
        v1::Addresses::Tcp4(ends) => Ok(Some(v4(&ends))),
        v1::Addresses::Tcp6(ends) => Ok(Some(v6(&ends))),
    }
}

async fn read_v2<S>(stream: &mut S, mut header: Vec<u8>) -> io::Result<Option<(SocketAddr, SocketAddr)>>
where
    S: AsyncRead + Unpin,
{
    let (command, length) = (stream.read_u16().await?, stream.read_u16().await?);
    header.extend_from_slice(&command.to_be_bytes());
    header.extend_from_slice(&length.to_be_bytes());
    let rest = usize::from(length);
    if rest > REST_MAX {
        return Err(bad(format_args!("has {rest} octets of addresses, more than {REST_MAX}")));
    }
    header.resize(FIXED + rest, 0);
    stream.read_exact(header.get_mut(FIXED..).unwrap_or_default()).await?;
    let header = v2::Header::try_from(header.as_slice()).map_err(bad)?;
    match (header.command, header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(ends)) => Ok(Some(v4(&ends))),
        (v2::Command::Proxy, v2::Addresses::IPv6(ends)) => Ok(Some(v6(&ends))),
        (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_))
        | (v2::Command::Local, _) => Ok(None),
    }
}

fn v4(ends: &v2::IPv4) -> (SocketAddr, SocketAddr) {
    let source = SocketAddr::from((ends.source_address, ends.source_port));
    (source, SocketAddr::from((ends.destination_address, ends.destination_port)))
}

fn v6(ends: &v2::IPv6) -> (SocketAddr, SocketAddr) {
    let source = SocketAddr::from((ends.source_address, ends.source_port));
    (source, SocketAddr::from((ends.destination_address, ends.destination_port)))
}

fn bad(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the PROXY header {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, and what is left.
    async fn read_from(octets: &[u8]) -> (io::Result<Option<(SocketAddr, SocketAddr)>>, Vec<u8>) {
        let mut stream = octets;
        let ends = read(&mut stream).await;
        (ends, stream.to_vec())
    }

    fn v2_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        header.extend(rest);
        header.extend(b"AMQP");
        header
    }

    #[tokio::test]
    async fn version_1_is_a_line_and_nothing_behind_it_is_taken() {
        let (ends, left) = read_from(b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 5672\r\nAMQP").await;
        let (peer, local) = ends.unwrap().unwrap();
        assert_eq!((peer.to_string(), local.to_string()), ("192.0.2.7:1234".into(), "192.0.2.1:5672".into()));
        assert_eq!(left, b"AMQP");
        let (ends, left) = read_from(b"PROXY TCP6 2001:db8::7 ::1 1 2\r\nAMQP").await;
        assert_eq!(ends.unwrap().unwrap().0.to_string(), "[2001:db8::7]:1");
        assert_eq!(left, b"AMQP");
        assert_eq!(read_from(b"PROXY UNKNOWN\r\n").await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn version_2_has_addresses_and_extensions() {
        let mut rest = vec![192, 0, 2, 7, 192, 0, 2, 1, 0x04, 0xd2, 0x16, 0x28];
        rest.extend([0x04, 0, 1, 0]);
        let (ends, left) = read_from(&v2_header(1, 0x11, &rest)).await;
        assert_eq!(ends.unwrap().unwrap().0.to_string(), "192.0.2.7:1234");
        assert_eq!(left, b"AMQP");
        assert_eq!(read_from(&v2_header(0, 0, b"")).await.0.unwrap(), None, "a health check of the proxy");
    }

    #[tokio::test]
    async fn whatever_else_comes_is_an_error() {
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let huge = v2_header(1, 0x11, &[0; REST_MAX + 1]);
        for octets in
            [b"AMQP\0\0\x09\x01 and more".as_slice(), b"PROXY TCP4 nonsense\r\n", b"PROX", &endless, &huge]
        {
            assert!(read_from(octets).await.0.is_err());
        }
    }
}

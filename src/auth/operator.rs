//! Who administers the broker from its own machine without a password: whoever can read a file in its data directory.
//!
//! ```text
//!   data/operator      mode 0600, written at each start, gone at the end
//!     node=rabbit@host
//!     pid=4711
//!     amqp=127.0.0.1:5672
//!     api=127.0.0.1:15672      where the token holds; not there if the API cannot be reached from loopback
//!     token=64 hexadecimal digits
//! ```
//!
//! Who can read that file can read the definitions and messages beside it, and who can write there can change them, so
//! that the token gives nobody more than they have. It is never sent to another address than the one in the file, which
//! this broker has bound for as long as the token holds: whoever listens there later learns a token that is worthless.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use subtle::ConstantTimeEq;

/// The file in the data directory.
const FILE: &str = "operator";

/// What it is written as before it has its name.
const UNFINISHED: &str = "operator.tmp";

/// Octets of the file at most.
const FILE_OCTETS_MAX: u64 = 4096;

/// Octets of randomness: nobody guesses that many.
const TOKEN_OCTETS: usize = 32;

/// A secret that the API takes in place of a password, from loopback.
#[derive(Clone)]
pub struct OperatorToken(String);

/// What the file says.
#[derive(Clone, Debug)]
pub struct OperatorFile {
    /// The node's name.
    pub node: String,
    /// The broker's process.
    pub pid: u32,
    /// Where it serves AMQP without TLS.
    pub amqp: Option<SocketAddr>,
    /// Where the API takes the token.
    pub api: Option<SocketAddr>,
    /// The token.
    pub token: OperatorToken,
}

impl OperatorToken {
    /// A new one.
    pub fn random() -> Self {
        let octets: [u8; TOKEN_OCTETS] = rand::random();
        Self(octets.iter().map(|octet| format!("{octet:02x}")).collect())
    }

    /// Whether `given` is this token; how long that takes does not tell how much of it is right.
    pub fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken")
    }
}

impl OperatorFile {
    /// Writes it into the data directory, for the broker's own user only.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let address = |key: &str, address: Option<SocketAddr>| {
            address.map_or_else(String::new, |address| format!("{key}={address}\n"))
        };
        let text = format!(
            "node={}\npid={}\n{}{}token={}\n",
            self.node,
            self.pid,
            address("amqp", self.amqp),
            address("api", self.api),
            self.token.0
        );
        let unfinished = dir.join(UNFINISHED);
        // One that was left behind may have been made by anybody, with any mode.
        let _ = fs::remove_file(&unfinished);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        fs::rename(unfinished, dir.join(FILE))
    }

    /// Reads it; `None` if no broker runs on the directory.
    ///
    /// # Errors
    /// When it may not be read, or is none.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        let path = dir.join(FILE);
        let length = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bad = || io::Error::other(format!("{} is not an operator file", path.display()));
        if length > FILE_OCTETS_MAX {
            return Err(bad());
        }
        Self::parse(&fs::read_to_string(&path)?).map(Some).ok_or_else(bad)
    }

    fn parse(text: &str) -> Option<Self> {
        let field =
            |name: &str| text.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name);
        let text = |name: &str| field(name).map(|(_, value)| value.to_owned());
        let address = |name: &str| match field(name) {
            None => Some(None),
            Some((_, value)) => value.parse().ok().map(Some),
        };
        Some(Self {
            node: text("node")?,
            pid: text("pid")?.parse().ok()?,
            amqp: address("amqp")?,
            api: address("api")?,
            token: OperatorToken(text("token")?),
        })
    }

    /// Takes it away: the token no longer holds.
    pub fn remove(dir: &Path) {
        if let Err(error) = fs::remove_file(dir.join(FILE))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the operator file cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file() -> OperatorFile {
        let address = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
        OperatorFile {
            node: "rabbit@here".to_owned(),
            pid: 7,
            amqp: address,
            api: None,
            token: OperatorToken::random(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_is_for_its_owner_only() {
        let (dir, file) = (tempfile::tempdir().unwrap(), file());
        assert!(OperatorFile::read(dir.path()).unwrap().is_none());
        fs::write(dir.path().join(UNFINISHED), "left behind").unwrap();
        file.write(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = OperatorFile::read(dir.path()).unwrap().unwrap();
        assert_eq!((read.node, read.pid, read.amqp, read.api), (file.node, 7, file.amqp, None));
        assert!(read.token.is(file.token.reveal()));
        OperatorFile::remove(dir.path());
        assert!(OperatorFile::read(dir.path()).unwrap().is_none());
    }

    #[test]
    fn no_two_tokens_are_alike_and_none_is_shown() {
        let (one, other) = (OperatorToken::random(), OperatorToken::random());
        assert_eq!(one.reveal().len(), 2 * TOKEN_OCTETS);
        assert!(!one.is(other.reveal()) && !one.is("") && !one.is(&one.reveal()[1..]));
        assert!(!format!("{one:?}").contains(one.reveal()));
    }

    #[test]
    fn what_is_no_operator_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "node=a", "node=a\npid=x\ntoken=t\n", "node=a\npid=1\napi=here\ntoken=t\n"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert!(OperatorFile::read(dir.path()).is_err(), "{text:?}");
        }
    }
}

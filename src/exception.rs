//! What closes a channel and what closes a connection (§4.8.1), told apart by type.

use std::fmt;

use lepus_protocol::ReplyCode;

/// Octets of a reply text: a short string holds 255 (§4.2.5.3).
const REPLY_TEXT_MAX: usize = 255;

const ELLIPSIS: &str = "...";

/// Closes the channel on which it arises and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelException {
    code: ReplyCode,
    text: String,
}

/// Closes the connection on which it arises and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionException {
    code: ReplyCode,
    text: String,
}

/// An error of either level, where code can meet both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exception {
    /// A soft error.
    Channel(ChannelException),
    /// A hard error.
    Connection(ConnectionException),
}

impl ChannelException {
    /// 403 ACCESS_REFUSED.
    pub fn access_refused(explanation: impl fmt::Display) -> Self {
        Self::new(ReplyCode::ACCESS_REFUSED, explanation)
    }

    /// 404 NOT_FOUND.
    pub fn not_found(explanation: impl fmt::Display) -> Self {
        Self::new(ReplyCode::NOT_FOUND, explanation)
    }

    /// 405 RESOURCE_LOCKED.
    pub fn resource_locked(explanation: impl fmt::Display) -> Self {
        Self::new(ReplyCode::RESOURCE_LOCKED, explanation)
    }

    /// 406 PRECONDITION_FAILED.
    pub fn precondition_failed(explanation: impl fmt::Display) -> Self {
        Self::new(ReplyCode::PRECONDITION_FAILED, explanation)
    }

    fn new(code: ReplyCode, explanation: impl fmt::Display) -> Self {
        Self { code, text: reply_text(code, explanation) }
    }

    /// The reply code.
    pub fn code(&self) -> ReplyCode {
        self.code
    }

    /// The reply text: `NAME - explanation`, at most 255 octets.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl ConnectionException {
    /// An exception with `code`; the text gets the code's name in front.
    pub fn new(code: ReplyCode, explanation: impl fmt::Display) -> Self {
        Self { code, text: reply_text(code, explanation) }
    }

    /// The reply code.
    pub fn code(&self) -> ReplyCode {
        self.code
    }

    /// The reply text: `NAME - explanation`, at most 255 octets.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// `NAME - explanation`, cut to what a short string holds; three dots say that something is missing (RabbitMQ).
fn reply_text(code: ReplyCode, explanation: impl fmt::Display) -> String {
    let mut text = format!("{} - {explanation}", code.name());
    if text.len() > REPLY_TEXT_MAX {
        text.truncate(text.floor_char_boundary(REPLY_TEXT_MAX - ELLIPSIS.len()));
        text.push_str(ELLIPSIS);
    }
    text
}

impl From<ChannelException> for Exception {
    fn from(exception: ChannelException) -> Self {
        Self::Channel(exception)
    }
}

impl From<ConnectionException> for Exception {
    fn from(exception: ConnectionException) -> Self {
        Self::Connection(exception)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_named_and_cut_at_255_octets() {
        let exception = ChannelException::not_found("ü".repeat(300));
        assert!(exception.text().starts_with("NOT_FOUND - ü"));
        assert!(exception.text().len() <= 255 && exception.text().ends_with("..."));
    }
}

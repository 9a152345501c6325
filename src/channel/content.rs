//! Content on its way in (§4.2.6): a publish, then its header, then as many body frames as it takes.
//!
//! ```text
//!            basic.publish             header                 body (rest of it)
//!   Idle --------------------> AwaitingHeader ---> AwaitingBody --------------> Idle, message complete
//!                                                   |     ^
//!                                                   +-----+ body (part of it)
//! ```
//!
//! Any other frame in between is an error of the connection (505), as in RabbitMQ.

use lepus_protocol::{ClassId, ReplyCode, ShortString};

use super::held::{Held, TooMuch};
use super::publish::Publication;
use crate::exception::ConnectionException;
use crate::message::{Message, MessageBuilder};
use crate::name::Name;

/// Where the channel stands.
#[derive(Debug, Default)]
pub(super) enum Content {
    /// A method is next.
    #[default]
    Idle,
    /// The header of a publish is next.
    AwaitingHeader(PublishTo),
    /// Octets of the body are next.
    AwaitingBody {
        publication: Publication,
        builder: MessageBuilder,
        /// Octets still to come; never 0.
        remaining: u64,
        held: Held,
    },
}

/// The arguments of basic.publish.
#[derive(Debug)]
pub(super) struct PublishTo {
    pub(super) exchange: Name,
    pub(super) routing_key: ShortString,
    pub(super) mandatory: bool,
}

impl Content {
    /// Whether a publish is under way.
    pub(super) fn is_due(&self) -> bool {
        !matches!(self, Self::Idle)
    }

    /// Whether a method may come now.
    pub(super) fn check_method(&self) -> Result<(), ConnectionException> {
        match self {
            Self::Idle => Ok(()),
            Self::AwaitingHeader(_) => Err(unexpected(format_args!(
                "expected content header for class {}, got non content header frame instead",
                ClassId::BASIC
            ))),
            Self::AwaitingBody { .. } => {
                Err(unexpected("expected content body, got non content body frame instead"))
            }
        }
    }

    /// Takes the publish whose header has come.
    pub(super) fn take_publish(&mut self, header_class: ClassId) -> Result<PublishTo, ConnectionException> {
        match std::mem::take(self) {
            Self::AwaitingHeader(publish) if header_class == ClassId::BASIC => Ok(publish),
            Self::AwaitingHeader(_) => Err(unexpected(format_args!(
                "expected content header for class {}, got one for class {header_class} instead",
                ClassId::BASIC
            ))),
            Self::AwaitingBody { .. } => {
                Err(unexpected("expected content body, got non content body frame instead"))
            }
            Self::Idle => Err(unexpected("expected method frame, got non method frame instead")),
        }
    }

    /// Adds octets of the body. Returns the message once it is complete.
    pub(super) fn push_body(
        &mut self,
        octets: &[u8],
    ) -> Result<Option<(Publication, Message)>, ConnectionException> {
        match std::mem::take(self) {
            Self::AwaitingBody { publication, mut builder, remaining, mut held } => {
                let Some(remaining) = remaining.checked_sub(octets.len() as u64) else {
                    return Err(ConnectionException::new(
                        ReplyCode::FRAME_ERROR,
                        format_args!("content body of {} octets where {remaining} were left", octets.len()),
                    ));
                };
                builder.push(octets);
                if remaining == 0 {
                    return Ok(Some((publication, builder.finish())));
                }
                held.grow(octets.len() as u64).map_err(|TooMuch { max }| {
                    let text = format_args!("more than {max} octets in messages that are not complete");
                    ConnectionException::new(ReplyCode::RESOURCE_ERROR, text)
                })?;
                *self = Self::AwaitingBody { publication, builder, remaining, held };
                Ok(None)
            }
            Self::AwaitingHeader(_) => Err(unexpected(format_args!(
                "expected content header for class {}, got non content header frame instead",
                ClassId::BASIC
            ))),
            Self::Idle => Err(unexpected("expected method frame, got non method frame instead")),
        }
    }
}

fn unexpected(explanation: impl std::fmt::Display) -> ConnectionException {
    ConnectionException::new(ReplyCode::UNEXPECTED_FRAME, explanation)
}

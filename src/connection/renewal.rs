//! connection.update-secret: another token takes the place of the one that the client came with.
//!
//! Its key may have to be fetched. Meanwhile the frame waits, and those behind it, which count on the new token.

use std::sync::Arc;

use lepus_protocol::ReplyCode;
use lepus_protocol::method::connection;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::{Connection, Outcome};
use crate::auth::LoginError;
use crate::broker::Session;
use crate::exception::ConnectionException;

/// A token that is being checked, or was.
#[derive(Debug)]
pub(super) enum Renewal {
    Asked(JoinHandle<Result<(), LoginError>>),
    Done(Result<(), LoginError>),
}

impl Connection {
    /// Has the secret checked; asked again, answers.
    pub(super) fn update_secret(&mut self, secret: &[u8]) -> Result<Outcome, ConnectionException> {
        let user = &self.context.session.user;
        match self.renewal.take() {
            None if user.bears_token() => {
                let (broker, user) = (Arc::clone(&self.settings.broker), Arc::clone(user));
                let (secret, now) = (secret.to_vec(), self.now());
                let check = async move { broker.authority.renew(&user, &secret, now).await };
                self.renewal = Some(Renewal::Asked(tokio::spawn(check.in_current_span())));
                Ok(Outcome::Again)
            }
            Some(asked @ Renewal::Asked(_)) => {
                self.renewal = Some(asked);
                Ok(Outcome::Again)
            }
            Some(Renewal::Done(Err(error))) => {
                tracing::warn!(?error, "the new secret was refused");
                // RabbitMQ's text.
                let text = "New secret was refused by one of the backends";
                Err(ConnectionException::new(ReplyCode::NOT_ALLOWED, text))
            }
            // A password was checked at login: another one changes nothing.
            None | Some(Renewal::Done(Ok(()))) => {
                tracing::info!(user = %user.name, "secret updated");
                self.send(connection::UpdateSecretOk);
                Ok(Outcome::Continue)
            }
        }
    }
}

/// Waits for what the first frame in the input waits for: a token that is checked, or a message that is read. May be
/// dropped and asked again.
pub(super) async fn ended(renewal: &mut Option<Renewal>, session: &Session) {
    match renewal {
        Some(Renewal::Asked(check)) => {
            let checked = check.await.unwrap_or_else(|error| Err(LoginError::Refused(error.to_string())));
            *renewal = Some(Renewal::Done(checked));
        }
        Some(Renewal::Done(_)) | None => session.head_read().await,
    }
}

//! Who has logged in: a user of the broker's own accounts, or the bearer of a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use super::accounts::{Accounts, IMPERSONATOR};
use super::grant::{Grant, Rights};
use super::token::Verified;
use crate::clock::Timestamp;
use crate::name::Name;

/// A user who has logged in.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: Name,
    /// The token that says what is permitted; `None`: the accounts do.
    ticket: Option<Arc<Ticket>>,
}

/// What the latest token of a login permits, until that runs out.
#[derive(Debug)]
struct Ticket {
    token: RwLock<Verified>,
    is_over: AtomicBool,
    /// Moved by every change.
    generation: AtomicU64,
}

impl User {
    /// A user of the accounts.
    pub fn named(name: impl Into<Name>) -> Self {
        Self { name: name.into(), ticket: None }
    }

    /// The bearer of a token.
    pub fn with_token(token: Verified) -> Self {
        let name = token.user.clone();
        let (is_over, generation) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { name, ticket: Some(Arc::new(Ticket { token: RwLock::new(token), is_over, generation })) }
    }

    /// Whether a token says what is permitted, and not the accounts.
    pub fn bears_token(&self) -> bool {
        self.ticket.is_some()
    }

    /// Moves with every change of what the user may do; so must what is asked of [`Self::rights`].
    pub fn generation(&self, accounts: &Accounts) -> u64 {
        let own = self.ticket.as_ref().map_or(0, |ticket| ticket.generation.load(Ordering::Acquire));
        // Neither ever goes back, so that the sum tells whether one has moved.
        accounts.generation().wrapping_add(own)
    }

    /// What the user may do in a virtual host now.
    pub fn rights(&self, accounts: &Accounts, vhost: &Name) -> Rights {
        // Read before the rest: what changes meanwhile makes what is found look old, not new.
        let generation = self.generation(accounts);
        let rights = match &self.ticket {
            None => accounts.rights(&self.name, vhost),
            Some(ticket) => ticket.rights(vhost),
        };
        Rights { generation, ..rights }
    }

    /// Whether the user may open a virtual host.
    pub fn may_open(&self, accounts: &Accounts, vhost: &Name) -> bool {
        match &self.ticket {
            None => accounts.may_open(&self.name, vhost),
            Some(ticket) => ticket.rights(vhost).grant.is_some(),
        }
    }

    /// RabbitMQ's tags.
    pub fn tags(&self, accounts: &Accounts) -> Vec<String> {
        match &self.ticket {
            None => accounts.user(self.name.as_str()).map(|user| user.tags).unwrap_or_default(),
            Some(ticket) => ticket.token.read().tags.clone(),
        }
    }

    /// A look at the time: what a token permitted is permitted no more once it has run out.
    pub fn look(&self, now: Timestamp) {
        if let Some(ticket) = &self.ticket
            && ticket.token.read().expires.is_some_and(|expires| expires <= now)
            && !ticket.is_over.swap(true, Ordering::AcqRel)
        {
            ticket.generation.fetch_add(1, Ordering::Release);
            tracing::warn!(user = %self.name, "the token has run out: nothing is permitted until it is renewed");
        }
    }

    /// Another token takes the place of the one before.
    ///
    /// # Errors
    /// When it is somebody else's, or there was none before.
    pub(super) fn renew(&self, token: Verified) -> Result<(), String> {
        let Some(ticket) = &self.ticket else { return Err("there is no token to renew".to_owned()) };
        if token.user != self.name {
            return Err(format!("it is the token of '{}'", token.user));
        }
        *ticket.token.write() = token;
        ticket.is_over.store(false, Ordering::Release);
        ticket.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

impl Ticket {
    /// What it permits in a virtual host. The caller knows the generation.
    fn rights(&self, vhost: &Name) -> Rights {
        if self.is_over.load(Ordering::Acquire) {
            return Rights::default();
        }
        let token = self.token.read();
        let impersonator = token.tags.iter().any(|tag| tag == IMPERSONATOR);
        Rights { generation: 0, impersonator, grant: Grant::of_scopes(&token.scopes, vhost).map(Arc::new) }
    }
}

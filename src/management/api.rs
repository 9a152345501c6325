//! What every resource is given: the broker, what is known of rates, and facts of this node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::caller::{Caller, Tag};
use super::rates::{INTERVAL, Rates, SHARE};
use super::refusal::Refusal;
use crate::auth::OperatorToken;
use crate::broker::{Broker, Session, Vhost};
use crate::clock::Timestamp;
use crate::id::ConnectionId;
use crate::tls::Tls;

/// Requests work on behalf of no connection: exclusive queues are somebody else's.
const NO_CONNECTION: ConnectionId = ConnectionId::new(0);

/// What the API says of this node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// The node's name, such as `lepus@host`.
    pub name: String,
    /// As which product the broker presents itself.
    pub product: &'static str,
    /// The version of RabbitMQ that it presents.
    pub rabbitmq_version: String,
    /// Where it listens, and for what.
    pub listeners: Vec<ListenerFacts>,
    /// Connections at a time.
    pub connections_max: usize,
    /// Where data is kept; `None`: nowhere.
    pub data_dir: Option<std::path::PathBuf>,
    /// The certificates that clients are shown; `None`: there is no TLS.
    pub tls: Option<Arc<Tls>>,
    /// What stands for a password when it comes from loopback; `None`: nothing does.
    pub operator: Option<OperatorToken>,
}

/// A listening socket.
#[derive(Clone, Debug)]
pub struct ListenerFacts {
    /// RabbitMQ's name of what is spoken there: `amqp`, `amqp/ssl`, `http`.
    pub protocol: &'static str,
    /// The address.
    pub address: SocketAddr,
}

/// Shared by all requests.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) broker: Arc<Broker>,
    pub(super) node: NodeFacts,
    pub(super) rates: Rates,
    pub(super) started: Timestamp,
}

impl Api {
    pub(super) fn new(broker: Arc<Broker>, node: NodeFacts) -> Arc<Self> {
        let started = broker.clock.now();
        Arc::new(Self { broker, node, rates: Rates::new(started), started })
    }

    /// Keeps rates up to date for ever.
    pub(super) async fn sample_for_ever(&self) {
        let mut pause = INTERVAL;
        loop {
            tokio::time::sleep(pause).await;
            let before = self.broker.clock.now();
            self.rates.look(&self.broker).await;
            let took = Duration::from_millis(self.broker.clock.now().millis_since(before));
            pause = INTERVAL.max(took.saturating_mul(SHARE));
        }
    }

    /// The virtual host of this name, if the caller may look into it.
    pub(super) fn visible_vhost(&self, caller: &Caller, name: &str) -> Result<Arc<Vhost>, Refusal> {
        let vhost = self.broker.vhost(name).ok_or_else(Refusal::not_found)?;
        if caller.has(Tag::Monitoring) || self.may_open(caller, &vhost) {
            return Ok(vhost);
        }
        Err(Refusal::forbidden("User not authorised to access virtual host"))
    }

    /// The virtual hosts that the caller may look into: all, or the one that is named.
    pub(super) fn visible_vhosts(&self, caller: &Caller, name: &str) -> Result<Vec<Arc<Vhost>>, Refusal> {
        if !name.is_empty() {
            return Ok(vec![self.visible_vhost(caller, name)?]);
        }
        let mut vhosts = self.broker.vhosts();
        vhosts.retain(|vhost| caller.has(Tag::Monitoring) || self.may_open(caller, vhost));
        Ok(vhosts)
    }

    /// A session of the caller: what it does there is checked as for any client.
    pub(super) fn session(&self, caller: &Caller, vhost: &str) -> Result<Session, Refusal> {
        let vhost = self.broker.vhost(vhost).ok_or_else(Refusal::not_found)?;
        if !self.may_open(caller, &vhost) {
            return Err(Refusal::forbidden("User not authorised to access virtual host"));
        }
        let accounts = Arc::clone(&self.broker.authority.accounts);
        if caller.is_operator {
            return Ok(Session::of_broker(vhost, accounts));
        }
        Ok(Session::new((vhost, None), Arc::clone(&caller.user), accounts, NO_CONNECTION))
    }

    fn may_open(&self, caller: &Caller, vhost: &Vhost) -> bool {
        caller.is_operator || caller.user.may_open(&self.broker.authority.accounts, &vhost.name)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.broker.clock.now()
    }
}

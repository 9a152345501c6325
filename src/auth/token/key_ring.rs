//! All keys at hand: those that were set, and those that a server listed last.
//!
//! A token whose key is not known makes the server be asked again, once for all that wait, and not more often than
//! [`ASK_AGAIN_MS`]: whoever makes up names of keys costs nobody anything. A list that has become old is asked for
//! while the old one serves.

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use parking_lot::RwLock;
use tokio::task::spawn_blocking;

use super::key::Key;
use super::source::Source;
use crate::clock::Timestamp;

/// Time between two questions.
const ASK_AGAIN_MS: u64 = 10_000;

/// The age at which a list is asked for again: a key that was taken off it is trusted for this long at most, as long as
/// the server answers.
const OLD_MS: u64 = 5 * 60_000;

/// Keys.
#[derive(Debug)]
pub(super) struct KeyRing {
    set: Vec<Key>,
    /// Which key a token means that names none.
    default: Option<String>,
    listed: Option<Arc<Listed>>,
}

/// Keys of a server.
#[derive(Debug)]
struct Listed {
    source: Source,
    keys: RwLock<Known>,
    /// Held while the server is asked.
    asking: tokio::sync::Mutex<()>,
    ask_again_ms: u64,
}

#[derive(Debug, Default)]
struct Known {
    keys: Vec<Key>,
    /// When the server was asked last, and when it answered.
    asked: Option<Timestamp>,
    answered: Option<Timestamp>,
}

impl KeyRing {
    pub(super) fn new(set: Vec<Key>, default: Option<String>, source: Option<Source>) -> Self {
        let listed = source.map(|source| {
            Arc::new(Listed {
                source,
                keys: RwLock::default(),
                asking: tokio::sync::Mutex::default(),
                ask_again_ms: ASK_AGAIN_MS,
            })
        });
        Self { set, default, listed }
    }

    /// The key of this name, or the only one for the algorithm if there is no name. Asks the server if it must.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm, now: Timestamp) -> Option<Key> {
        let id = id.or(self.default.as_deref());
        if let Some(key) = choose(&self.set, id, algorithm) {
            return Some(key);
        }
        let listed = self.listed.as_ref()?;
        let known = choose(&listed.keys.read().keys, id, algorithm);
        if known.is_none() {
            listed.ask(now).await;
            return choose(&listed.keys.read().keys, id, algorithm);
        }
        if listed.is_old(now) {
            let listed = Arc::clone(listed);
            tokio::spawn(async move { listed.ask(now).await });
        }
        known
    }
}

/// Of several without a name none is meant.
fn choose(keys: &[Key], id: Option<&str>, algorithm: Algorithm) -> Option<Key> {
    let fitting = || keys.iter().filter(|key| key.is_for(algorithm));
    let named = id.and_then(|id| fitting().find(|key| key.id.as_deref() == Some(id)));
    // A key without a name serves for every name.
    let mut others = fitting().filter(|key| id.is_none() || key.id.is_none());
    let only = others.next().filter(|_| others.next().is_none());
    named.or(only).cloned()
}

impl Listed {
    fn is_old(&self, now: Timestamp) -> bool {
        let answered = self.keys.read().answered;
        answered.is_none_or(|answered| now.millis_since(answered) >= OLD_MS)
    }

    fn may_ask(&self, now: Timestamp) -> bool {
        let asked = self.keys.read().asked;
        asked.is_none_or(|asked| now.millis_since(asked) >= self.ask_again_ms)
    }

    /// Asks the server, unless it was asked a moment ago. What was known stays known if it does not answer.
    async fn ask(self: &Arc<Self>, now: Timestamp) {
        let _one_at_a_time = self.asking.lock().await;
        if !self.may_ask(now) {
            return;
        }
        self.keys.write().asked = Some(now);
        let listed = Arc::clone(self);
        let fetched = spawn_blocking(move || listed.source.fetch()).await;
        match fetched.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "the keys of tokens were fetched");
                let mut known = self.keys.write();
                (known.keys, known.answered) = (keys, Some(now));
            }
            Err(reason) => tracing::warn!(reason, "the keys of tokens could not be fetched"),
        }
    }
}

//! How many connections and channels users and virtual hosts have, for their limits.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lepus_protocol::ReplyCode;
use parking_lot::Mutex;

use super::{Broker, Vhost};
use crate::auth::User;
use crate::exception::ConnectionException;
use crate::metadata::is_reached;
use crate::name::Name;

/// Connections and channels, counted.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    by_user: HashMap<Name, UserSeats>,
    by_vhost: HashMap<Name, usize>,
}

#[derive(Debug, Default)]
struct UserSeats {
    connections: usize,
    channels: Arc<AtomicUsize>,
}

/// A connection's place among those of its user and its virtual host; free again when this is dropped.
pub struct Seat {
    seats: Arc<Seats>,
    user: Name,
    vhost: Name,
    channels: Arc<AtomicUsize>,
}

/// A channel's place among those of its user; free again when this is dropped.
#[derive(Debug, Default)]
pub struct ChannelSeat(Option<Arc<AtomicUsize>>);

/// Which limit leaves no place, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Vhost(i64),
    User(i64),
}

impl Seats {
    /// Takes a place, if there is one.
    fn take(
        self: &Arc<Self>,
        (vhost, vhost_max): (&Name, Option<i64>),
        (user, user_max): (&Name, Option<i64>),
    ) -> Result<Seat, Full> {
        let mut taken = self.taken.lock();
        let in_vhost = taken.by_vhost.get(vhost).copied().unwrap_or_default();
        let of_user = taken.by_user.get(user).map_or(0, |seats| seats.connections);
        if let Some(limit) = is_reached(vhost_max, in_vhost) {
            return Err(Full::Vhost(limit));
        }
        if let Some(limit) = is_reached(user_max, of_user) {
            return Err(Full::User(limit));
        }
        *taken.by_vhost.entry(vhost.clone()).or_default() += 1;
        let seats = taken.by_user.entry(user.clone()).or_default();
        seats.connections += 1;
        let channels = Arc::clone(&seats.channels);
        Ok(Seat { seats: Arc::clone(self), user: user.clone(), vhost: vhost.clone(), channels })
    }
}

impl Seat {
    /// A place for one more channel, unless the user has `limit` of them: then that is the error.
    pub(super) fn channel(&self, limit: Option<i64>) -> Result<ChannelSeat, i64> {
        // Two connections of one user may ask at once; each sees its own place counted.
        let before = self.channels.fetch_add(1, Ordering::Relaxed);
        let seat = ChannelSeat(Some(Arc::clone(&self.channels)));
        match is_reached(limit, before) {
            Some(limit) => Err(limit),
            None => Ok(seat),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        if let Some(count) = taken.by_vhost.get_mut(&self.vhost) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_vhost.remove(&self.vhost);
            }
        }
        if let Some(seats) = taken.by_user.get_mut(&self.user) {
            seats.connections = seats.connections.saturating_sub(1);
            if seats.connections == 0 {
                taken.by_user.remove(&self.user);
            }
        }
    }
}

impl Drop for ChannelSeat {
    fn drop(&mut self) {
        if let Some(channels) = &self.0 {
            channels.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("user", &self.user).field("vhost", &self.vhost).finish_non_exhaustive()
    }
}

impl Broker {
    /// Lets a user into a virtual host (§1.4.2.7).
    ///
    /// # Errors
    /// 530 with RabbitMQ's texts: no such virtual host, no permission for it, a limit is reached.
    pub fn admit(&self, user: &User, vhost: &str) -> Result<(Arc<Vhost>, Seat), ConnectionException> {
        let missing = || not_allowed(format_args!("vhost {vhost} not found"));
        let host = self.vhost(vhost).ok_or_else(missing)?;
        let limit = host.definition().limits.max_connections;
        let accounts = &self.authority.accounts;
        let user_limit = accounts.user_limits(user.name.as_str()).max_connections;
        let seat =
            self.seats.take((&host.name, limit), (&user.name, user_limit)).map_err(|full| match full {
                Full::Vhost(limit) => not_allowed(format_args!(
                    "access to vhost '{vhost}' refused for user '{}': connection limit ({limit}) is reached",
                    user.name
                )),
                Full::User(limit) => not_allowed(format_args!(
                    "connection refused for user '{}': user connection limit ({limit}) is reached",
                    user.name
                )),
            })?;
        if !user.may_open(accounts, &host.name) {
            return Err(not_allowed(format_args!(
                "access to vhost '{vhost}' refused for user '{}'",
                user.name
            )));
        }
        Ok((host, seat))
    }
}

fn not_allowed(explanation: impl fmt::Display) -> ConnectionException {
    ConnectionException::new(ReplyCode::NOT_ALLOWED, explanation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (Name, Name) {
        (Name::from("/"), Name::from("u"))
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_has_gone() {
        let (seats, (vhost, user)) = (Arc::new(Seats::default()), names());
        let take = |in_vhost, of_user| seats.take((&vhost, in_vhost), (&user, of_user));
        let first = take(Some(1), Some(1)).unwrap();
        assert_eq!(take(Some(1), None).unwrap_err(), Full::Vhost(1));
        assert_eq!(take(Some(2), Some(1)).unwrap_err(), Full::User(1));
        assert!(take(Some(-1), None).is_ok(), "a negative limit is none");
        drop(first);
        let taken = seats.taken.lock();
        assert!(taken.by_user.is_empty() && taken.by_vhost.is_empty());
    }

    #[test]
    fn channels_count_over_all_connections_of_a_user() {
        let (seats, (vhost, user)) = (Arc::new(Seats::default()), names());
        let one = seats.take((&vhost, None), (&user, None)).unwrap();
        let other = seats.take((&vhost, None), (&user, None)).unwrap();
        let channel = one.channel(Some(1)).unwrap();
        assert_eq!(other.channel(Some(1)).unwrap_err(), 1);
        drop(channel);
        assert!(other.channel(Some(1)).is_ok());
        assert_eq!(other.channel(Some(0)).unwrap_err(), 0);
    }
}

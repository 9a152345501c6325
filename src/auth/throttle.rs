//! Failed logins by address: who guesses passwords must wait.
//!
//! Each address may fail some times at once and regains one try at a time. Passwords that were verified before are
//! accepted meanwhile, so that a guesser does not lock out the neighbours behind the same address.

use std::collections::HashMap;
use std::net::IpAddr;

use ahash::RandomState;
use parking_lot::Mutex;

use crate::clock::Timestamp;

/// Failures at once: a handful of programs with an old password, all started together.
pub(super) const FAILURES_MAX: u32 = 32;

/// Time after which an address may fail once more.
const FORGIVEN_AFTER_MS: u64 = 2_000;

/// Addresses remembered. Beyond, those with the fewest failures are forgotten.
const ADDRESSES_MAX: usize = 65_536;

/// Failed logins.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<IpAddr, Failures, RandomState>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// When the last of them was forgiven, or the first happened.
    since: Timestamp,
}

impl Throttle {
    /// Whether logins from `address` are to be refused without a look at the password.
    pub(super) fn is_closed(&self, address: IpAddr, now: Timestamp) -> bool {
        let failures = self.failures.lock();
        failures.get(&network(address)).is_some_and(|failures| failures.at(now).count >= FAILURES_MAX)
    }

    /// A login from `address` has failed.
    pub(super) fn failed(&self, address: IpAddr, now: Timestamp) {
        let mut failures = self.failures.lock();
        if failures.len() >= ADDRESSES_MAX {
            forget(&mut failures, now);
        }
        let entry = failures.entry(network(address)).or_insert(Failures { count: 0, since: now });
        *entry = entry.at(now);
        entry.count = entry.count.saturating_add(1).min(FAILURES_MAX);
    }
}

impl Failures {
    /// What is left of them at `now`.
    fn at(self, now: Timestamp) -> Self {
        let forgiven = now.millis_since(self.since) / FORGIVEN_AFTER_MS;
        let count = self.count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        let since = if count == 0 { now } else { self.since.plus_millis(forgiven * FORGIVEN_AFTER_MS) };
        Self { count, since }
    }
}

/// Makes room: what is forgiven goes, and if nothing is, the half with the fewest failures.
fn forget(failures: &mut HashMap<IpAddr, Failures, RandomState>, now: Timestamp) {
    failures.retain(|_, failures| failures.at(now).count > 0);
    let mut least = 0;
    while failures.len() > ADDRESSES_MAX / 2 && least < FAILURES_MAX {
        least += 1;
        failures.retain(|_, failures| failures.at(now).count > least);
    }
}

/// Who has an IPv6 address has the 2^64 of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const GUESSER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const NEIGHBOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_address_is_closed_after_too_many_failures_and_others_are_not() {
        let throttle = Throttle::default();
        for _ in 0..FAILURES_MAX {
            assert!(!throttle.is_closed(GUESSER, at(0)));
            throttle.failed(GUESSER, at(0));
        }
        assert!(throttle.is_closed(GUESSER, at(0)));
        assert!(!throttle.is_closed(NEIGHBOUR, at(0)));
    }

    #[test]
    fn one_more_try_is_granted_from_time_to_time() {
        let throttle = Throttle::default();
        for _ in 0..FAILURES_MAX + 5 {
            throttle.failed(GUESSER, at(0));
        }
        assert!(throttle.is_closed(GUESSER, at(FORGIVEN_AFTER_MS - 1)));
        assert!(!throttle.is_closed(GUESSER, at(FORGIVEN_AFTER_MS)));
        throttle.failed(GUESSER, at(FORGIVEN_AFTER_MS));
        assert!(throttle.is_closed(GUESSER, at(FORGIVEN_AFTER_MS)));
    }

    #[test]
    fn the_addresses_of_one_network_count_together() {
        let throttle = Throttle::default();
        for host in 0..FAILURES_MAX {
            let host = u16::try_from(host).unwrap();
            throttle.failed(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host).into(), at(0));
        }
        assert!(throttle.is_closed(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9).into(), at(0)));
        assert!(!throttle.is_closed(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0).into(), at(0)));
    }

    #[test]
    fn a_flood_of_addresses_does_not_fill_the_memory_nor_free_the_guesser() {
        let throttle = Throttle::default();
        for _ in 0..FAILURES_MAX {
            throttle.failed(GUESSER, at(0));
        }
        for address in 0..200_000_u32 {
            throttle.failed(Ipv4Addr::from_bits(0x0a00_0000 + address).into(), at(1));
        }
        assert!(throttle.failures.lock().len() <= ADDRESSES_MAX);
        assert!(throttle.is_closed(GUESSER, at(2)));
    }
}

//! The file on a disk that keeps any part of what was not synced: what was written is there, and no half of what was
//! being written.

use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;
use std::io;

use super::store::{DRAFT, Store};
use super::{Change, QueueDefinition};
use crate::id::EntityId;
use crate::name::Name;
use lepus_protocol::FieldTable;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// States in which each sync may find the disk if the machine stops then.
const STOPS: usize = 3;

const TRANSACTIONS: u64 = 40;

/// A file, and how far it is on the disk.
#[derive(Debug, Default)]
struct Octets {
    now: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Transactions that were written and answered.
    answered: u64,
    /// What the machine would find after a stop, with the transactions answered by then.
    stops: Vec<(u64, Vec<u8>)>,
    random: u64,
}

#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Octets>>);

impl Disk {
    fn holding(octets: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Octets { synced: octets.clone(), now: octets, ..Octets::default() })))
    }
}

impl Octets {
    /// The next of a stream of numbers (splitmix64).
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// What is there after a stop: some sectors of what was not synced, and the new length or the old one.
    fn stop(&mut self) -> Vec<u8> {
        let mut there = self.synced.clone();
        there.resize(self.now.len().max(there.len()), 0);
        // All of it, as after the end of the process alone, or none, or some.
        let odds = self.random() % 4;
        for (offset, data) in self.unsynced.clone() {
            for (at, part) in sectors(offset, &data) {
                let is_kept = odds == 0 || odds < 3 && self.random().is_multiple_of(2);
                if let Some(place) = there.get_mut(at..at + part.len()).filter(|_| is_kept) {
                    place.copy_from_slice(part);
                }
            }
        }
        let is_long = odds == 0 || self.random().is_multiple_of(2);
        there.truncate(if is_long { self.now.len() } else { self.synced.len() });
        there
    }
}

fn sectors(offset: usize, data: &[u8]) -> Vec<(usize, &[u8])> {
    let first = (SECTOR - offset % SECTOR).min(data.len());
    let (head, rest) = data.split_at(first);
    let rest = rest.chunks(SECTOR).enumerate().map(|(at, part)| (offset + first + at * SECTOR, part));
    std::iter::once((offset, head)).chain(rest).collect()
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let octets = self.0.lock();
        let found = octets.now.get(place(offset)..place(offset) + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.lock().now.resize(place(len), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut octets = self.0.lock();
        for _ in 0..STOPS {
            let stop = (octets.answered, octets.stop());
            octets.stops.push(stop);
        }
        octets.unsynced.clear();
        octets.synced = octets.now.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut octets = self.0.lock();
        let found = octets.now.get_mut(place(offset)..place(offset) + data.len());
        found.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        octets.unsynced.push((place(offset), data.to_vec()));
        Ok(())
    }
}

/// The changes of one transaction: two queues come, and after some time they go.
fn changes(number: u64) -> Vec<Change> {
    let vhost = Name::from("/");
    let name = |kind: &str, number: u64| Name::from(format!("{kind}-{number}"));
    // Long enough for the file to grow now and then.
    let mut arguments = FieldTable::new();
    arguments.insert("x-note", "n".repeat(8 << 10).as_str());
    let put = |kind, id| {
        let (id, arguments) = (EntityId::new(id), arguments.clone());
        let definition = QueueDefinition { id, auto_delete: false, arguments, paused: false };
        Change::PutQueue(vhost.clone(), name(kind, number), definition)
    };
    let mut changes = vec![put("left", 2 * number), put("right", 2 * number + 1)];
    if let Some(old) = number.checked_sub(20) {
        changes.extend(["left", "right"].map(|kind| Change::DeleteQueue(vhost.clone(), name(kind, old))));
    }
    changes
}

/// The ids of all queues after so many transactions.
fn ids(transactions: u64) -> Vec<u64> {
    (2 * transactions.saturating_sub(20)..2 * transactions).collect()
}

fn found(store: &Store) -> Vec<u64> {
    let mut ids: Vec<u64> =
        store.recover().unwrap().queues.iter().map(|(_, _, queue)| queue.id.get()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_stop_while_the_file_is_made_leaves_nothing_that_keeps_the_next_start_from_making_it() {
    let disk = Disk::default();
    drop(Store::on(disk.clone()).unwrap());
    let mut stops: Vec<Vec<u8>> = disk.0.lock().stops.iter().map(|(_, octets)| octets.clone()).collect();
    stops.extend([Vec::new(), disk.0.lock().now.clone()]);
    let is_half = |octets: &&Vec<u8>| Store::on(Disk::holding((*octets).clone())).is_err();
    assert!(stops.iter().any(|octets| is_half(&octets)), "no stop leaves half a file");
    for octets in stops {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(DRAFT), octets).unwrap();
        let store = Store::create(dir.path()).unwrap();
        assert!(!dir.path().join(DRAFT).exists());
        store.write(&changes(0)).unwrap();
        drop(store);
        assert_eq!(found(&Store::create(dir.path()).unwrap()), ids(1));
    }
}

#[test]
fn after_a_stop_at_any_sync_all_that_was_answered_is_there_and_no_half_of_the_next() {
    let disk = Disk::default();
    let store = Store::on(disk.clone()).unwrap();
    // Until then it has another name.
    disk.0.lock().stops.clear();
    for number in 0..TRANSACTIONS {
        store.write(&changes(number)).unwrap();
        disk.0.lock().answered = number + 1;
    }
    let stops = std::mem::take(&mut disk.0.lock().stops);
    assert!(stops.len() as u64 >= TRANSACTIONS * STOPS as u64);
    assert!(stops.iter().any(|(_, octets)| octets.len() != stops[0].1.len()), "the file never grew");
    for (answered, octets) in stops {
        let store =
            Store::on(Disk::holding(octets)).unwrap_or_else(|error| panic!("after {answered}: {error}"));
        let queues = found(&store);
        let is_whole = queues == ids(answered) || queues == ids(answered + 1);
        assert!(is_whole, "after {answered} transactions: {queues:?}");
        store.write(&changes(TRANSACTIONS)).unwrap();
    }
}

//! Records: what a block of the log is made of.
//!
//! ```text
//! record      | len u32 | crc u32 | kind u8 | body |       len: of kind and body; crc: crc32c of kind and body
//! PUBLISH 1   | count u32 | (queue u64, seq u64, expires_ms u64) * count | image |
//! CARRY 2     like PUBLISH: a copy of a message whose log file is about to be reused
//! ACK 3       | queue u64 | (first u64, last u64) * |
//! DELIVERED 4 | queue u64 | up_to u64 |
//! COUNT 5     | queue u64 | seq u64 | deliveries u32 |
//! PURGE 6     | queue u64 | up_to u64 |
//! DELETE 7    | queue u64 |
//! TX 8        | (kind u8 | len u32 | body) * |
//! ```

use super::codec::{Put, Take, crc, len32};
use super::id::{QueueId, Seq};

/// Octets of a record before its body.
pub(super) const RECORD_HEAD: usize = 9;

const PLACEMENT_LEN: usize = 24;

const PUBLISH: u8 = 1;
const CARRY: u8 = 2;
const ACK: u8 = 3;
const DELIVERED: u8 = 4;
const COUNT: u8 = 5;
const PURGE: u8 = 6;
const DELETE: u8 = 7;
const TX: u8 = 8;

/// The highest kind of record that this release reads.
pub(super) const KINDS_KNOWN: u8 = TX;

/// A message's place in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The queue.
    pub queue: QueueId,
    /// Its seq there.
    pub seq: Seq,
    /// When it expires there, in milliseconds since 1970; 0 for never. The store only keeps it.
    pub expires_ms: u64,
}

/// Neighbouring seqs, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRun {
    /// The lowest.
    pub first: Seq,
    /// The highest.
    pub last: Seq,
}

/// Something that happened and is to survive.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A message reached queues. Its image, opaque to the store, is written once however many they are.
    Publish {
        /// Where it is; at least one.
        placements: &'a [Placement],
        /// The message.
        image: &'a [u8],
    },
    /// Messages of a queue are settled for good. May reach the log before their publish does.
    Ack {
        /// The queue.
        queue: QueueId,
        /// Which; only seqs that are, or will be, published to the store.
        runs: &'a [SeqRun],
    },
    /// Every message of the queue up to a seq was delivered at least once.
    Delivered {
        /// The queue.
        queue: QueueId,
        /// The highest seq delivered.
        up_to: Seq,
    },
    /// How often one message was delivered, where that is more than once.
    DeliveryCount {
        /// The queue.
        queue: QueueId,
        /// The message.
        seq: Seq,
        /// Deliveries so far.
        count: u32,
    },
    /// Every message up to a seq is gone, those too whose publish is still to come.
    Purge {
        /// The queue.
        queue: QueueId,
        /// The highest seq given out.
        up_to: Seq,
    },
    /// The queue is gone; what is still logged for it is ignored.
    QueueDelete {
        /// The queue.
        queue: QueueId,
    },
    /// Records (but no `Tx`) that take effect together or not at all.
    Tx(&'a [Self]),
}

impl Record<'_> {
    /// Octets of the record in the log.
    pub(super) fn encoded_len(&self) -> usize {
        RECORD_HEAD + self.body_len()
    }

    fn body_len(&self) -> usize {
        match self {
            Self::Publish { placements, image } => 4 + placements.len() * PLACEMENT_LEN + image.len(),
            Self::Ack { runs, .. } => 8 + runs.len() * 16,
            Self::Delivered { .. } | Self::Purge { .. } => 16,
            Self::DeliveryCount { .. } => 20,
            Self::QueueDelete { .. } => 8,
            Self::Tx(records) => records.iter().map(|record| 5 + record.body_len()).sum(),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Publish { .. } => PUBLISH,
            Self::Ack { .. } => ACK,
            Self::Delivered { .. } => DELIVERED,
            Self::DeliveryCount { .. } => COUNT,
            Self::Purge { .. } => PURGE,
            Self::QueueDelete { .. } => DELETE,
            Self::Tx(_) => TX,
        }
    }

    /// Appends the record.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        sealed(out, self.kind(), |out| self.encode_body(out));
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Publish { placements, image } => encode_placed(placements, image, out),
            Self::Ack { queue, runs } => {
                out.put_u64(queue.0);
                for run in *runs {
                    out.put_u64(run.first.0);
                    out.put_u64(run.last.0);
                }
            }
            Self::Delivered { queue, up_to } | Self::Purge { queue, up_to } => {
                out.put_u64(queue.0);
                out.put_u64(up_to.0);
            }
            Self::DeliveryCount { queue, seq, count } => {
                out.put_u64(queue.0);
                out.put_u64(seq.0);
                out.put_u32(*count);
            }
            Self::QueueDelete { queue } => out.put_u64(queue.0),
            Self::Tx(records) => {
                for record in *records {
                    out.push(record.kind());
                    out.put_u32(len32(record.body_len()));
                    record.encode_body(out);
                }
            }
        }
    }
}

/// Octets of a CARRY record.
pub(super) fn carry_len(placements: &[Placement], image: &[u8]) -> usize {
    RECORD_HEAD + 4 + placements.len() * PLACEMENT_LEN + image.len()
}

/// Appends a CARRY record.
pub(super) fn encode_carry(placements: &[Placement], image: &[u8], out: &mut Vec<u8>) {
    sealed(out, CARRY, |out| encode_placed(placements, image, out));
}

fn encode_placed(placements: &[Placement], image: &[u8], out: &mut Vec<u8>) {
    out.put_u32(len32(placements.len()));
    for placement in placements {
        out.put_u64(placement.queue.0);
        out.put_u64(placement.seq.0);
        out.put_u64(placement.expires_ms);
    }
    out.extend_from_slice(image);
}

fn sealed(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_u64(0);
    out.push(kind);
    body(out);
    let (_, sealed) = out.split_at_mut(start);
    let (head, sealed) = sealed.split_at_mut(8);
    let (len, check) = head.split_at_mut(4);
    len.copy_from_slice(&len32(sealed.len()).to_le_bytes());
    check.copy_from_slice(&crc(sealed).to_le_bytes());
}

/// A record as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    /// A message and where it is.
    Publish(Placed<'a>),
    /// A copy of one.
    Carry(Placed<'a>),
    Ack {
        queue: u64,
        runs: Take<'a>,
    },
    Delivered {
        queue: u64,
        up_to: u64,
    },
    Count {
        queue: u64,
        seq: u64,
        count: u32,
    },
    Purge {
        queue: u64,
        up_to: u64,
    },
    Delete {
        queue: u64,
    },
    Tx(Take<'a>),
}

/// Why octets are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Damaged,
    /// The checksum holds, the kind is not known: a newer release wrote it.
    Kind(u8),
}

/// A message and its placements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    placements: &'a [u8],
    pub(super) image: &'a [u8],
}

impl<'a> Placed<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let mut take = Take(body);
        let count = take.len()?;
        let placements = take.bytes(count.checked_mul(PLACEMENT_LEN)?)?;
        Some(Self { placements, image: take.0 })
    }

    /// The placements in the order of the record.
    pub(super) fn placements(&self) -> impl Iterator<Item = Placement> + use<'a> {
        let mut take = Take(self.placements);
        std::iter::from_fn(move || {
            let (queue, seq) = (QueueId(take.u64()?), Seq(take.u64()?));
            Some(Placement { queue, seq, expires_ms: take.u64()? })
        })
    }
}

impl<'a> View<'a> {
    fn parse(kind: u8, body: &'a [u8]) -> Result<Self, Unreadable> {
        let mut take = Take(body);
        let view = match kind {
            PUBLISH => Placed::parse(body).map(Self::Publish),
            CARRY => Placed::parse(body).map(Self::Carry),
            ACK => take.u64().map(|queue| Self::Ack { queue, runs: take }),
            DELIVERED => take.u64().zip(take.u64()).map(|(queue, up_to)| Self::Delivered { queue, up_to }),
            PURGE => take.u64().zip(take.u64()).map(|(queue, up_to)| Self::Purge { queue, up_to }),
            COUNT => {
                let ids = take.u64().zip(take.u64()).zip(take.u32());
                ids.map(|((queue, seq), count)| Self::Count { queue, seq, count })
            }
            DELETE => take.u64().map(|queue| Self::Delete { queue }),
            TX => Some(Self::Tx(take)),
            unknown => return Err(Unreadable::Kind(unknown)),
        };
        view.ok_or(Unreadable::Damaged)
    }

    /// Calls `each` with every record in this one: itself, or those of a transaction.
    pub(super) fn each(self, each: &mut dyn FnMut(Self)) -> Result<(), Unreadable> {
        let Self::Tx(mut items) = self else {
            each(self);
            return Ok(());
        };
        while !items.is_empty() {
            let parts = items.u8().zip(items.len());
            let item = parts.and_then(|(kind, len)| Some((kind, items.bytes(len)?)));
            let (kind, body) = item.ok_or(Unreadable::Damaged)?;
            if kind == TX {
                return Err(Unreadable::Damaged);
            }
            each(Self::parse(kind, body)?);
        }
        Ok(())
    }
}

/// Whether the record's checksum is computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// The octets come from disk.
    Verify,
    /// The octets were encoded by this process or their block was verified.
    Trust,
}

/// The record at the front of `octets`, and its length.
pub(super) fn first_record(octets: &[u8], checksum: Checksum) -> Result<(View<'_>, usize), Unreadable> {
    let mut take = Take(octets);
    let head = take.len().zip(take.u32());
    let sealed = head.and_then(|(len, check)| Some((take.bytes(len)?, check)));
    let (sealed, check) = sealed.ok_or(Unreadable::Damaged)?;
    if checksum == Checksum::Verify && crc(sealed) != check {
        return Err(Unreadable::Damaged);
    }
    let (&kind, body) = sealed.split_first().ok_or(Unreadable::Damaged)?;
    Ok((View::parse(kind, body)?, sealed.len() + SEAL_LEN))
}

/// Octets of a record before what is sealed: its length and its checksum.
pub(super) const SEAL_LEN: usize = 8;

/// Octets of the record whose head `octets` begin with, as far as it says.
pub(super) fn record_len(octets: &[u8]) -> Option<usize> {
    Take(octets).len()?.checked_add(SEAL_LEN)
}

/// The runs of an ACK; one that ends before it starts is skipped.
pub(super) fn runs(mut take: Take<'_>) -> impl Iterator<Item = (u64, u64)> {
    std::iter::from_fn(move || take.u64().zip(take.u64())).filter(|(first, last)| first <= last)
}

/// A message that octets which are no record any more seem to speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) queue: u64,
    pub(super) seq: u64,
    /// Octets of its image.
    pub(super) octets: u64,
}

/// Which messages a damaged record seems to hold. Nothing of it is certain.
pub(super) fn claims(record: &[u8], out: &mut Vec<Claim>) {
    let mut take = Take(record);
    let head = take.len().zip(take.u32()).zip(take.u8());
    let Some(((len, _), kind)) = head else { return };
    if kind == PUBLISH || kind == CARRY {
        return claims_of(take.0, len.saturating_sub(1), out);
    }
    while kind == TX
        && let Some((kind, len)) = take.u8().zip(take.len())
    {
        if kind == PUBLISH {
            claims_of(take.0, len, out);
        }
        if take.bytes(len).is_none() {
            return;
        }
    }
}

/// Of a message's record that is `len` octets long, as far as it is there.
fn claims_of(body: &[u8], len: usize, out: &mut Vec<Claim>) {
    let mut take = Take(body);
    let count = take.len().and_then(|count| count.checked_mul(PLACEMENT_LEN));
    let Some(placements) = count.and_then(|len| take.bytes(len)) else { return };
    let octets = len.saturating_sub(4 + placements.len()) as u64;
    let placed = Placed { placements, image: &[] };
    out.extend(placed.placements().map(|at| Claim { queue: at.queue.0, seq: at.seq.0, octets }));
}

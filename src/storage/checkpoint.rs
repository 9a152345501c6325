//! Checkpoints: what the index knows that the log alone does not tell.
//!
//! ```text
//! file  | "LEPUSCKP" | version u32 | store u64 | lsn u64 | log_start u64 | next_segment u64 | epoch u32 |
//!       | deleted queues set | queues u32 | queue * | crc u32 |
//! queue | id u64 | next_seq u64 | purged u64 | delivered u64 | counts u64 | (seq u64, deliveries u32) * |
//!       | live set | early set | segments u32 | (number, len, min, max, count: u64 each) * |
//! set   | runs u64 | (first u64, last u64) * |
//! ```

use std::path::Path;

use super::codec::{Put, Take, crc, len32};
use super::env::{Env, OpenMode};
use super::error::{Doing, StoreError};
use super::index::{Index, QueueState};
use super::names::{Names, unfinished};
use super::segment::Segment;
use super::seq_set::SeqSet;

const MAGIC: &[u8; 8] = b"LEPUSCKP";
const VERSION: u32 = 1;

/// Checkpoints that are kept: the older one is for repair.
const KEPT: usize = 2;

/// A checkpoint as read.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    /// The state is that after this block.
    pub(super) lsn: u64,
    /// Older blocks are not needed.
    pub(super) log_start: u64,
    pub(super) next_segment: u64,
    pub(super) epoch: u32,
    /// Queues that are gone and that the log may name.
    pub(super) deleted: SeqSet,
    pub(super) queues: Vec<(u64, QueueState)>,
}

/// The octets of a checkpoint of `index`.
pub(super) fn encode(index: &Index, store: u64, epoch: u32) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.put_u32(VERSION);
    out.put_u64(store);
    out.put_u64(index.applied);
    out.put_u64(index.log_start());
    out.put_u64(index.next_segment);
    out.put_u32(epoch);
    index.deleted.all().encode(&mut out);
    out.put_u32(len32(index.queues.len()));
    for (&id, state) in &index.queues {
        encode_queue(id, state, &mut out);
    }
    let check = crc(&out);
    out.put_u32(check);
    out
}

fn encode_queue(id: u64, state: &QueueState, out: &mut Vec<u8>) {
    for number in [id, state.next_seq, state.purged, state.delivered, state.counts.len() as u64] {
        out.put_u64(number);
    }
    for (&seq, &count) in &state.counts {
        out.put_u64(seq);
        out.put_u32(count);
    }
    state.live.encode(out);
    state.early.encode(out);
    out.put_u32(len32(state.segments.len()));
    for segment in &state.segments {
        for number in [segment.number, segment.len, segment.min, segment.max, segment.count] {
            out.put_u64(number);
        }
    }
}

fn decode(octets: &[u8], store: u64) -> Option<Checkpoint> {
    let mut take = Take(octets.get(..octets.len().checked_sub(4)?)?);
    let check = octets.get(take.0.len()..).and_then(|rest| Take(rest).u32())?;
    if check != crc(take.0) || take.bytes(8)? != MAGIC || take.u32()? != VERSION || take.u64()? != store {
        return None;
    }
    let mut checkpoint = Checkpoint {
        lsn: take.u64()?,
        log_start: take.u64()?,
        next_segment: take.u64()?,
        epoch: take.u32()?,
        deleted: SeqSet::decode(&mut take)?,
        queues: Vec::new(),
    };
    for _ in 0..take.u32()? {
        checkpoint.queues.push(decode_queue(&mut take)?);
    }
    take.is_empty().then_some(checkpoint)
}

fn decode_queue(take: &mut Take<'_>) -> Option<(u64, QueueState)> {
    let id = take.u64()?;
    let mut state = QueueState {
        next_seq: take.u64()?,
        purged: take.u64()?,
        delivered: take.u64()?,
        ..QueueState::default()
    };
    for _ in 0..take.u64()? {
        state.counts.insert(take.u64()?, take.u32()?);
    }
    state.live = SeqSet::decode(take)?;
    state.early = SeqSet::decode(take)?;
    for _ in 0..take.u32()? {
        let (number, len, min, max) = (take.u64()?, take.u64()?, take.u64()?, take.u64()?);
        state.segments.push(Segment { number, len, min, max, count: take.u64()?, blocks: None });
    }
    Some((id, state))
}

/// Writes a checkpoint and removes all but the newest two.
pub(super) fn write(env: &dyn Env, names: &Names, lsn: u64, octets: &[u8]) -> Result<(), StoreError> {
    let path = names.checkpoint(lsn);
    let draft = unfinished(&path);
    let dir = names.checkpoints();
    let file = env.open(&draft, OpenMode::Create).doing("create", &draft)?;
    file.write_at(octets, 0).doing("write", &draft)?;
    file.sync().doing("sync", &draft)?;
    env.rename(&draft, &path).doing("rename", &draft)?;
    env.sync_dir(&dir).doing("sync", &dir)?;
    for old in list(env, names)?.into_iter().skip(KEPT) {
        let path = names.checkpoint(old);
        env.remove(&path).doing("remove", &path)?;
    }
    Ok(())
}

/// The lsns of all checkpoints, newest first.
pub(super) fn list(env: &dyn Env, names: &Names) -> Result<Vec<u64>, StoreError> {
    let dir = names.checkpoints();
    let found = list_folder(env, &dir)?;
    let mut lsns: Vec<u64> = found.iter().filter_map(|name| Names::parse_checkpoint(name)).collect();
    lsns.sort_unstable_by(|a, b| b.cmp(a));
    Ok(lsns)
}

/// The names in a folder of the store.
pub(super) fn list_folder(env: &dyn Env, dir: &Path) -> Result<Vec<String>, StoreError> {
    env.list(dir).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            StoreError::Missing { path: dir.to_owned(), what: "it is a folder of the store".to_owned() }
        } else {
            StoreError::io("list", dir, &error)
        }
    })
}

/// Removes what was being written when the machine stopped: files whose name is that of a draft.
pub(super) fn remove_unfinished(
    env: &dyn Env,
    dir: &Path,
    is_draft: fn(&str) -> bool,
) -> Result<(), StoreError> {
    for name in env.list(dir).doing("list", dir)?.iter().filter(|name| is_draft(name)) {
        let path = dir.join(name);
        env.remove(&path).doing("remove", &path)?;
    }
    Ok(())
}

/// Reads the checkpoint `lsn`.
pub(super) fn read(env: &dyn Env, names: &Names, lsn: u64, store: u64) -> Result<Checkpoint, StoreError> {
    let path = names.checkpoint(lsn);
    let file = env.open(&path, OpenMode::Read).doing("open", &path)?;
    let len = file.len().doing("measure", &path)?;
    let mut octets = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_at(&mut octets, 0).doing("read", &path)?;
    let version = octets.get(8..12).and_then(|part| Take(part).u32()).unwrap_or_default();
    if let Some(checkpoint) = decode(&octets, store) {
        return Ok(checkpoint);
    }
    let sealed = octets.len().checked_sub(4).and_then(|end| octets.split_at_checked(end));
    if sealed.is_some_and(|(body, check)| Take(check).u32() == Some(crc(body))) && version > VERSION {
        return Err(StoreError::Newer { path, found: version, known: VERSION });
    }
    Err(StoreError::corrupt(&path, 0, "the checkpoint's checksum does not hold"))
}

//! Reads all of a directory and says what is there and what is damaged, without changing a thing.

use std::path::Path;

use super::env::{Env, OpenMode};
use super::error::StoreError;
use super::home::{Version, lock, read_version};
use super::log::scan::Damage;
use super::names::Names;
use super::recovery::{Load, Loaded};
use super::segment::SegmentReader;

/// What a directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Queues with anything stored.
    pub queues: u64,
    /// Live messages in all of them.
    pub messages: u64,
    /// Segments with a live message.
    pub segments: u64,
    /// Octets of these segments.
    pub segment_octets: u64,
    /// Log files in use.
    pub log_files: u64,
    /// All damage found; empty for a sound directory.
    pub damage: Vec<StoreError>,
}

/// Verifies every checksum of a store that no process has open; all queues count as existing.
///
/// # Errors
/// The directory is locked, is no store, is of a newer release, or cannot be read.
pub fn check(env: &dyn Env, dir: &Path) -> Result<CheckReport, StoreError> {
    let names = Names::new(dir);
    let _lock = lock(env, &names)?;
    let Some(Version { store_id, .. }) = read_version(env, &names)? else {
        return Err(StoreError::NotAStore { path: dir.to_owned() });
    };
    let load = Load { env, names: &names, known: &|_| true, damage: Damage::Skip, mode: OpenMode::Read };
    let loaded = load.load(store_id)?;
    let mut report = CheckReport {
        queues: loaded.index.queues.len() as u64,
        messages: loaded.index.queues.values().map(|state| state.live.len()).sum(),
        log_files: loaded.scanned.files.len() as u64,
        damage: loaded.damage.clone(),
        ..CheckReport::default()
    };
    check_segments(env, &names, &loaded, &mut report);
    Ok(report)
}

fn check_segments(env: &dyn Env, names: &Names, loaded: &Loaded, report: &mut CheckReport) {
    for (&queue, state) in &loaded.index.queues {
        for segment in &state.segments {
            report.segments += 1;
            report.segment_octets += segment.len;
            let opened = SegmentReader::open(env, names, loaded.store_id, queue, segment.number);
            let blocks = opened.and_then(|reader| Ok((reader.blocks(segment.len)?, reader)));
            match blocks {
                Ok((blocks, reader)) => {
                    let bad = blocks.iter().filter_map(|block| reader.payload(block).err());
                    report.damage.extend(bad);
                }
                Err(error) => report.damage.push(error),
            }
        }
    }
    report.damage.dedup();
}

impl CheckReport {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

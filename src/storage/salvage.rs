//! What can still be read of segments that are damaged, or that no checkpoint names any more.

use super::checkpoint;
use super::codec::PAGE;
use super::error::{StoreError, unless_damaged};
use super::index::{Index, QueueState};
use super::names::Names;
use super::recovery::Load;
use super::segment::{Entry, Segment, SegmentBlock, SegmentReader, entries};

/// Calls `each` with the entries of every sound block, up to `len`, and `bad` with what is damaged: seqs and lengths of
/// the messages that a damaged block seems to hold.
pub(super) fn read_segment(
    reader: &SegmentReader,
    len: u64,
    each: &mut dyn FnMut(&SegmentBlock, Entry<'_>),
    bad: &mut dyn FnMut(StoreError, Vec<(u64, u64)>),
) -> Result<(), StoreError> {
    let there = reader.len()?;
    if there < len {
        bad(reader.damage(there, format!("the file has {there} octets and should have {len}")), Vec::new());
    }
    let end = len.min(there);
    let mut offset = PAGE as u64;
    while offset < end {
        let Some(block) = unless_damaged(reader.block_at(offset))? else {
            let next = reader.find_block(offset + PAGE as u64, end)?;
            let what = format!("there is no sound block at octets {offset} to {}", next - 1);
            bad(reader.damage(offset, what), Vec::new());
            offset = next;
            continue;
        };
        match unless_damaged(reader.payload(&block))? {
            Some(payload) => entries(&payload).for_each(|entry| each(&block, entry)),
            None => {
                let SegmentBlock { min, max, count, .. } = block;
                let what = format!(
                    "the block at octets {offset} to {} cannot be read; it held {count} messages \
                     between {min} and {max}",
                    block.end() - 1
                );
                bad(reader.damage(offset, what), reader.seeming(&block));
            }
        }
        offset = block.end();
    }
    Ok(())
}

/// Takes in what segments hold that were written after the checkpoint that is used, for the newer one cannot be read.
/// Every message in them counts as live unless the log says otherwise.
pub(super) fn adopt(load: &Load<'_>, index: &mut Index, store_id: u64) -> Result<(), StoreError> {
    let listed = checkpoint::list_folder(load.env, &load.names.segments());
    let found = unless_damaged(listed)?.unwrap_or_default();
    let found = found.iter().filter_map(|name| Names::parse_segment(name));
    for (queue, number) in found.filter(|(queue, _)| (load.known)(*queue)) {
        index.next_segment = index.next_segment.max(number);
        // What is damaged is reported by those who look for it, if it was named.
        let opened = SegmentReader::open(load.env, load.names, store_id, queue, number);
        let Some(reader) = unless_damaged(opened)? else { continue };
        let fresh = QueueState { next_seq: 1, ..QueueState::default() };
        let state = index.queues.entry(queue).or_insert(fresh);
        let known = state.segments.iter().position(|segment| segment.number == number);
        let mut segment = known.map_or_else(
            || Segment { number, min: u64::MAX, ..Segment::default() },
            |at| state.segments.remove(at),
        );
        let known_len = segment.len;
        segment.len = reader.len()?;
        let QueueState { live, purged, .. } = state;
        let mut highest = 0;
        let each = &mut |block: &SegmentBlock, entry: Entry<'_>| {
            if block.offset >= known_len && entry.seq > *purged {
                live.insert(entry.seq);
                highest = highest.max(entry.seq);
                segment.min = segment.min.min(entry.seq);
                segment.max = segment.max.max(entry.seq);
                segment.count += 1;
            }
        };
        read_segment(&reader, segment.len, each, &mut |_, _| {})?;
        state.saw(highest);
        state.segments.push(segment);
    }
    Ok(())
}

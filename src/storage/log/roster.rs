//! How many log files there are, in a file of its own: a log file that is missing is damage, not the log's end.
//!
//! ```text
//! FILES   "lepus-log <count> <store id, 16 hex> <crc32c of the text before, 8 hex>\n"
//! ```
//! The files are numbered from 0. A new one counts, and is used, only once it is entered here.

use super::slot::Slot;
use crate::storage::codec::crc;
use crate::storage::env::{Env, OpenMode};
use crate::storage::error::{Doing, StoreError};
use crate::storage::names::{Names, unfinished};

const MARK: &str = "lepus-log";

/// Octets that are read: more is not what we wrote.
const LINE_MAX: u64 = 256;

/// Makes the next log file and enters it.
pub(in crate::storage) fn add(
    env: &dyn Env,
    names: &Names,
    number: u32,
    capacity: u64,
    store: u64,
) -> Result<Slot, StoreError> {
    let slot = Slot::create(env, names, number, capacity, store)?;
    write(env, names, number + 1, store)?;
    Ok(slot)
}

/// Enters that there are `count` files.
pub(in crate::storage) fn write(
    env: &dyn Env,
    names: &Names,
    count: u32,
    store: u64,
) -> Result<(), StoreError> {
    let path = names.roster();
    let draft = unfinished(&path);
    let text = format!("{MARK} {count} {store:016x}");
    let line = format!("{text} {:08x}\n", crc(text.as_bytes()));
    let file = env.open(&draft, OpenMode::Create).doing("create", &draft)?;
    file.write_at(line.as_bytes(), 0).doing("write", &draft)?;
    file.sync().doing("sync", &draft)?;
    env.rename(&draft, &path).doing("rename", &draft)?;
    env.sync_dir(&names.logs()).doing("sync", &names.logs())
}

/// How many files there must be.
pub(in crate::storage) fn read(env: &dyn Env, names: &Names, store: u64) -> Result<u32, StoreError> {
    let path = names.roster();
    let file = match env.open(&path, OpenMode::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let what = "it says how many log files there are".to_owned();
            return Err(StoreError::Missing { path, what });
        }
        opened => opened.doing("open", &path)?,
    };
    let len = file.len().doing("measure", &path)?.min(LINE_MAX);
    let mut octets = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_at(&mut octets, 0).doing("read", &path)?;
    parse(&octets, store).ok_or_else(|| StoreError::corrupt(&path, 0, "this is no count of log files"))
}

fn parse(octets: &[u8], store: u64) -> Option<u32> {
    let line = std::str::from_utf8(octets).ok()?.strip_suffix('\n')?;
    let (text, check) = line.rsplit_once(' ')?;
    let is_sound = check == format!("{:08x}", crc(text.as_bytes()));
    let mut words = text.split(' ');
    let is_ours = words.next()? == MARK;
    let count = words.next()?.parse().ok()?;
    let of = u64::from_str_radix(words.next()?, 16).ok()?;
    (is_sound && is_ours && of == store).then_some(count)
}

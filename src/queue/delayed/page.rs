//! A look at messages that are not due, some at a time; they stay where they are.

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use super::{Delayed, due_of};
use crate::clock::Timestamp;
use crate::message::Message;
use crate::queue::lane::Lane;
use crate::queue::ready::{Entry, Glimpse, Home, Seq};

use super::slot::Slot;

/// A message that is not due.
#[derive(Clone, Debug)]
pub enum Waiting {
    /// In memory.
    Here {
        /// When it is due.
        due: Timestamp,
        /// The message.
        message: Message,
    },
    /// On disk only: where it can be read, for the moment.
    Stored(Lane, Seq, Home),
}

/// Some of a queue's messages that are not due.
#[derive(Clone, Debug, Default)]
pub struct DelayedPage {
    /// The messages: those that are due soon by due time, the rest by stretches of time.
    pub messages: Vec<Waiting>,
    /// Behind the last of them, if there are more.
    pub next: Option<Bookmark>,
    /// How many there are in all.
    pub total: usize,
}

/// Behind which message a look goes on. What has moved on meanwhile is seen twice, or not at all.
///
/// As text it is `near-<due>-<arrival>` or `slot-<height>-<start>-<place>`, moments in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bookmark(Place);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Near(Timestamp, u64),
    Slot(Slot, Seq),
}

impl Delayed {
    /// At most so many messages `after` a bookmark, or from the first one on.
    pub(in crate::queue) fn page(&self, after: Option<Bookmark>, most: usize) -> DelayedPage {
        let mut page = DelayedPage { total: self.len, ..DelayedPage::default() };
        let mut last = None;
        for (place, waiting) in self.near_after(after).chain(self.in_slots_after(after)) {
            if page.messages.len() == most {
                page.next = last;
                break;
            }
            page.messages.push(waiting);
            last = Some(Bookmark(place));
        }
        page
    }

    fn near_after(&self, after: Option<Bookmark>) -> impl Iterator<Item = (Place, Waiting)> {
        let from = match after {
            None => Some(Bound::Unbounded),
            Some(Bookmark(Place::Near(due, arrival))) => Some(Bound::Excluded((due, arrival))),
            Some(Bookmark(Place::Slot(..))) => None,
        };
        let near = from.map(|from| self.near.range((from, Bound::Unbounded)));
        near.into_iter()
            .flatten()
            .map(|(&(due, arrival), (_, entry))| (Place::Near(due, arrival), here(entry)))
    }

    fn in_slots_after(&self, after: Option<Bookmark>) -> impl Iterator<Item = (Place, Waiting)> {
        let begun = match after {
            Some(Bookmark(Place::Slot(slot, seq))) => Some((slot, seq)),
            None | Some(Bookmark(Place::Near(..))) => None,
        };
        let from = begun.map_or(Bound::Unbounded, |(slot, _)| Bound::Included(slot));
        self.slots.range((from, Bound::Unbounded)).flat_map(move |(&slot, level)| {
            let seen = begun.filter(|(known, _)| *known == slot).map_or(Seq::new(0), |(_, seq)| seq);
            level.glimpses_after(seen).map(move |(seq, glimpse)| {
                let waiting = match glimpse {
                    Glimpse::Entry(entry) => here(entry),
                    Glimpse::Cold(home) => Waiting::Stored(slot.lane(), seq, home),
                };
                (Place::Slot(slot, seq), waiting)
            })
        })
    }
}

fn here(entry: &Entry) -> Waiting {
    Waiting::Here { due: due_of(entry), message: entry.message.clone() }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Near(due, arrival) => write!(f, "near-{}-{arrival}", due.as_millis()),
            Place::Slot(slot, seq) => {
                write!(f, "slot-{}-{}-{}", slot.height(), slot.start().as_millis(), seq.get())
            }
        }
    }
}

/// It is no bookmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoBookmark;

impl FromStr for Bookmark {
    type Err = NoBookmark;

    fn from_str(text: &str) -> Result<Self, NoBookmark> {
        let number = |part: &str| part.parse::<u64>().map_err(|_| NoBookmark);
        let parts: Vec<&str> = text.split('-').collect();
        match parts.as_slice() {
            ["near", due, arrival] => {
                Ok(Self(Place::Near(Timestamp::from_millis(number(due)?), number(arrival)?)))
            }
            ["slot", height, start, seq] => {
                let height = u8::try_from(number(height)?).map_err(|_| NoBookmark)?;
                let slot =
                    Slot::starting(Timestamp::from_millis(number(start)?), height).ok_or(NoBookmark)?;
                Ok(Self(Place::Slot(slot, Seq::new(number(seq)?))))
            }
            _ => Err(NoBookmark),
        }
    }
}

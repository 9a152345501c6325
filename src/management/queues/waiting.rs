//! GET `/api/queues/{vhost}/{queue}/delayed`: what waits until it is due, when that is, and why.

use std::sync::Arc;

use axum::extract::State;

use super::{Flags, existing};
use crate::management::answer::{Answer, json};
use crate::management::api::Api;
use crate::management::caller::Caller;
use crate::management::path::Segments;
use crate::management::refusal::Refusal;
use crate::management::view::waiting::WaitingPage;
use crate::queue::Bookmark;

/// Messages of a page; each may have to be read from disk.
const PAGE_SIZE_DEFAULT: usize = 100;
const PAGE_SIZE_MAX: usize = 500;

/// GET `/api/queues/{vhost}/{queue}/delayed?page_size=100&after=...`. There may be millions, which move on while they
/// are looked at: so a page begins where the one before ended, and has no number.
pub(in crate::management) async fn waiting(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    flags: Flags,
) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let name = existing(&session.vhost, &path)?;
    let page = session.waiting(&name, after(&flags)?, page_size(&flags)?)?;
    json(&WaitingPage::new(&page, api.now()))
}

fn after(flags: &Flags) -> Result<Option<Bookmark>, Refusal> {
    let Some(text) = flags.get("after").filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        Refusal::bad_request(format!(
            "after={text} is not the 'next' of a page before; leave it out to begin"
        ))
    })
}

fn page_size(flags: &Flags) -> Result<usize, Refusal> {
    let Some(text) = flags.get("page_size") else { return Ok(PAGE_SIZE_DEFAULT) };
    text.parse().ok().filter(|size| (1..=PAGE_SIZE_MAX).contains(size)).ok_or_else(|| {
        Refusal::bad_request(format!("page_size={text} is not a number from 1 to {PAGE_SIZE_MAX}"))
    })
}

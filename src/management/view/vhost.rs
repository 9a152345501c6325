//! A virtual host.

use std::collections::BTreeMap;

use serde::Serialize;

use super::stats::{Depths, MessageStats, OF_CHANNEL, Rate};
use crate::broker::Vhost as CoreVhost;
use crate::management::api::Api;
use crate::management::rates::{Change, Depth};
use crate::metrics::MessageTally;

/// As in `/api/vhosts`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Vhost<'v> {
    name: &'v str,
    description: &'v str,
    tags: Vec<&'v str>,
    default_queue_type: &'v str,
    protected_from_deletion: bool,
    metadata: Metadata<'v>,
    tracing: bool,
    cluster_state: BTreeMap<&'v str, &'static str>,
    message_stats: MessageStats,
    #[serde(flatten)]
    depths: Depths,
    recv_oct: u64,
    recv_oct_details: Rate,
    send_oct: u64,
    send_oct_details: Rate,
}

#[derive(Debug, Serialize)]
struct Metadata<'v> {
    description: &'v str,
    tags: Vec<&'v str>,
    default_queue_type: &'v str,
}

impl<'v> Vhost<'v> {
    /// `depth` and `tally`: what its queues hold and its channels have counted.
    pub(in crate::management) fn new(
        vhost: &'v CoreVhost,
        depth: Depth,
        tally: MessageTally,
        api: &'v Api,
    ) -> Self {
        let Change { delta, seconds } = api.rates.vhost(&vhost.name);
        let description = if vhost.name.as_str() == "/" { "Default virtual host" } else { "" };
        Self {
            name: vhost.name.as_str(),
            description,
            tags: Vec::new(),
            default_queue_type: "classic",
            protected_from_deletion: false,
            metadata: Metadata { description, tags: Vec::new(), default_queue_type: "classic" },
            tracing: false,
            cluster_state: BTreeMap::from([(api.node.name.as_str(), "running")]),
            message_stats: MessageStats::new(OF_CHANNEL, tally, Change { delta: delta.tally, seconds }),
            depths: Depths::new(depth, Change { delta: delta.depth, seconds }),
            recv_oct: 0,
            recv_oct_details: Rate::default(),
            send_oct: 0,
            send_oct_details: Rate::default(),
        }
    }
}

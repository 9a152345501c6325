//! A virtual host.

use std::collections::BTreeMap;

use serde::Serialize;

use super::stats::{Depths, MessageStats, OF_CHANNEL, Rate};
use crate::broker::{Durability, Vhost as CoreVhost};
use crate::management::api::Api;
use crate::management::rates::{Change, Depth};
use crate::metrics::MessageTally;

/// As in `/api/vhosts`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Vhost<'v> {
    name: &'v str,
    description: String,
    tags: Vec<String>,
    default_queue_type: String,
    /// What confirms promise, whoever has said so.
    durability: &'static str,
    protected_from_deletion: bool,
    metadata: Metadata,
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
struct Metadata {
    description: String,
    tags: Vec<String>,
    default_queue_type: String,
    /// Only what was said of this virtual host.
    durability: Option<&'static str>,
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
        let definition = vhost.definition();
        let default_queue_type = definition.default_queue_type.unwrap_or_else(|| "classic".to_owned());
        Self {
            name: vhost.name.as_str(),
            description: definition.description.clone(),
            tags: definition.tags.clone(),
            default_queue_type: default_queue_type.clone(),
            durability: vhost.durability().name(),
            protected_from_deletion: false,
            metadata: Metadata {
                description: definition.description,
                tags: definition.tags,
                default_queue_type,
                durability: definition.durability.map(Durability::name),
            },
            tracing: vhost.is_tracing(),
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

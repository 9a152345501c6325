//! What answers hold, for the OpenAPI document: the fields of each kind of object. A test holds them to the answers.

use serde_json::{Map, Value, json};

/// Kinds of objects, and their fields: `name:type`, `name:type|null`, and `name?:type` for one that may be missing.
const SCHEMAS: &[(&str, &str)] = &[
    (
        "Binding",
        "source:string vhost:string destination:string destination_type:string routing_key:string arguments:object \
         properties_key:string",
    ),
    (
        "Channel",
        "acks_uncommitted:integer confirm:boolean connection_details:object consumer_count:integer \
         global_prefetch_count:integer idle_since:string message_stats:object messages_unacknowledged:integer \
         messages_uncommitted:integer messages_unconfirmed:integer name:string node:string number:integer \
         prefetch_count:integer state:string transactional:boolean user:string user_who_performed_action:string \
         vhost:string consumer_details?:array",
    ),
    (
        "Connection",
        "auth_mechanism:string channel_max:integer channels:integer client_properties:object connected_at:integer \
         frame_max:integer host:string name:string node:string peer_cert_issuer:string|null \
         peer_cert_subject:string|null peer_cert_validity:string|null peer_host:string peer_port:integer port:integer \
         protocol:string recv_cnt:integer recv_oct:integer recv_oct_details:object send_cnt:integer send_oct:integer \
         send_oct_details:object send_pend:integer ssl:boolean ssl_cipher:string|null ssl_protocol:string|null \
         state:string timeout:integer type:string user:string user_provided_name:string|null \
         user_who_performed_action:string vhost:string",
    ),
    (
        "Consumer",
        "ack_required:boolean active:boolean activity_status:string arguments:object channel_details:object|null \
         consumer_tag:string consumer_timeout:integer|null exclusive:boolean prefetch_count:integer queue:object \
         user:string|null",
    ),
    (
        "Exchange",
        "arguments:object auto_delete:boolean durable:boolean internal:boolean message_stats:object name:string \
         policy:string|null operator_policy:string|null effective_policy_definition:object type:string \
         user_who_performed_action:string vhost:string",
    ),
    (
        "Lease",
        "position:integer delivery_count:integer leased_at:integer held_for:integer expires_at:integer|null \
         consumer_tag:string|null dead:boolean delivery_tag:integer|null channel_details:object|null",
    ),
    ("Limits", "vhost?:string user?:string value:object"),
    (
        "Node",
        "name:string type:string running:boolean being_drained:boolean uptime:integer os_pid:string processors:integer \
         run_queue:integer mem_used:integer mem_limit:integer mem_alarm:boolean disk_free:integer \
         disk_free_limit:integer disk_free_alarm:boolean fd_used:integer fd_total:integer sockets_used:integer \
         sockets_total:integer proc_used:integer proc_total:integer rates_mode:string net_ticktime:integer \
         db_dir:string log_files:array config_files:array enabled_plugins:array applications:array \
         auth_mechanisms:array exchange_types:array contexts:array partitions:array cluster_links:array \
         rabbitmq_version:string lepus_version:string erlang_version:string erlang_full_version:string",
    ),
    (
        "Overview",
        "management_version:string rates_mode:string sample_retention_policies:object exchange_types:array \
         product_version:string product_name:string rabbitmq_version:string lepus_version:string cluster_name:string \
         cluster_tags:object node_tags:object erlang_version:string erlang_full_version:string \
         release_series_support_status:string disable_stats:boolean is_op_policy_updating_enabled:boolean \
         enable_queue_totals:boolean message_stats:object churn_rates:object queue_totals:object object_totals:object \
         statistics_db_event_queue:integer node:string listeners:array contexts:array",
    ),
    ("Permission", "user:string vhost:string configure:string write:string read:string"),
    ("Policy", "vhost:string name:string pattern:string apply-to:string definition:object priority:integer"),
    (
        "Queue",
        "arguments:object auto_delete:boolean consumer_capacity:number consumer_utilisation:number consumers:integer \
         consumer_details?:array durable:boolean effective_policy_definition:object exclusive:boolean \
         exclusive_consumer_tag:string|null idle_since:string leader:string members:array memory:integer \
         message_bytes:integer message_bytes_ready:integer message_stats:object messages:integer \
         messages_details:object messages_delayed:integer messages_delayed_details:object messages_dlx:integer \
         messages_dlx_details:object messages_ready:integer messages_ready_details:object \
         messages_unacknowledged:integer messages_unacknowledged_details:object name:string node:string online:array \
         operator_policy:string|null owner_pid_details?:object policy:string|null \
         single_active_consumer_tag:string|null state:string type:string vhost:string",
    ),
    ("TopicPermission", "user:string vhost:string exchange:string write:string read:string"),
    ("User", "name:string password_hash:string|null hashing_algorithm:string|null tags:array limits:object"),
    (
        "Vhost",
        "name:string description:string tags:array default_queue_type:string durability:string|null \
         protected_from_deletion:boolean metadata:object tracing:boolean cluster_state:object message_stats:object \
         messages:integer messages_details:object messages_delayed:integer messages_delayed_details:object \
         messages_dlx:integer messages_dlx_details:object messages_ready:integer messages_ready_details:object \
         messages_unacknowledged:integer messages_unacknowledged_details:object recv_oct:integer \
         recv_oct_details:object send_oct:integer send_oct_details:object",
    ),
    ("WhoAmI", "name:string tags:array is_internal_user:boolean"),
];

/// Which kind of object a GET of a path answers with: one, or a list of them.
const ANSWERS: &[(&str, &str)] = &[
    ("/overview", "Overview"),
    ("/whoami", "WhoAmI"),
    ("/nodes", "Node"),
    ("/nodes/{node}", "Node"),
    ("/connections", "Connection"),
    ("/connections/{connection}", "Connection"),
    ("/connections/{connection}/channels", "Channel"),
    ("/channels", "Channel"),
    ("/channels/{channel}", "Channel"),
    ("/consumers", "Consumer"),
    ("/consumers/{vhost}", "Consumer"),
    ("/vhosts", "Vhost"),
    ("/vhosts/{vhost}", "Vhost"),
    ("/vhosts/{vhost}/connections", "Connection"),
    ("/vhosts/{vhost}/channels", "Channel"),
    ("/vhosts/{vhost}/permissions", "Permission"),
    ("/vhosts/{vhost}/topic-permissions", "TopicPermission"),
    ("/exchanges", "Exchange"),
    ("/exchanges/{vhost}", "Exchange"),
    ("/exchanges/{vhost}/{exchange}", "Exchange"),
    ("/exchanges/{vhost}/{exchange}/bindings/source", "Binding"),
    ("/exchanges/{vhost}/{exchange}/bindings/destination", "Binding"),
    ("/queues", "Queue"),
    ("/queues/detailed", "Queue"),
    ("/queues/{vhost}", "Queue"),
    ("/queues/{vhost}/{queue}", "Queue"),
    ("/queues/{vhost}/{queue}/bindings", "Binding"),
    ("/queues/{vhost}/{queue}/leases", "Lease"),
    ("/bindings", "Binding"),
    ("/bindings/{vhost}", "Binding"),
    ("/users", "User"),
    ("/users/without-permissions", "User"),
    ("/users/{user}", "User"),
    ("/users/{user}/permissions", "Permission"),
    ("/users/{user}/topic-permissions", "TopicPermission"),
    ("/permissions", "Permission"),
    ("/permissions/{vhost}/{user}", "Permission"),
    ("/topic-permissions", "TopicPermission"),
    ("/topic-permissions/{vhost}/{user}", "TopicPermission"),
    ("/policies", "Policy"),
    ("/policies/{vhost}", "Policy"),
    ("/policies/{vhost}/{name}", "Policy"),
    ("/operator-policies", "Policy"),
    ("/operator-policies/{vhost}", "Policy"),
    ("/operator-policies/{vhost}/{name}", "Policy"),
    ("/vhost-limits", "Limits"),
    ("/vhost-limits/{vhost}", "Limits"),
    ("/user-limits", "Limits"),
    ("/user-limits/{user}", "Limits"),
];

/// All schemas, by name.
pub(super) fn all() -> Map<String, Value> {
    let refusal = ("Refusal", "error:string reason:string");
    SCHEMAS.iter().chain([&refusal]).map(|(name, fields)| ((*name).to_owned(), object(fields))).collect()
}

/// What a GET of this path answers with: one of these, or a list, or a page of a list.
pub(super) fn answer(path: &str, is_list: bool) -> Option<Value> {
    let (_, name) = ANSWERS.iter().find(|(known, _)| *known == path)?;
    let one = json!({ "$ref": format!("#/components/schemas/{name}") });
    if !is_list {
        return Some(one);
    }
    let list = json!({ "type": "array", "items": one });
    let count = json!({ "type": "integer" });
    let page = json!({ "type": "object", "required": ["items"], "properties": {
        "items": list,
        "item_count": count,
        "filtered_count": count,
        "total_count": count,
        "page": count,
        "page_count": count,
        "page_size": count,
    } });
    Some(json!({ "oneOf": [list, page] }))
}

fn object(fields: &str) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, kind) in fields.split_whitespace().filter_map(|field| field.split_once(':')) {
        let kind = match kind.strip_suffix("|null") {
            Some(kind) => json!([kind, "null"]),
            None => json!(kind),
        };
        let (name, is_optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
        properties.insert(name.to_owned(), json!({ "type": kind }));
        required.extend((!is_optional).then_some(name));
    }
    json!({ "type": "object", "required": required, "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::routes;

    #[test]
    fn every_answer_that_is_described_is_one_of_a_route_and_of_a_schema_that_there_are() {
        for (path, schema) in ANSWERS {
            let route = routes::all().find(|route| route.path == *path);
            let has_get = route.is_some_and(|route| route.operations.iter().any(|one| one.method == "get"));
            assert!(has_get, "{path}");
            assert!(SCHEMAS.iter().any(|(name, _)| name == schema), "{schema}");
        }
    }

    #[test]
    fn fields_may_be_null_or_missing_where_it_is_said() {
        let described = object("a:string b?:integer c:array|null");
        assert_eq!(described["required"], json!(["a", "c"]));
        assert_eq!(described["properties"]["b"], json!({ "type": "integer" }));
        assert_eq!(described["properties"]["c"], json!({ "type": ["array", "null"] }));
    }
}

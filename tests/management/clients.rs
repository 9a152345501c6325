//! RabbitMQ's own client for its API, in Rust, against this one.

use crate::http::Broker;
use crate::support::{consume, declare, unique};
use rabbitmq_http_client::api::Client;
use rabbitmq_http_client::commons::{BindingDestinationType, ExchangeType, PolicyTarget, QueueType};
use rabbitmq_http_client::requests::{
    ExchangeParams, GlobalRuntimeParameterDefinition, MessageProperties, PolicyParams, QueueParams,
};
use serde_json::Map;

type Tool = Client<String, &'static str, &'static str>;

fn client(broker: &Broker) -> Tool {
    Client::new(format!("http://{}/api", broker.api), "guest", "guest")
}

#[tokio::test]
async fn it_reads_facts() {
    let broker = Broker::start().await;
    let client = client(&broker);
    assert_eq!(client.server_version().await.unwrap(), "4.0.5");
    assert!(client.get_cluster_name().await.unwrap().name.starts_with("lepus@"));
    assert_eq!(client.current_user().await.unwrap().name, "guest");
    let node = client.list_nodes().await.unwrap().remove(0);
    client.get_node_info(&node.name).await.unwrap();
    client.get_node_memory_footprint(&node.name).await.unwrap();
    assert!(client.list_feature_flags().await.unwrap().contains("stream_queue"));
    assert!(client.list_all_deprecated_features().await.unwrap().is_empty());
    client.health_check_cluster_wide_alarms().await.unwrap();
    client.health_check_local_alarms().await.unwrap();
    client.health_check_if_node_is_quorum_critical().await.unwrap();
    client.health_check_port_listener(broker.app.local_addr().port()).await.unwrap();
    assert!(client.health_check_port_listener(1).await.is_err());
    assert_eq!(client.overview().await.unwrap().rabbitmq_version, "4.0.5");
}

#[tokio::test]
async fn it_declares_binds_publishes_gets_and_deletes() {
    let broker = Broker::start().await;
    let client = client(&broker);
    let arguments = Some(Map::from_iter([("x-max-length".to_owned(), 5.into())]));
    client.declare_queue("/", &QueueParams::new_durable_classic_queue("q", arguments)).await.unwrap();
    client.declare_exchange("/", &ExchangeParams::durable("e", ExchangeType::Topic, None)).await.unwrap();
    client.bind_queue("/", "q", "e", Some("a.#"), None).await.unwrap();
    let bindings = client.list_queue_bindings("/", "q").await.unwrap();
    assert_eq!(bindings.len(), 2);
    let properties = MessageProperties::default();
    let routed = client.publish_message("/", "e", "a.b", "hello", properties).await.unwrap();
    assert!(routed.routed);
    let messages = client.get_messages("/", "q", 1, "ack_requeue_false").await.unwrap();
    assert_eq!(messages[0].payload, "hello");
    let queue = client.get_queue_info("/", "q").await.unwrap();
    assert_eq!((queue.queue_type.as_str(), queue.durable), ("classic", true));
    client.purge_queue("/", "q").await.unwrap();
    client.bind_exchange("/", "amq.fanout", "e", None, None).await.unwrap();
    let to = client.list_exchange_bindings_with_destination("/", "amq.fanout").await.unwrap();
    assert_eq!((to.len(), &to[0].destination_type), (1, &BindingDestinationType::Exchange));
    client.delete_exchange("/", "e", false).await.unwrap();
    client.delete_queue("/", "q", false).await.unwrap();
    assert!(client.list_queues().await.unwrap().is_empty());
    assert_eq!(QueueType::from("quorum"), QueueType::Quorum);
}

#[tokio::test]
async fn it_sets_policies_and_parameters() {
    let broker = Broker::start().await;
    let client = client(&broker);
    let definition = Map::from_iter([("max-length".to_owned(), 5.into())]);
    let mut policy = PolicyParams::new("/", "p", "^q", definition.clone());
    policy.apply_to = PolicyTarget::Queues;
    client.declare_policy(&policy).await.unwrap();
    client.declare_operator_policy(&policy).await.unwrap();
    assert_eq!(client.get_policy("/", "p").await.unwrap().apply_to, PolicyTarget::Queues);
    assert_eq!(client.list_operator_policies_in("/").await.unwrap()[0].pattern, "^q");
    let parameters = client.list_runtime_parameters().await.unwrap();
    assert_eq!((parameters[0].component.as_str(), parameters[0].name.as_str()), ("operator_policy", "p"));
    client.delete_policy("/", "p", false).await.unwrap();
    client.delete_operator_policy("/", "p", false).await.unwrap();
    assert!(client.list_policies().await.unwrap().is_empty());
    let global = GlobalRuntimeParameterDefinition { name: "tags", value: definition };
    client.upsert_global_runtime_parameter(&global).await.unwrap();
    assert_eq!(client.list_global_runtime_parameters().await.unwrap()[0].name, "tags");
    client.clear_global_runtime_parameter("tags").await.unwrap();
    assert!(client.list_global_runtime_parameters().await.unwrap().is_empty());
}

#[tokio::test]
async fn it_lists_and_closes_connections() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("q");
    peer.call(1, declare(&queue)).await;
    peer.call(1, consume(&queue, "tag")).await;
    let client = client(&broker);
    let connections = client.list_connections().await.unwrap();
    assert_eq!(connections[0].client_properties.connection_name, "dialogue");
    assert_eq!(client.list_channels().await.unwrap()[0].consumer_count, 1);
    let consumers = client.list_consumers().await.unwrap();
    assert_eq!(
        (consumers[0].consumer_tag.as_str(), consumers[0].queue.name.as_str()),
        ("tag", queue.as_str())
    );
    client.close_connection(&connections[0].name, Some("enough"), false).await.unwrap();
    let close = peer.expect(0, "connection.close").await;
    assert_eq!(close.text("reply-text"), "CONNECTION_FORCED - enough");
}

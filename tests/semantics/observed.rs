//! What an operator sees of connections, channels and queues, and how a connection is closed from outside.

use crate::support::{Broker, ack, confirm_select, consume, declare, publish, qos, unique};

#[tokio::test]
async fn a_connection_is_listed_as_soon_as_it_is_open_and_until_it_ends() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let connections = &broker.app().unwrap().broker().connections;
    let peer = broker.channel().await;
    let entry = connections.list().remove(0);
    assert_eq!(entry.client_name(), Some("dialogue"));
    assert_eq!((entry.facts.user.as_str(), entry.facts.vhost.as_str()), ("guest", "/"));
    assert_eq!((entry.facts.mechanism.as_str(), entry.channel_count()), ("PLAIN", 1));
    assert!(entry.traffic().received > 0 && entry.traffic().sent > 0);
    assert!(connections.named(&entry.name()).is_some());
    peer.close().await;
    assert!(connections.is_empty());
    let churn = connections.churn();
    assert_eq!((churn.connections_opened, churn.connections_closed), (1, 1));
    assert_eq!((churn.channels_opened, churn.channels_closed), (1, 1));
}

#[tokio::test]
async fn a_connection_closed_by_an_operator_gets_320_with_the_reason() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let connections = &broker.app().unwrap().broker().connections;
    connections.list()[0].close("tidying up".to_owned());
    let close = peer.expect(0, "connection.close").await;
    assert_eq!(close.number("reply-code"), 320);
    assert_eq!(close.text("reply-text"), "CONNECTION_FORCED - tidying up");
}

#[tokio::test]
async fn what_happens_to_messages_is_counted_where_it_happens() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let broker_itself = broker.app().unwrap().broker();
    let mut peer = broker.channel().await;
    let queue = unique("counted");
    peer.call(1, declare(&queue)).await;
    peer.call(1, qos(5)).await;
    peer.call(1, confirm_select()).await;
    for key in [queue.as_str(), queue.as_str(), "nowhere"] {
        peer.publish(1, publish("", key, "x")).await;
        peer.expect(1, "basic.ack").await;
    }
    peer.expect_get(1, &queue, "x").await;
    peer.call(1, consume(&queue, "c")).await;
    let delivery = peer.expect_delivery(1, "x").await;
    peer.send(1, ack(delivery.delivery_tag())).await;
    peer.expect_empty(1, &queue).await;
    // Counts are told at the end of a batch: an answer to the next one comes after that.
    peer.call(1, qos(5)).await;

    let entry = broker_itself.connections.list().remove(0);
    let (_, channel) = entry.channels().remove(0);
    let report = channel.report();
    assert_eq!((report.prefetch, report.consumers, report.unacked), (5, 1, 1));
    assert!(report.confirms && report.unconfirmed == 0);
    let tally = channel.tally();
    assert_eq!((tally.publish, tally.confirm, tally.publish_out, tally.drop_unroutable), (3, 3, 2, 1));
    assert_eq!((tally.deliver, tally.get, tally.get_empty, tally.ack), (1, 1, 1, 1));
    let vhost = broker_itself.vhost("/").unwrap();
    let of_queue = vhost.queue(&queue).unwrap().report();
    assert_eq!((of_queue.counts.leased, of_queue.counts.consumers), (1, 1));
    assert_eq!((of_queue.tally.publish, of_queue.tally.deliver, of_queue.tally.ack), (2, 1, 1));
    let of_exchange = vhost.exchange("").unwrap().tally.load();
    assert_eq!((of_exchange.publish_in, of_exchange.publish_out), (3, 2));

    let leases = vhost.queue(&queue).unwrap().leases();
    let (held, more) = channel.held_of(vhost.queue(&queue).unwrap().id, lepus_protocol::DeliveryTag::ALL, 10);
    assert_eq!((leases[0].seq, leases[0].deliveries), (held[0].lease.seq, 1));
    assert_eq!((held[0].tag.get(), more), (1, None));
    peer.close().await;
    assert_eq!(
        broker_itself.connections.tallies()["/"],
        tally,
        "what an ended connection counted still counts"
    );
}

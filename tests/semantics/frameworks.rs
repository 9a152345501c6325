//! What well-known frameworks declare, and that messages find their way through it.

use crate::support::*;

/// Levels of Celery's and NServiceBus's delayed delivery: one for each bit of a delay.
const LEVELS: u32 = 28;

/// Where a message has been through all levels.
const DELIVERY: &str = "celery_delayed_delivery";

fn level(number: u32) -> String {
    format!("celery_delayed_{number}")
}

fn durable_exchange(name: &str, kind: &str) -> Method {
    declare_exchange(name, kind).flag("durable")
}

/// A lattice of 28 levels as kombu declares it: at each a message either waits in a queue for 2^level units or goes on
/// at once, as the next bit in its key says. The unit is a millisecond here, so that nobody waits.
async fn delayed_delivery(peer: &mut Peer) {
    peer.call(1, durable_exchange(DELIVERY, "topic")).await;
    for number in (0..LEVELS).rev() {
        let next = if number > 0 { level(number - 1) } else { DELIVERY.to_owned() };
        let queue = declare(&level(number))
            .flag("durable")
            .arg("x-queue-type", "quorum")
            .arg("x-overflow", "reject-publish")
            .arg("x-dead-letter-strategy", "at-least-once")
            .arg("x-dead-letter-exchange", &next)
            .arg("x-message-ttl", 1_i64 << number);
        peer.call(1, durable_exchange(&level(number), "topic")).await;
        peer.call(1, queue).await;
        let wildcards = "*.".repeat((LEVELS - 1 - number) as usize);
        peer.call(1, bind(&level(number), &level(number), &format!("{wildcards}1.#"))).await;
    }
    for number in (0..LEVELS).rev() {
        let next = if number > 0 { level(number - 1) } else { DELIVERY.to_owned() };
        let wildcards = "*.".repeat((LEVELS - 1 - number) as usize);
        peer.call(1, bind_exchange(&next, &level(number), &format!("{wildcards}0.#"))).await;
    }
}

/// The key of a message that is to wait for so many units and then to be routed by `key`.
fn delayed_key(units: u32, key: &str) -> String {
    let bits: String = (0..LEVELS).rev().map(|bit| format!("{}.", (units >> bit) & 1)).collect();
    bits + key
}

#[tokio::test]
async fn celery_s_delayed_delivery_brings_a_message_through_all_its_levels() {
    let broker = Broker::start_with(|_| ()).await;
    let Some(broker) = broker else { return };
    let mut peer = broker.channel().await;
    delayed_delivery(&mut peer).await;
    // Every worker declares all of it again.
    delayed_delivery(&mut peer).await;
    peer.call(1, declare("celery").flag("durable").arg("x-queue-type", "quorum")).await;
    peer.call(1, bind("celery", DELIVERY, "#.celery")).await;
    peer.call(1, confirm_select()).await;
    peer.call(1, consume("celery", "worker").flag("no-ack")).await;
    // Without a bit set it never waits; 13 is three queues, one after the other.
    for (number, units) in [(1, 0), (2, 13)] {
        let task = publish(&level(LEVELS - 1), &delayed_key(units, "celery"), "task");
        peer.publish(1, task.property("delivery-mode", 2)).await;
        let mut confirmed = false;
        let mut delivered = None;
        while !confirmed || delivered.is_none() {
            let method = peer.expect_method(1).await;
            match method.name {
                "basic.ack" => confirmed = method.number("delivery-tag") == number,
                _ => delivered = Some(peer.finish_content(1, method).await),
            }
        }
        let deaths = delivered.unwrap().headers();
        peer.same("died on the way", &deaths.get("x-death").is_some(), &(units > 0));
        if units > 0 {
            let first = deaths.get("x-first-death-queue").unwrap().text();
            peer.same("first level", &first, &level(3));
            peer.same("last level", &deaths.get("x-last-death-queue").unwrap().text(), &level(0));
        }
    }
}

/// A worker keeps tasks that are for later, and asks for one more each time so that it has something to do meanwhile.
#[tokio::test]
async fn celery_s_tasks_with_a_time_are_held_while_the_prefetch_grows_and_shrinks() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("celery");
    peer.call(1, declare(&q).flag("durable")).await;
    let task = |body: &str| publish("", &q, body).property("delivery-mode", 2);
    for body in ["at five", "first", "second", "third"] {
        peer.publish(1, task(body).header("eta", "2026-01-01T17:00:00")).await;
    }
    // Another channel looks on: the counts of its own would come behind its deliveries.
    let mut looking = broker.channel().await;
    peer.call(1, qos(2).flag("global")).await;
    peer.call(1, consume(&q, "worker")).await;
    let at_five = peer.expect_delivery(1, "at five").await;
    let first = peer.expect_delivery(1, "first").await;
    looking.expect_counts(1, &q, 2, 1).await;
    peer.send(1, qos(3).flag("global")).await;
    // What the answer lets through may come before or behind it.
    let mut second = None;
    for _ in 0..2 {
        let method = peer.expect_method(1).await;
        match method.name {
            "basic.qos-ok" => {}
            _ => second = Some(peer.finish_content(1, method).await),
        }
    }
    let second = second.unwrap();
    peer.same("body", &second.body.as_slice(), &&b"second"[..]);
    looking.expect_counts(1, &q, 1, 1).await;
    peer.send(1, ack(first.delivery_tag())).await;
    let third = peer.expect_delivery(1, "third").await;
    // Its time has come, and the worker wants no more than before.
    peer.send(1, ack(at_five.delivery_tag())).await;
    peer.call(1, qos(2).flag("global")).await;
    peer.publish(1, task("fourth")).await;
    looking.eventually_counts(1, &q, 1, 1).await;
    for done in [&second, &third] {
        peer.send(1, ack(done.delivery_tag())).await;
    }
    peer.expect_delivery(1, "fourth").await;
    // A worker that is lost has held it in vain.
    peer.call(1, close_channel()).await;
    let fourth = looking.expect_get(1, &q, "fourth").await;
    looking.same("redelivered", &fourth.redelivered(), &true);
    looking.call(1, delete(&q)).await;
}

#[tokio::test]
async fn kombu_s_pidbox_broadcasts_and_collects_replies() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (requests, replies) = (unique("celery.pidbox"), unique("reply.celery.pidbox"));
    peer.call(1, declare_exchange(&requests, "fanout").flag("auto-delete")).await;
    peer.call(1, declare_exchange(&replies, "direct").flag("auto-delete")).await;
    let mailbox = |name: &str| {
        let queue = declare(name).flag("auto-delete").arg("x-expires", 10_000_i64);
        queue.arg("x-message-ttl", 300_000_i64)
    };
    let workers = [unique("one.celery.pidbox"), unique("two.celery.pidbox")];
    for worker in &workers {
        peer.call(1, mailbox(worker)).await;
        peer.call(1, bind(worker, &requests, "")).await;
        peer.call(1, consume(worker, worker).flag("no-ack")).await;
    }
    let ticket = unique("ticket");
    let inbox = unique("inbox.reply.celery.pidbox");
    let mut caller = broker.channel().await;
    caller.call(1, mailbox(&inbox)).await;
    caller.call(1, bind(&inbox, &replies, &ticket)).await;
    caller.call(1, consume(&inbox, "inbox").flag("no-ack")).await;
    caller.publish(1, publish(&requests, "", "ping").header("ticket", &ticket)).await;
    for _ in &workers {
        let request = peer.expect_delivery(1, "ping").await;
        let ticket = request.headers().get("ticket").unwrap().text();
        peer.publish(1, publish(&replies, &ticket, "pong")).await;
    }
    for _ in &workers {
        caller.expect_delivery(1, "pong").await;
    }
}

#[tokio::test]
async fn laravel_s_delay_queue_passes_on_to_the_queue_that_is_polled() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("default");
    let delay = format!("{q}.delay.20");
    peer.call(1, declare(&q).flag("durable").arg("x-max-priority", 10)).await;
    let delayed = declare(&delay)
        .flag("durable")
        .arg("x-dead-letter-exchange", "")
        .arg("x-dead-letter-routing-key", &q)
        .arg("x-message-ttl", 20)
        // The queue goes with its last message: twice the time to live, more here for slow machines.
        .arg("x-expires", 60_000);
    peer.call(1, delayed).await;
    peer.publish(1, publish("", &delay, "job").property("delivery-mode", 2)).await;
    peer.eventually_counts(1, &q, 1, 0).await;
    let job = peer.expect_get(1, &q, "job").await;
    peer.same("x-death", &job.headers().get("x-first-death-reason").unwrap().text().as_str(), &"expired");
    peer.send(1, ack(job.delivery_tag())).await;
    // The size is asked passively.
    peer.expect_counts(1, &q, 0, 0).await;
    peer.call(1, delete(&delay)).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn masstransit_s_exchanges_per_type_lead_to_endpoints_and_their_error_queues() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (kind, base) = (unique("Shop:OrderSubmitted"), unique("Shop:IMessage"));
    let endpoint = unique("order-processing");
    let (error, skipped) = (format!("{endpoint}_error"), format!("{endpoint}_skipped"));
    for name in [&kind, &base, &endpoint, &error, &skipped] {
        peer.call(1, durable_exchange(name, "fanout")).await;
    }
    for name in [&endpoint, &error, &skipped] {
        peer.call(1, declare(name).flag("durable")).await;
        peer.call(1, bind(name, name, "")).await;
    }
    peer.call(1, bind_exchange(&base, &kind, "")).await;
    peer.call(1, bind_exchange(&endpoint, &base, "")).await;
    // Also bound directly: one copy all the same.
    peer.call(1, bind_exchange(&endpoint, &kind, "")).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish(&kind, "", "order").flag("mandatory")).await;
    peer.expect_confirm(1, 1).await;
    let order = peer.expect_get(1, &endpoint, "order").await;
    peer.expect_empty(1, &endpoint).await;
    // What fails is moved by hand, with the reason in its headers.
    peer.publish(1, publish(&error, "", "order").header("MT-Fault-Message", "no such customer")).await;
    peer.expect_confirm(1, 2).await;
    peer.send(1, ack(order.delivery_tag())).await;
    peer.expect_get(1, &error, "order").await;
    peer.expect_counts(1, &skipped, 0, 0).await;
    for name in [&endpoint, &error, &skipped] {
        peer.call(1, delete(name)).await;
    }
    for name in [&kind, &base, &endpoint, &error, &skipped] {
        peer.call(1, delete_exchange(name)).await;
    }
}

/// Redelivery of what failed, over an exchange that delays; and an endpoint that one consumer at a time serves.
#[tokio::test]
async fn masstransit_s_redelivery_waits_in_a_delayed_exchange() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let endpoint = unique("order-processing");
    let delay = format!("{endpoint}_delay");
    peer.call(1, durable_exchange(&endpoint, "fanout")).await;
    let delayed = durable_exchange(&delay, "x-delayed-message").arg("x-delayed-type", "fanout");
    peer.call(1, delayed).await;
    let method = declare(&endpoint).flag("durable").arg("x-queue-type", "quorum");
    peer.call(1, method.arg("x-single-active-consumer", true)).await;
    peer.call(1, bind(&endpoint, &endpoint, "")).await;
    peer.call(1, bind_exchange(&endpoint, &delay, "")).await;
    peer.call(1, confirm_select()).await;
    for tag in ["active", "standby"] {
        peer.call(1, consume(&endpoint, tag)).await;
    }
    peer.publish(1, publish(&endpoint, "", "order").property("delivery-mode", 2)).await;
    let mut order = None;
    for _ in 0..2 {
        let method = peer.expect_method(1).await;
        match method.name {
            "basic.ack" => {}
            _ => order = Some(peer.finish_content(1, method).await),
        }
    }
    let order = order.unwrap();
    let again = publish(&delay, "", "order").property("delivery-mode", 2).header("x-delay", 20);
    peer.publish(1, again.header("MT-Redelivery-Count", 1)).await;
    peer.expect_confirm(1, 2).await;
    peer.send(1, ack(order.delivery_tag())).await;
    let order = peer.expect_delivery(1, "order").await;
    peer.same("consumer", &order.method.text("consumer-tag").as_str(), &"active");
    peer.same("first time", &order.redelivered(), &false);
    let headers = order.headers();
    peer.same("count", &headers.get("MT-Redelivery-Count"), &Some(&Value::from(1)));
    // Who publishes it again with these headers asks for no delay.
    peer.same("x-delay", &headers.get("x-delay"), &Some(&Value::from(-20)));
}

#[tokio::test]
async fn nestjs_s_requests_are_answered_by_direct_reply_to() {
    let broker = Broker::start().await;
    let mut server = broker.channel().await;
    let requests = unique("requests");
    server.call(1, declare(&requests)).await;
    server.call(1, qos(0).flag("global")).await;
    server.call(1, consume(&requests, "server").flag("no-ack")).await;
    let mut client = broker.channel().await;
    client.call(1, passive("amq.rabbitmq.reply-to")).await;
    client.call(1, passive(&requests)).await;
    client.call(1, consume("amq.rabbitmq.reply-to", "replies").flag("no-ack")).await;
    let request = publish("", &requests, "question").property("reply-to", "amq.rabbitmq.reply-to");
    client.publish(1, request.property("correlation-id", "1")).await;
    let request = server.expect_delivery(1, "question").await;
    let address = request.properties.get("reply-to").unwrap().text();
    // Is the one who asked still there?
    server.call(1, passive(&address)).await;
    server.publish(1, publish("", &address, "answer").property("correlation-id", "1")).await;
    let answer = client.expect_delivery(1, "answer").await;
    client.same("correlation-id", &answer.properties.get("correlation-id").unwrap().text().as_str(), &"1");
    server.call(1, delete(&requests)).await;
}

"""Deliveries: acknowledging, requeueing, prefetch, cancelling, and who gets what."""

import pytest
from steps import get, is_empty, publish, refused, take, wait_until


def collect(channel, queue, **options):
    """Start a consumer; the returned list grows with (method, properties, body)."""
    deliveries = []
    tag = channel.basic_consume(queue, lambda _, *delivery: deliveries.append(delivery), **options)
    return tag, deliveries


def bodies(deliveries):
    return [body for _, _, body in deliveries]


def test_messages_arrive_in_order_with_counting_tags(connection, channel, queue):
    _, deliveries = collect(channel, queue)
    sent = [str(n).encode() for n in range(500)]
    publish(channel, queue, *sent)
    wait_until(connection, lambda: len(deliveries) == 500)
    assert bodies(deliveries) == sent
    assert [method.delivery_tag for method, _, _ in deliveries] == list(range(1, 501))


def test_deliveries_say_where_they_come_from(connection, channel, queue):
    tag, deliveries = collect(channel, queue, consumer_tag="my-tag")
    channel.queue_bind(queue, "amq.topic", "from.#")
    publish(channel, "from.here", b"", exchange="amq.topic")
    wait_until(connection, lambda: deliveries)
    method = deliveries[0][0]
    assert tag == method.consumer_tag == "my-tag"
    assert (method.exchange, method.routing_key, method.redelivered) == ("amq.topic", "from.here", False)


def test_get_reports_what_remains(channel, queue):
    channel.confirm_delivery()
    publish(channel, queue, b"1", b"2", b"3")
    assert channel.basic_get(queue)[0].message_count == 2
    assert channel.basic_get(queue)[0].message_count == 1


def test_get_from_an_empty_queue_is_get_empty(channel, queue):
    assert channel.basic_get(queue) == (None, None, None)


def test_nack_with_requeue_redelivers_at_the_head(channel, queue):
    publish(channel, queue, b"1", b"2", b"3")
    first = get(channel, queue)[0]
    assert not first.redelivered
    channel.basic_nack(first.delivery_tag, requeue=True)
    method, _, body = get(channel, queue)
    assert (method.redelivered, body) == (True, b"1")


def test_requeued_messages_return_to_their_places(channel, queue):
    publish(channel, queue, b"1", b"2", b"3", b"4")
    tags = [get(channel, queue)[0].delivery_tag for _ in range(3)]
    channel.basic_ack(tags[1])
    channel.basic_nack(tags[2], requeue=True)
    channel.basic_reject(tags[0], requeue=True)
    assert take(channel, queue, 3) == [b"1", b"3", b"4"]


def test_reject_without_requeue_drops(channel, queue):
    publish(channel, queue, b"1", b"2")
    channel.basic_reject(get(channel, queue)[0].delivery_tag, requeue=False)
    assert take(channel, queue, 1) == [b"2"]
    assert is_empty(channel, queue)


@pytest.mark.parametrize("multiple_tag", [3, 0], ids=["up-to-tag", "all"])
def test_ack_multiple_acknowledges_all_up_to_the_tag(connection, channel, queue, multiple_tag):
    publish(channel, queue, b"1", b"2", b"3")
    for _ in range(3):
        get(channel, queue)
    channel.basic_ack(multiple_tag, multiple=True)
    channel.basic_recover(requeue=True)
    assert is_empty(channel, queue)


def test_nack_multiple_requeues_all_up_to_the_tag(channel, queue):
    publish(channel, queue, b"1", b"2", b"3")
    tags = [get(channel, queue)[0].delivery_tag for _ in range(3)]
    channel.basic_nack(tags[1], multiple=True, requeue=True)
    assert take(channel, queue, 2) == [b"1", b"2"]


@pytest.mark.parametrize("settle", ["basic_ack", "basic_nack", "basic_reject"])
def test_unknown_delivery_tag_closes_the_channel(channel, settle):
    getattr(channel, settle)(5)
    with refused(406, "^PRECONDITION_FAILED - unknown delivery tag 5$"):
        channel.queue_declare("", exclusive=True)


def test_second_ack_closes_the_channel(channel, queue):
    publish(channel, queue, b"1")
    tag = get(channel, queue)[0].delivery_tag
    channel.basic_ack(tag)
    channel.basic_ack(tag)
    with refused(406, f"unknown delivery tag {tag}"):
        channel.queue_declare("", exclusive=True)


def test_closing_the_channel_requeues_the_unacknowledged(connection, channel, queue):
    other = connection.channel()
    publish(other, queue, b"1", b"2")
    get(other, queue), get(other, queue)
    other.close()
    assert [(method.redelivered, body) for method, _, body in (get(channel, queue), get(channel, queue))] == [
        (True, b"1"), (True, b"2")]


def test_recover_redelivers_to_the_consumer(connection, channel, queue):
    _, deliveries = collect(channel, queue)
    publish(channel, queue, b"1")
    wait_until(connection, lambda: len(deliveries) == 1)
    channel.basic_recover(requeue=True)
    wait_until(connection, lambda: len(deliveries) == 2)
    assert deliveries[1][0].redelivered


def test_prefetch_limits_the_unacknowledged(connection, channel, queue):
    channel.basic_qos(prefetch_count=2)
    publish(channel, queue, b"1", b"2", b"3", b"4")
    _, deliveries = collect(channel, queue)
    wait_until(connection, lambda: len(deliveries) == 2)
    # A round trip on the channel: a third delivery would have come before its answer.
    assert channel.queue_declare(queue, passive=True).method.message_count == 2
    connection.process_data_events(0)
    assert len(deliveries) == 2
    channel.basic_ack(deliveries[1][0].delivery_tag, multiple=True)
    wait_until(connection, lambda: len(deliveries) == 4)


def test_global_prefetch_is_shared_by_the_channels_consumers(connection, channel, queue):
    # RabbitMQ deprecates this since 4.3; Lepus keeps it.
    channel.basic_qos(prefetch_count=3, global_qos=True)
    _, first = collect(channel, queue)
    _, second = collect(channel, queue)
    publish(channel, queue, *[b"x"] * 10)
    wait_until(connection, lambda: len(first) + len(second) == 3)
    channel.queue_declare(queue, passive=True)
    connection.process_data_events(0)
    assert len(first) + len(second) == 3


def test_raising_the_global_prefetch_resumes_delivery(connection, channel, queue):
    # Celery raises its prefetch by one for each task that waits for its time.
    channel.basic_qos(prefetch_count=1, global_qos=True)
    _, deliveries = collect(channel, queue)
    publish(channel, queue, b"1", b"2", b"3")
    wait_until(connection, lambda: len(deliveries) == 1)
    channel.basic_qos(prefetch_count=3, global_qos=True)
    wait_until(connection, lambda: len(deliveries) == 3)


def test_new_prefetch_leaves_existing_consumers_alone(connection, channel, queue):
    channel.basic_qos(prefetch_count=1)
    _, first = collect(channel, queue)
    channel.basic_qos(prefetch_count=3)
    _, second = collect(channel, queue)
    publish(channel, queue, *[b"x"] * 10)
    wait_until(connection, lambda: (len(first), len(second)) == (1, 3))


def test_prefetch_does_not_limit_automatic_acknowledgement(connection, channel, queue):
    channel.basic_qos(prefetch_count=1)
    _, deliveries = collect(channel, queue, auto_ack=True)
    publish(channel, queue, *[b"x"] * 10)
    wait_until(connection, lambda: len(deliveries) == 10)


def test_consumers_take_turns(connection, channel, queue):
    _, first = collect(channel, queue)
    _, second = collect(channel, queue)
    publish(channel, queue, *[b"x"] * 10)
    wait_until(connection, lambda: len(first) + len(second) == 10)
    assert len(first) == len(second) == 5


def test_consumer_with_higher_priority_goes_first(connection, channel, queue):
    _, low = collect(channel, queue)
    _, high = collect(channel, queue, arguments={"x-priority": 10})
    publish(channel, queue, *[b"x"] * 5)
    wait_until(connection, lambda: len(low) + len(high) == 5)
    assert len(high) == 5


def test_generated_consumer_tags_are_unique(channel, queue):
    # pika makes its own tag when none is given, so ask for the broker's through the wire method.
    from pika import spec
    answers = [
        channel._impl  # noqa: SLF001 - the blocking adapter has no public way to send an empty tag
    ]
    answers[0]._rpc(spec.Basic.Consume(queue=queue, consumer_tag=""), answers.append, [spec.Basic.ConsumeOk])
    wait_until(channel.connection, lambda: len(answers) == 2)
    assert answers[1].method.consumer_tag.startswith("amq.ctag-")


def test_cancel_does_not_requeue(connection, channel, queue):
    tag, deliveries = collect(channel, queue)
    publish(channel, queue, b"held")
    wait_until(connection, lambda: deliveries)
    # The blocking adapter would reject what it has not handed out; all deliveries have been.
    channel.basic_cancel(tag)
    assert is_empty(channel, queue)
    channel.basic_ack(deliveries[0][0].delivery_tag)
    channel.queue_declare(queue, passive=True)


def test_deleting_the_queue_cancels_its_consumers(connection, channel, queue):
    cancelled = []
    channel.add_on_cancel_callback(cancelled.append)
    tag, _ = collect(channel, queue)
    connection.channel().queue_delete(queue)
    wait_until(connection, lambda: cancelled)
    assert cancelled[0].method.consumer_tag == tag


def test_exclusive_consumer_keeps_others_out(connection, channel, queue):
    collect(channel, queue, exclusive=True)
    with refused(403, f"^ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use$"):
        collect(connection.channel(), queue)


def test_single_active_consumer_hands_over(connection, channel, name):
    channel.queue_declare(name, exclusive=True, arguments={"x-single-active-consumer": True})
    tag, first = collect(channel, name, auto_ack=True)
    _, second = collect(channel, name, auto_ack=True)
    publish(channel, name, b"1", b"2")
    wait_until(connection, lambda: len(first) == 2)
    channel.basic_cancel(tag)
    publish(channel, name, b"3")
    wait_until(connection, lambda: bodies(second) == [b"3"])


def test_consuming_a_missing_queue_is_not_found(channel):
    with refused(404, "no queue 'interop.missing' in vhost '/'"):
        channel.basic_consume("interop.missing", lambda *_: None)


def test_consume_generator_yields_and_ends_when_idle(channel, queue):
    publish(channel, queue, b"1", b"2")
    seen = []
    for method, _, body in channel.consume(queue, inactivity_timeout=1):
        if method is None:
            break
        seen.append(body)
        channel.basic_ack(method.delivery_tag)
    assert seen == [b"1", b"2"]
    assert channel.cancel() == 0

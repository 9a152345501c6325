"""What a message carries, and what the publisher is told about it."""

import datetime
from decimal import Decimal

import pika
import pytest
from steps import get, is_empty, publish, refused, take, wait_until

MEBIBYTE = 1024 * 1024


def test_every_property_arrives_as_sent(channel, queue):
    sent = {
        "content_type": "application/json", "content_encoding": "gzip", "headers": {"a": 1}, "delivery_mode": 2,
        "priority": 7, "correlation_id": "correlation", "reply_to": "reply.to", "expiration": "60000",
        "message_id": "message", "timestamp": 1_700_000_000, "type": "a.type", "user_id": "guest",
        "app_id": "application", "cluster_id": "cluster",
    }
    publish(channel, queue, b"body", **sent)
    _, properties, _ = get(channel, queue)
    assert {field: getattr(properties, field) for field in sent} == sent


def test_absent_properties_stay_absent(channel, queue):
    publish(channel, queue, b"")
    _, properties, body = get(channel, queue)
    assert body == b""
    assert all(value is None for value in vars(properties).values())


@pytest.mark.parametrize("value", [
    True, False, 0, -1, 2**31 - 1, -2**31, 2**63 - 1, -2**63, "", "text", "umlaut ä and 兎", "x" * 70_000,
    None, Decimal("3.14"), datetime.datetime(2024, 2, 29, 12, 0, 0, tzinfo=datetime.timezone.utc),
    {}, {"nested": {"deeper": [1, "two", None, {"three": 3}]}}, [], [True, 1, "x", [2]], b"\x00\xff\x80",
], ids=lambda value: f"{type(value).__name__}-{str(value)[:12]}")
def test_header_values_arrive_as_sent(channel, queue, value):
    publish(channel, queue, b"", headers={"value": value})
    received = get(channel, queue)[1].headers["value"]
    # pika reads timestamps and byte arrays back without a time zone and as bytes respectively.
    if isinstance(received, datetime.datetime):
        received = received.replace(tzinfo=datetime.timezone.utc)
    assert received == value
    # pika has a subclass of its own for 64-bit integers.
    assert isinstance(received, type(value))


def test_headers_keep_their_order(channel, queue):
    names = [f"h{n}" for n in (5, 3, 9, 1)]
    publish(channel, queue, b"", headers={name: name for name in names})
    assert list(get(channel, queue)[1].headers) == names


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, MEBIBYTE, 10 * MEBIBYTE], ids=lambda n: f"{n}-bytes")
def test_bodies_of_any_size_arrive_whole(channel, queue, size):
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    publish(channel, queue, body)
    assert get(channel, queue)[2] == body


def test_body_larger_than_the_limit_is_refused(channel, queue):
    # The limit of RabbitMQ 4.0 is 16 MiB; that of 3.10 is 128 MiB.
    if channel.connection._impl.server_properties["version"].startswith("3."):
        pytest.skip("RabbitMQ before 4.0 has a larger limit")
    with refused(406, "message size 16777217 is larger than (max size|configured max size) 16777216"):
        channel.basic_publish("", queue, b"x" * (16 * MEBIBYTE + 1))
        channel.queue_declare(queue, passive=True)


def test_publish_is_confirmed(channel, queue):
    channel.confirm_delivery()
    publish(channel, queue, *[b"x"] * 100, delivery_mode=2)
    assert channel.queue_declare(queue, passive=True).method.message_count == 100


def test_mandatory_unroutable_message_is_returned_before_its_confirm(channel):
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError) as raised:
        channel.basic_publish("", "interop.nowhere", b"back", pika.BasicProperties(message_id="m"), mandatory=True)
    returned, = raised.value.messages
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert (returned.method.exchange, returned.method.routing_key) == ("", "interop.nowhere")
    assert (returned.properties.message_id, returned.body) == ("m", b"back")


def test_unroutable_message_without_mandatory_is_confirmed(channel):
    channel.confirm_delivery()
    channel.basic_publish("", "interop.nowhere", b"dropped")


def test_mandatory_without_confirms_calls_the_return_callback(connection, channel):
    returned = []
    channel.add_on_return_callback(lambda *args: returned.append(args))
    channel.basic_publish("", "interop.nowhere", b"back", mandatory=True)
    wait_until(connection, lambda: returned)
    assert returned[0][3] == b"back"


def test_full_queue_that_rejects_publishes_nacks(channel, name):
    channel.queue_declare(name, exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.confirm_delivery()
    publish(channel, name, b"fits")
    with pytest.raises(pika.exceptions.NackError):
        publish(channel, name, b"does not fit")


def test_foreign_user_id_is_refused(channel, queue):
    publish(channel, queue, b"", user_id="somebody")
    with refused(406, "user_id property set to 'somebody' but authenticated user was 'guest'"):
        channel.queue_declare(queue, passive=True)


def test_invalid_expiration_is_refused(channel, queue):
    publish(channel, queue, b"", expiration="soon")
    with refused(406, "invalid expiration 'soon'"):
        channel.queue_declare(queue, passive=True)


def test_expired_message_is_dropped(connection, channel, queue):
    channel.confirm_delivery()
    publish(channel, queue, b"short", expiration="50")
    wait_until(connection, lambda: channel.queue_declare(queue, passive=True).method.message_count == 0)
    assert is_empty(channel, queue)


def test_queue_ttl_dead_letters_with_its_history(connection, channel, queue, name):
    source = channel.queue_declare("", exclusive=True, arguments={
        "x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}).method.queue
    publish(channel, source, b"late", expiration="10000")
    _, properties, body = get(channel, queue)
    death, = properties.headers["x-death"]
    assert body == b"late"
    assert properties.expiration is None
    assert (death["reason"], death["queue"], death["count"], death["exchange"], death["routing-keys"]) == (
        "expired", source, 1, "", [source])
    assert death["original-expiration"] == "10000"
    assert isinstance(death["time"], datetime.datetime)
    assert properties.headers["x-first-death-reason"] == "expired"
    assert properties.headers["x-first-death-queue"] == source
    assert properties.headers["x-first-death-exchange"] == ""


@pytest.mark.parametrize("settle", ["reject", "overflow"])
def test_dead_letter_reasons(channel, queue, settle):
    source = channel.queue_declare("", exclusive=True, arguments={
        "x-max-length": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}).method.queue
    publish(channel, source, b"first")
    if settle == "reject":
        channel.basic_reject(get(channel, source)[0].delivery_tag, requeue=False)
    else:
        publish(channel, source, b"second")
    _, properties, body = get(channel, queue)
    assert body == b"first"
    assert properties.headers["x-death"][0]["reason"] == {"reject": "rejected", "overflow": "maxlen"}[settle]


def test_higher_priority_is_delivered_first(channel, name):
    channel.queue_declare(name, exclusive=True, arguments={"x-max-priority": 5})
    channel.confirm_delivery()
    for priority in (1, 5, None, 3, 9):
        publish(channel, name, str(priority).encode(), priority=priority)
    # Above the maximum counts as the maximum, and none as 0.
    assert take(channel, name, 5) == [b"5", b"9", b"3", b"1", b"None"]


def test_cc_and_bcc_route_to_more_queues_and_bcc_is_hidden(channel):
    to, cc, bcc = (channel.queue_declare("", exclusive=True).method.queue for _ in range(3))
    publish(channel, to, b"letter", headers={"CC": [cc], "BCC": [bcc]})
    for queue in (to, cc, bcc):
        headers = get(channel, queue)[1].headers
        assert headers["CC"] == [cc]
        assert "BCC" not in headers


def test_transaction_publishes_on_commit_only(connection, channel, queue):
    watcher = connection.channel()
    channel.tx_select()
    publish(channel, queue, b"1", b"2")
    # The watcher's round trip shows nothing yet, nor after the channel's own round trip.
    channel.basic_qos(prefetch_count=1)
    assert is_empty(watcher, queue)
    channel.tx_commit()
    assert take(watcher, queue, 2) == [b"1", b"2"]


def test_transaction_rollback_discards_publishes_and_acks(connection, channel, queue):
    publish(channel, queue, b"kept")
    channel.tx_select()
    tag = get(channel, queue)[0].delivery_tag
    channel.basic_ack(tag)
    publish(channel, queue, b"discarded")
    channel.tx_rollback()
    # The ack was undone, so the delivery is still outstanding and can be settled again.
    channel.basic_nack(tag, requeue=True)
    channel.tx_commit()
    assert take(connection.channel(), queue, 1) == [b"kept"]
    assert is_empty(channel, queue)


def test_confirm_and_transaction_exclude_each_other(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    with refused(406, "cannot switch from confirm to tx mode"):
        channel.tx_select()
    channel = connection.channel()
    channel.tx_select()
    with refused(406, "cannot switch from tx to confirm mode"):
        channel.confirm_delivery()


def test_commit_without_transaction_is_refused(channel):
    with refused(406, "channel is not transactional"):
        channel.tx_commit()


def test_immediate_is_not_implemented(connection, channel):
    from pika import spec
    with refused(540, "^NOT_IMPLEMENTED - immediate=true$", pika.exceptions.ConnectionClosedByBroker):
        channel._impl._send_method(  # noqa: SLF001 - pika has no argument for what brokers do not implement
            spec.Basic.Publish(exchange="", routing_key="x", immediate=True), (pika.BasicProperties(), b""))
        channel.queue_declare("", exclusive=True)


def test_direct_reply_to_answers_without_a_queue(connection, channel, queue):
    client = connection.channel()
    answers = []
    client.basic_consume("amq.rabbitmq.reply-to", lambda *args: answers.append(args), auto_ack=True)
    publish(client, queue, b"question", reply_to="amq.rabbitmq.reply-to", correlation_id="c1")
    _, properties, _ = get(channel, queue)
    assert properties.reply_to.startswith("amq.rabbitmq.reply-to.")
    publish(channel, properties.reply_to, b"answer", correlation_id=properties.correlation_id)
    wait_until(connection, lambda: answers)
    assert (answers[0][2].correlation_id, answers[0][3]) == ("c1", b"answer")


def test_direct_reply_to_needs_a_consumer_without_acknowledgement(connection, queue):
    with refused(406, "fast reply consumer does not exist"):
        channel = connection.channel()
        publish(channel, queue, b"", reply_to="amq.rabbitmq.reply-to")
        channel.queue_declare(queue, passive=True)
    with refused(406, "reply consumer cannot acknowledge"):
        connection.channel().basic_consume("amq.rabbitmq.reply-to", lambda *_: None)

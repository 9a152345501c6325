"""The exchange types, bindings between queues and exchanges, and what is refused."""

import pika
import pytest
from steps import get, is_empty, publish, refused, take


def test_direct_routes_by_the_exact_key(channel, queue, exchange):
    direct = exchange("direct")
    channel.queue_bind(queue, direct, "a.b")
    publish(channel, "a.*", b"no", exchange=direct)
    publish(channel, "a.b", b"yes", exchange=direct)
    assert get(channel, queue)[2] == b"yes"


def test_fanout_routes_to_every_queue(channel, exchange):
    fanout = exchange("fanout")
    queues = [channel.queue_declare("", exclusive=True).method.queue for _ in range(3)]
    for queue in queues:
        channel.queue_bind(queue, fanout)
    publish(channel, "whatever", b"to all", exchange=fanout)
    assert [get(channel, queue)[2] for queue in queues] == [b"to all"] * 3


@pytest.mark.parametrize("pattern, matching, others", [
    ("*.orange.*", ["quick.orange.fox"], ["orange", "quick.orange", "quick.orange.male.fox"]),
    ("lazy.#", ["lazy", "lazy.brown", "lazy.orange.male"], ["lazybones", "quick.lazy"]),
    ("#", ["", "anything", "a.b.c"], []),
    ("*", ["one", ""], ["one.two"]),
    ("#.end", ["end", "a.end", "a.b.end"], ["end.a", "friend"]),
    ("a..b", ["a..b"], ["a.b"]),
], ids=["words", "rest", "all", "single", "front", "empty-word"])
def test_topic_routes_by_pattern(channel, queue, exchange, pattern, matching, others):
    topic = exchange("topic")
    channel.queue_bind(queue, topic, pattern)
    # A word may be empty: the empty key is one empty word, except that "*" does not match it in RabbitMQ.
    matching = [key for key in matching if (pattern, key) != ("*", "")]
    for key in others + matching:
        publish(channel, key, key.encode(), exchange=topic)
    assert [body.decode() for body in take(channel, queue, len(matching))] == matching
    assert is_empty(channel, queue)


@pytest.mark.parametrize("match, headers, routed", [
    ("all", {"a": 1, "b": "two", "c": True}, True),
    ("all", {"a": 1}, False),
    ("any", {"b": "two"}, True),
    ("any", {"b": "three"}, False),
    ("any", {}, False),
])
def test_headers_exchange_matches_all_or_any(channel, queue, exchange, match, headers, routed):
    by_headers = exchange("headers")
    channel.queue_bind(queue, by_headers, arguments={"x-match": match, "a": 1, "b": "two"})
    channel.confirm_delivery()
    publish(channel, "", b"body", exchange=by_headers, headers=headers)
    assert is_empty(channel, queue) is not routed


def test_exchange_to_exchange_bindings_route_onwards(channel, queue, exchange):
    first, second = exchange("topic", ".first"), exchange("fanout", ".second")
    channel.exchange_bind(second, first, "news.#")
    channel.queue_bind(queue, second)
    publish(channel, "news.today", b"routed", exchange=first)
    assert get(channel, queue, auto_ack=True)[2] == b"routed"
    channel.exchange_unbind(second, first, "news.#")
    channel.confirm_delivery()
    publish(channel, "news.today", b"dropped", exchange=first)
    assert is_empty(channel, queue)


def test_two_ways_to_one_queue_deliver_once(channel, queue, exchange):
    topic = exchange("topic")
    channel.queue_bind(queue, topic, "a.#")
    channel.queue_bind(queue, topic, "#.b")
    publish(channel, "a.b", b"once", exchange=topic)
    assert take(channel, queue, 1) == [b"once"]
    assert is_empty(channel, queue)


def test_unbind_stops_routing_and_is_idempotent(channel, queue, exchange):
    direct = exchange("direct")
    channel.queue_bind(queue, direct, "key")
    channel.queue_unbind(queue, direct, "key")
    channel.queue_unbind(queue, direct, "key")
    channel.confirm_delivery()
    publish(channel, "key", b"dropped", exchange=direct)
    assert is_empty(channel, queue)


def test_alternate_exchange_takes_what_is_unroutable(channel, queue, exchange):
    rest = exchange("fanout", ".rest")
    main = exchange("direct", ".main", arguments={"alternate-exchange": rest})
    channel.queue_bind(queue, rest)
    publish(channel, "nobody", b"rescued", exchange=main)
    assert get(channel, queue)[2] == b"rescued"


def test_auto_delete_exchange_goes_with_its_last_binding(channel, queue, name):
    channel.exchange_declare(name, "fanout", auto_delete=True)
    channel.queue_bind(queue, name)
    channel.queue_unbind(queue, name)
    with refused(404, f"no exchange '{name}' in vhost '/'"):
        channel.exchange_declare(name, passive=True)


def test_predeclared_exchanges_are_there(channel):
    for predeclared in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace"]:
        channel.exchange_declare(predeclared, passive=True)


def test_publish_to_a_missing_exchange_closes_the_channel(connection, channel):
    channel.basic_publish("interop.missing", "key", b"")
    with refused(404, "^NOT_FOUND - no exchange 'interop.missing' in vhost '/'$"):
        channel.queue_declare("", exclusive=True)
    # The connection survives a channel error.
    connection.channel().queue_declare("", exclusive=True)


def test_redeclare_with_another_type_is_refused(connection, channel, name):
    channel.exchange_declare(name, "direct")
    with refused(406, f"inequivalent arg 'type' for exchange '{name}' in vhost '/': "
                      "received 'fanout' but current is 'direct'"):
        channel.exchange_declare(name, "fanout")
    connection.channel().exchange_delete(name)


def test_default_exchange_cannot_be_bound_or_deleted(connection, queue):
    for attempt in [
        lambda channel: channel.queue_bind(queue, "", "key"),
        lambda channel: channel.exchange_delete(""),
        lambda channel: channel.exchange_declare("", "direct"),
    ]:
        with refused(403, "operation not permitted on the default exchange"):
            attempt(connection.channel())


def test_system_exchanges_cannot_be_deleted_nor_reserved_names_taken(connection):
    with refused(403, "deletion of system exchange 'amq.direct' in vhost '/' not allowed"):
        connection.channel().exchange_delete("amq.direct")
    with refused(403, r"exchange name 'amq\.mine' contains reserved prefix 'amq\.\*'"):
        connection.channel().exchange_declare("amq.mine", "direct")


def test_internal_exchange_cannot_be_published_to(channel, exchange):
    internal = exchange("fanout", internal=True)
    channel.basic_publish(internal, "", b"")
    with refused(403, f"cannot publish to internal exchange '{internal}' in vhost '/'"):
        channel.queue_declare("", exclusive=True)


def test_delete_if_unused_is_refused_while_bound(channel, queue, exchange):
    fanout = exchange("fanout")
    channel.queue_bind(queue, fanout)
    with refused(406, f"exchange '{fanout}' in vhost '/' in use"):
        channel.exchange_delete(fanout, if_unused=True)


def test_unknown_exchange_type_ends_in_an_error(connection, name):
    # 406 since RabbitMQ 4, a connection error 503 before.
    with pytest.raises((pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker)) as raised:
        connection.channel().exchange_declare(name, "x-no-such-type")
    assert raised.value.reply_code in (406, 503)
    assert "x-no-such-type" in raised.value.reply_text

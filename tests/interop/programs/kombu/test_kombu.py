"""Kombu's entities, its simple queues and mailboxes, and py-amqp's errors underneath."""

import socket

import amqp
import kombu
import pytest
from kombu.pidbox import Mailbox
from kombu.pools import producers

PATIENCE_SECONDS = 15


def drain_until(connection, condition):
    while not condition():
        connection.drain_events(timeout=PATIENCE_SECONDS)


def test_producer_declares_and_consumer_receives(connection, name):
    exchange = kombu.Exchange(name, "topic", durable=False, auto_delete=True)
    queue = kombu.Queue(name, exchange, routing_key="news.#", exclusive=True)
    received = []
    with connection.Consumer(queue, callbacks=[lambda body, message: received.append((body, message))]):
        producer = connection.Producer(serializer="json")
        producer.publish({"n": 1}, exchange=exchange, routing_key="news.today", declare=[queue],
                         headers={"h": [1, "two", None]}, priority=4, expiration=30, correlation_id="c")
        drain_until(connection, lambda: received)
    body, message = received[0]
    assert body == {"n": 1}
    assert message.headers["h"] == [1, "two", None]
    assert (message.properties["priority"], message.properties["expiration"], message.properties["correlation_id"]) \
        == (4, "30000", "c")
    assert message.delivery_info["routing_key"] == "news.today"
    message.ack()


@pytest.mark.parametrize("compression", ["zlib", "bzip2"])
def test_compressed_bodies_arrive(connection, name, compression):
    with connection.SimpleQueue(name, queue_opts={"exclusive": True}) as queue:
        queue.put({"text": "x" * 100_000}, compression=compression)
        message = queue.get(timeout=PATIENCE_SECONDS)
        assert message.payload == {"text": "x" * 100_000}
        message.ack()


def test_simple_queue_counts_clears_and_reports_empty(connection, name):
    with connection.SimpleQueue(name, queue_opts={"exclusive": True}) as queue:
        queue.put("1")
        queue.put("2")
        assert queue.qsize() == 2
        assert queue.clear() == 2
        with pytest.raises(queue.Empty):
            queue.get(block=False)


def test_queue_options_become_arguments(connection, channel, name):
    queue = kombu.Queue(name, exclusive=True, expires=60, message_ttl=30, max_length=5, max_length_bytes=1000,
                        max_priority=3)
    queue(channel).declare()
    with pytest.raises(amqp.exceptions.PreconditionFailed, match="'x-max-priority'"):
        kombu.Queue(name, exclusive=True, expires=60, message_ttl=30, max_length=5, max_length_bytes=1000,
                    max_priority=4)(channel).declare()


def test_requeue_and_reject(connection, name):
    with connection.SimpleQueue(name, queue_opts={"exclusive": True}) as queue:
        queue.put("once")
        queue.get(timeout=PATIENCE_SECONDS).requeue()
        again = queue.get(timeout=PATIENCE_SECONDS)
        assert again.delivery_info["redelivered"]
        again.reject()
        with pytest.raises(queue.Empty):
            queue.get(timeout=0.2)


def test_prefetch_holds_back(connection, channel, name):
    queue = kombu.Queue(name, exclusive=True)
    received = []
    with connection.Consumer(queue, callbacks=[lambda _, message: received.append(message)], prefetch_count=2) as consumer:
        producer = connection.Producer()
        for n in range(4):
            producer.publish(n, routing_key=name)
        drain_until(connection, lambda: len(received) == 2)
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.2)
        consumer.qos(prefetch_count=4)
        received[0].ack()
        received[1].ack()
        drain_until(connection, lambda: len(received) == 4)


def test_deleting_the_queue_of_an_own_consumer_succeeds(connection, channel, name):
    # delete-ok has to come before the notice that the consumer is cancelled, which py-amqp raises as an error.
    with connection.Consumer(kombu.Queue(name, exclusive=True), callbacks=[lambda *_: None]):
        assert channel.queue_delete(name) == 0


def test_mandatory_unroutable_message_comes_back(connection, channel, name):
    returned = []
    producer = connection.Producer(on_return=lambda *args: returned.append(args))
    producer.publish("back", routing_key=name, mandatory=True)
    drain_until(connection, lambda: returned)
    exception, exchange, routing_key, message = returned[0]
    assert (exception.reply_code, exchange, routing_key) == (312, "", name)


def test_mailbox_broadcasts_and_collects_replies(uri, connection, name):
    """The way Celery inspects its workers: a fanout exchange, transient queues and a reply queue with a TTL."""
    mailbox = Mailbox(name, type="fanout", queue_ttl=10, queue_expires=10)
    with kombu.Connection(uri) as workers:
        nodes = [mailbox(workers).Node(f"node{n}", channel=workers.default_channel) for n in range(2)]
        for node in nodes:
            node.handlers["whoami"] = lambda state, node=node: node.hostname
            node.listen(callback=node.handle_message)
        caller = mailbox(connection)
        ticket = "ticket"
        caller._publish("whoami", {}, reply_ticket=ticket)  # noqa: SLF001 - multi_call would wait before anybody answers
        answered = []
        answer = nodes[0].reply, nodes[1].reply
        for node, reply in zip(nodes, answer):
            node.reply = lambda *args, reply=reply, **options: (reply(*args, **options), answered.append(1))
        drain_until(workers, lambda: len(answered) == 2)
        replies = caller._collect(ticket, limit=2, timeout=PATIENCE_SECONDS)  # noqa: SLF001
        assert sorted(name for reply in replies for name in reply) == ["node0", "node1"]
        connection.default_channel.exchange_delete(caller.exchange.name)
        connection.default_channel.exchange_delete(caller.reply_exchange.name)


def test_pooled_producers_work(connection, name):
    with connection.SimpleQueue(name, queue_opts={"exclusive": True}) as queue:
        for _ in range(5):
            with producers[connection].acquire(block=True) as producer:
                producer.publish("x", routing_key=name, retry=True)
        assert [queue.get(timeout=PATIENCE_SECONDS).payload for _ in range(5)] == ["x"] * 5
    kombu.pools.reset()


def test_heartbeat_check_keeps_the_connection(uri):
    with kombu.Connection(uri, heartbeat=2) as connection:
        connection.connect()
        assert connection.get_heartbeat_interval() == 2
        # Longer than the two intervals of silence that the broker allows, and often enough for a busy machine.
        for _ in range(25):
            with pytest.raises(socket.timeout):
                connection.drain_events(timeout=0.25)
            connection.heartbeat_check()
        connection.default_channel.queue_declare(exclusive=True)


def test_errors_have_their_own_classes(connection, name):
    with pytest.raises(amqp.exceptions.NotFound):
        connection.channel().queue_declare(name, passive=True)
    with pytest.raises(amqp.exceptions.AccessRefused):
        connection.channel().queue_declare("amq.reserved")
    with pytest.raises(amqp.exceptions.PreconditionFailed):
        channel = connection.channel()
        channel.basic_ack(99)
        channel.queue_declare(exclusive=True)


def test_wrong_password_is_refused(uri):
    with pytest.raises(amqp.exceptions.AccessRefused, match="Login was refused"):
        kombu.Connection(uri.replace("guest:guest@", "guest:wrong@")).connect()


def test_missing_vhost_is_refused(uri):
    with pytest.raises(amqp.exceptions.NotAllowed, match="vhost nowhere not found"):
        kombu.Connection(f"{uri.rstrip('/')}/nowhere").connect()


def test_server_properties_choose_kombus_semantics(connection):
    properties = connection.default_channel.connection.server_properties
    assert properties["product"] == "RabbitMQ"
    assert int(properties["version"].split(".")[0]) >= 3

"""Declaring, inspecting, purging and deleting queues."""

import pytest
from steps import get, is_empty, publish, refused, take, wait_until


def test_declare_reports_messages_and_consumers(channel, queue):
    publish(channel, queue, b"one", b"two")
    channel.basic_consume(queue, lambda *_: None)
    channel.basic_cancel(channel.consumer_tags[0])
    channel.basic_recover(requeue=True)
    declared = channel.queue_declare(queue, passive=True).method
    assert (declared.queue, declared.message_count, declared.consumer_count) == (queue, 2, 0)


def test_server_named_queue_has_a_generated_name(channel):
    first = channel.queue_declare("", exclusive=True).method.queue
    second = channel.queue_declare("", exclusive=True).method.queue
    assert first.startswith("amq.gen-")
    assert len(first) == len("amq.gen-") + 22
    assert first != second


def test_empty_name_means_the_last_declared_queue(channel):
    declared = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind("", "amq.direct", "key-of-last-declared")
    publish(channel, "key-of-last-declared", b"here", exchange="amq.direct")
    assert get(channel, declared)[2] == b"here"


def test_empty_name_without_a_declared_queue_is_not_found(channel):
    with refused(404, "no previously declared queue"):
        channel.queue_bind("", "amq.direct", "key")


def test_passive_declare_of_a_missing_queue_is_not_found(channel):
    with refused(404, "^NOT_FOUND - no queue 'interop.missing' in vhost '/'$"):
        channel.queue_declare("interop.missing", passive=True)


def test_redeclare_with_another_durability_is_refused(connection, channel, name):
    channel.queue_declare(name, durable=True)
    with refused(406, f"inequivalent arg 'durable' for queue '{name}' in vhost '/': "
                      "received 'false' but current is 'true'"):
        channel.queue_declare(name)
    connection.channel().queue_delete(name)


def test_redeclare_with_another_argument_is_refused(channel, name):
    channel.queue_declare(name, exclusive=True)
    with refused(406, f"inequivalent arg 'x-message-ttl' for queue '{name}' in vhost '/': "
                      "received the value '10' of type '.+' but current is none"):
        channel.queue_declare(name, exclusive=True, arguments={"x-message-ttl": 10})


@pytest.mark.parametrize("arguments", [
    {"x-message-ttl": -1}, {"x-message-ttl": "soon"}, {"x-expires": 0}, {"x-max-length": -1},
    {"x-dead-letter-routing-key": "without an exchange"}, {"x-overflow": "spill"},
    {"x-max-priority": 256}, {"x-queue-type": "heap"},
], ids=lambda arguments: next(iter(arguments)))
def test_invalid_arguments_are_refused(channel, name, arguments):
    with refused(406, "^PRECONDITION_FAILED"):
        channel.queue_declare(name, durable=True, arguments=arguments)


def test_unknown_arguments_are_accepted(channel, name):
    channel.queue_declare(name, exclusive=True, arguments={"x-of-some-plugin": [1, {"a": None}]})
    channel.queue_declare(name, exclusive=True, arguments={"x-of-some-plugin": "different"})


def test_reserved_names_are_refused(channel):
    with refused(403, r"queue name 'amq\.mine' contains reserved prefix 'amq\.\*'"):
        channel.queue_declare("amq.mine", exclusive=True)


def test_exclusive_queue_is_locked_for_other_connections(connect, queue):
    other = connect().channel()
    with refused(405, f"^RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'"):
        other.queue_declare(queue, passive=True)


def test_exclusive_queue_goes_with_its_connection(connect, name):
    first = connect()
    first.channel().queue_declare(name, exclusive=True, durable=True)
    first.close()
    with refused(404, "no queue"):
        connect().channel().queue_declare(name, passive=True)


def test_auto_delete_queue_goes_with_its_last_consumer(connection, channel, name):
    channel.queue_declare(name, auto_delete=True)
    first = channel.basic_consume(name, lambda *_: None)
    second = channel.basic_consume(name, lambda *_: None)
    channel.basic_cancel(first)
    channel.queue_declare(name, passive=True)
    channel.basic_cancel(second)
    with refused(404, "no queue"):
        channel.queue_declare(name, passive=True)


def test_auto_delete_queue_stays_until_it_had_a_consumer(connect, name):
    # Lepus accepts transient queues that are not exclusive, which later RabbitMQ releases refuse.
    first = connect()
    first.channel().queue_declare(name, auto_delete=True)
    first.close()
    channel = connect().channel()
    channel.queue_declare(name, passive=True)
    channel.queue_delete(name)


def test_purge_counts_the_ready_messages_and_leaves_the_unacknowledged(channel, queue):
    publish(channel, queue, b"held", b"purged", b"purged")
    tag = get(channel, queue)[0].delivery_tag
    wait_until(channel.connection, lambda: channel.queue_declare(queue, passive=True).method.message_count == 2)
    assert channel.queue_purge(queue).method.message_count == 2
    channel.basic_nack(tag, requeue=True)
    assert take(channel, queue, 1) == [b"held"]


def test_delete_counts_the_messages(channel, queue):
    publish(channel, queue, b"one", b"two")
    assert channel.queue_delete(queue).method.message_count == 2


def test_deleting_a_missing_queue_succeeds(channel, name):
    assert channel.queue_delete(name).method.message_count == 0


def test_delete_if_unused_is_refused_while_a_consumer_is_there(channel, queue):
    channel.basic_consume(queue, lambda *_: None)
    with refused(406, f"queue '{queue}' in vhost '/' in use"):
        channel.queue_delete(queue, if_unused=True)


def test_delete_if_empty_is_refused_while_messages_are_there(channel, queue):
    publish(channel, queue, b"one")
    with refused(406, f"queue '{queue}' in vhost '/' not empty"):
        channel.queue_delete(queue, if_empty=True)


def test_queue_expires_when_unused(connection, channel, name):
    channel.queue_declare(name, arguments={"x-expires": 100})

    def is_gone():
        probe = connection.channel()
        try:
            # Only an active declaration counts as use; a passive one does not renew the lease of an absent queue.
            probe.basic_get(name)
        except Exception as error:
            return error.reply_code == 404
        probe.close()
        # Each basic.get renews the lease, so leave the queue alone for longer than that.
        connection.sleep(0.3)
        return False

    wait_until(connection, is_gone)


def test_max_length_drops_the_oldest(channel, name):
    channel.queue_declare(name, exclusive=True, arguments={"x-max-length": 2})
    channel.confirm_delivery()
    publish(channel, name, b"1", b"2", b"3")
    assert take(channel, name, 2) == [b"2", b"3"]
    assert is_empty(channel, name)

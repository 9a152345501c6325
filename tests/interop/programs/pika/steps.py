"""What many of the tests do, in one line each."""

import re
import time
from contextlib import contextmanager

import pika
import pytest

PATIENCE_SECONDS = 15


def publish(channel, queue, *bodies, exchange="", **properties):
    for body in bodies:
        channel.basic_publish(exchange, queue, body, pika.BasicProperties(**properties))


def get(channel, queue, auto_ack=False):
    """The next message, once it is there: a publish without confirms may still be on its way."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        method, properties, body = channel.basic_get(queue, auto_ack)
        if method:
            return method, properties, body
        channel.connection.process_data_events(0.01)
    raise AssertionError(f"no message arrived in {queue}")


def take(channel, queue, count):
    """The bodies of the next messages, acknowledged."""
    return [get(channel, queue, auto_ack=True)[2] for _ in range(count)]


def is_empty(channel, queue):
    return channel.basic_get(queue)[0] is None


def wait_until(connection, condition):
    """Serve the connection until the condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        connection.process_data_events(0.05)


@contextmanager
def refused(code, pattern, kind=pika.exceptions.ChannelClosedByBroker):
    """Expect the broker to close the channel (or the connection) with this code and text."""
    with pytest.raises(kind) as raised:
        yield
    assert raised.value.reply_code == code
    assert re.search(pattern, raised.value.reply_text), raised.value.reply_text


@contextmanager
def not_opened(kind, code, text):
    """Expect that the connection is closed while it opens; pika wraps the code and text in an error of its own."""
    with pytest.raises(kind) as raised:
        yield
    assert f"({code}) '{text}'" in str(raised.value)

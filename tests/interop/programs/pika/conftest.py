"""Connections of pika's blocking adapter, closed after each test."""

import pika
import pytest


@pytest.fixture
def parameters(uri):
    return pika.URLParameters(uri)


@pytest.fixture
def connect(parameters):
    """Open one more connection; all are closed at the end, whatever the test left of them."""
    opened = []

    def open_connection(**changes):
        for field, value in changes.items():
            setattr(parameters, field, value)
        opened.append(pika.BlockingConnection(parameters))
        return opened[-1]

    yield open_connection
    for connection in opened:
        if connection.is_open:
            connection.close()


@pytest.fixture
def connection(connect):
    return connect()


@pytest.fixture
def channel(connection):
    return connection.channel()


@pytest.fixture
def queue(channel, name):
    """An exclusive queue, gone with its connection."""
    channel.queue_declare(name, exclusive=True)
    return name


@pytest.fixture
def exchange(channel, name):
    """Declare an exchange that is deleted when the test is over."""
    declared = []

    def declare(kind, suffix="", **options):
        channel.exchange_declare(name + suffix, kind, **options)
        declared.append(name + suffix)
        return declared[-1]

    yield declare
    if channel.is_open:
        for each in declared:
            channel.exchange_delete(each)

"""Connections of kombu's AMQP transport."""

import kombu
import pytest


@pytest.fixture
def connection(uri):
    with kombu.Connection(uri, transport_options={"confirm_publish": True}) as connection:
        yield connection


@pytest.fixture
def channel(connection):
    return connection.default_channel

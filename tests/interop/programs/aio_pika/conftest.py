"""Connections of aio-pika; aiomisc's plugin runs the coroutines."""

import aio_pika
import pytest


@pytest.fixture
async def connection(uri):
    async with await aio_pika.connect(uri) as connection:
        yield connection


@pytest.fixture
async def channel(connection):
    return await connection.channel()


@pytest.fixture
async def queue(channel, name):
    return await channel.declare_queue(name, exclusive=True)

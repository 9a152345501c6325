"""aio-pika's queues, exchanges, confirms, transactions, iterators and patterns."""

import asyncio
import datetime

import aio_pika
import aiormq.exceptions
import pytest
from aio_pika.patterns import RPC, Master

PATIENCE_SECONDS = 15


async def send(channel, queue, *bodies, **properties):
    for body in bodies:
        await channel.default_exchange.publish(aio_pika.Message(body, **properties), queue.name)


async def test_every_property_arrives_as_sent(channel, queue):
    sent = {
        "content_type": "text/plain", "content_encoding": "utf-8", "priority": 2, "correlation_id": "c",
        "reply_to": "r", "expiration": 60.0, "message_id": "m", "type": "t", "user_id": "guest", "app_id": "a",
        "timestamp": datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc),
        "headers": {"int": 1, "float": 1.5, "list": [1, None], "table": {"x": "y"}, "bytes": bytearray(b"\x00\xff"), "yes": True},
        "delivery_mode": aio_pika.DeliveryMode.PERSISTENT,
    }
    await send(channel, queue, b"body", **sent)
    message = await queue.get(timeout=PATIENCE_SECONDS)
    assert {field: getattr(message, field) for field in sent} == sent
    await message.ack()


async def test_a_publish_is_confirmed_by_an_ack(channel, queue):
    confirmation = await channel.default_exchange.publish(aio_pika.Message(b""), queue.name)
    assert isinstance(confirmation, aiormq.spec.Basic.Ack)


async def test_many_publishes_in_flight_are_all_confirmed(channel, queue):
    await asyncio.gather(*(send(channel, queue, b"x") for _ in range(500)))
    assert (await queue.declare()).message_count == 500


async def test_an_unroutable_message_is_returned(connection):
    channel = await connection.channel(on_return_raises=True)
    with pytest.raises(aio_pika.exceptions.DeliveryError):
        await channel.default_exchange.publish(aio_pika.Message(b"back"), "interop.nowhere")


async def test_a_queue_iterator_yields_in_order(channel, queue):
    await send(channel, queue, *[str(n).encode() for n in range(10)])
    seen = []
    async with queue.iterator(timeout=PATIENCE_SECONDS) as messages:
        async for message in messages:
            async with message.process():
                seen.append(int(message.body))
            if len(seen) == 10:
                break
    assert seen == list(range(10))


async def test_an_exception_in_process_rejects_or_requeues(channel, queue):
    await send(channel, queue, b"again")
    with pytest.raises(ZeroDivisionError):
        async with (await queue.get(timeout=PATIENCE_SECONDS)).process(requeue=True):
            raise ZeroDivisionError
    message = await queue.get(timeout=PATIENCE_SECONDS)
    assert message.redelivered
    with pytest.raises(ZeroDivisionError):
        async with message.process():
            raise ZeroDivisionError
    assert await queue.get(fail=False) is None


async def test_exchanges_bind_to_each_other(channel, queue, name):
    source = await channel.declare_exchange(name + ".source", aio_pika.ExchangeType.TOPIC, auto_delete=True)
    target = await channel.declare_exchange(name + ".target", aio_pika.ExchangeType.HEADERS, auto_delete=True)
    await target.bind(source, "a.#")
    await queue.bind(target, arguments={"x-match": "any", "wanted": True})
    await source.publish(aio_pika.Message(b"no"), "a.b")
    await source.publish(aio_pika.Message(b"yes", headers={"wanted": True}), "a.b")
    message = await queue.get(timeout=PATIENCE_SECONDS)
    assert message.body == b"yes"
    await message.ack()
    await queue.unbind(target, arguments={"x-match": "any", "wanted": True})
    await target.unbind(source, "a.#")


async def test_a_transaction_commits_or_rolls_back_as_a_whole(connection, channel, queue):
    unconfirmed = await connection.channel(publisher_confirms=False)
    async with unconfirmed.transaction():
        await send(unconfirmed, queue, b"1", b"2")
        assert await queue.get(fail=False) is None
    assert [(await queue.get(no_ack=True)).body for _ in range(2)] == [b"1", b"2"]
    with pytest.raises(ZeroDivisionError):
        async with (await connection.channel(publisher_confirms=False)).transaction() as transaction:
            await send(transaction.channel, queue, b"3")
            raise ZeroDivisionError
    assert await queue.get(fail=False) is None


async def test_prefetch_holds_back(channel, queue):
    await channel.set_qos(prefetch_count=2)
    await send(channel, queue, b"1", b"2", b"3")
    received = asyncio.Queue()
    await queue.consume(received.put)
    first = await asyncio.wait_for(received.get(), PATIENCE_SECONDS)
    await asyncio.wait_for(received.get(), PATIENCE_SECONDS)
    assert (await queue.declare()).message_count == 1
    assert received.empty()
    await first.ack()
    assert (await asyncio.wait_for(received.get(), PATIENCE_SECONDS)).body == b"3"


async def test_rpc_pattern_answers_and_raises(channel):
    rpc = await RPC.create(channel)

    async def multiply(*, x, y):
        return x * y

    async def fail():
        raise ValueError("remote")

    await rpc.register("multiply", multiply, auto_delete=True)
    await rpc.register("fail", fail, auto_delete=True)
    assert await asyncio.gather(*(rpc.proxy.multiply(x=n, y=2) for n in range(20))) == [2 * n for n in range(20)]
    with pytest.raises(ValueError, match="remote"):
        await rpc.proxy.fail()
    await rpc.close()


async def test_master_pattern_hands_tasks_to_a_worker(channel, name):
    done = asyncio.Queue()

    async def work(*, number):
        await done.put(number)

    master = Master(channel)
    worker = await master.create_worker(name, work, auto_delete=True)
    for number in range(5):
        await master.create_task(name, kwargs={"number": number})
    assert [await asyncio.wait_for(done.get(), PATIENCE_SECONDS) for _ in range(5)] == list(range(5))
    await worker.close()


async def test_a_robust_connection_restores_its_topology(uri, name):
    async with await aio_pika.connect_robust(uri, reconnect_interval=0.1) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name, exclusive=True)
        received = asyncio.Queue()
        await queue.consume(received.put, no_ack=True)
        reconnected = asyncio.Event()
        connection.reconnect_callbacks.add(lambda *_: reconnected.set())
        # The broker sees its peer vanish: the socket closes without connection.close.
        await connection.transport.connection.close(ConnectionError("cut by the test"))
        await asyncio.wait_for(reconnected.wait(), PATIENCE_SECONDS)
        await send(channel, queue, b"after")
        assert (await asyncio.wait_for(received.get(), PATIENCE_SECONDS)).body == b"after"


@pytest.mark.parametrize("error, attempt", [
    (aiormq.exceptions.ChannelNotFoundEntity, lambda channel: channel.declare_queue("interop.missing", passive=True)),
    (aiormq.exceptions.ChannelAccessRefused, lambda channel: channel.declare_queue("amq.reserved")),
    (aiormq.exceptions.ChannelPreconditionFailed,
     lambda channel: channel.declare_exchange("amq.direct", aio_pika.ExchangeType.FANOUT)),
], ids=["404", "403", "406"])
async def test_refusals_have_their_own_classes(connection, error, attempt):
    with pytest.raises(error):
        await attempt(await connection.channel())
    await (await connection.channel()).declare_queue(exclusive=True)


async def test_a_locked_queue_is_refused_with_405(uri, queue):
    async with await aio_pika.connect(uri) as other:
        with pytest.raises(aiormq.exceptions.ChannelLockedResource):
            await (await other.channel()).declare_queue(queue.name, exclusive=True)


async def test_a_wrong_password_is_refused(uri):
    with pytest.raises(aiormq.exceptions.ProbableAuthenticationError, match="^ACCESS_REFUSED - Login was refused"):
        await aio_pika.connect(uri.replace("guest:guest@", "guest:wrong@"))


async def test_a_missing_vhost_is_refused(uri):
    # aiormq does not pass the code on when it is connection.open that is refused.
    with pytest.raises(aiormq.exceptions.InvalidFrameError, match="Connection.Close"):
        await aio_pika.connect(f"{uri.rstrip('/')}/nowhere")

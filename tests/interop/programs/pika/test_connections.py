"""Opening connections and channels, what the broker announces, and how it refuses."""

import logging
import threading

import pika
import pytest
from steps import not_opened, publish, refused, take, wait_until


def test_server_properties_announce_what_clients_look_for(connection):
    announced = connection._impl.server_properties  # noqa: SLF001 - pika keeps them here only
    assert announced["product"] == "RabbitMQ"
    assert all(part.isdigit() for part in announced["version"].split("."))
    for capability in ["publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
                       "connection.blocked", "consumer_priorities", "authentication_failure_close",
                       "per_consumer_qos", "direct_reply_to"]:
        assert announced["capabilities"][capability] is True, capability


def test_tuning_defaults(connection):
    parameters = connection._impl.params  # noqa: SLF001
    assert (parameters.channel_max, parameters.frame_max) == (2047, 131072)


@pytest.mark.parametrize("frame_max", [8192, 20_000])
def test_smaller_frames_can_be_negotiated(connect, name, frame_max):
    channel = connect(frame_max=frame_max).channel()
    channel.queue_declare(name, exclusive=True)
    body = bytes(range(256)) * 400
    publish(channel, name, body, headers={"h": "x" * 3000})
    assert take(channel, name, 1) == [body]


def test_wrong_password_is_refused(connect):
    with not_opened(
            pika.exceptions.ProbableAuthenticationError, 403,
            "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
            "For details see the broker logfile."):
        connect(credentials=pika.PlainCredentials("guest", "wrong"))


def test_missing_vhost_is_refused(connect):
    with not_opened(pika.exceptions.ProbableAccessDeniedError, 530, "NOT_ALLOWED - vhost nowhere not found"):
        connect(virtual_host="nowhere")


def test_connection_name_is_accepted(connect):
    connect(client_properties={"connection_name": "a name", "anything": {"nested": [1, None]}}).channel()


def test_channel_limit_of_the_client_is_honoured(connect):
    connection = connect(channel_max=2)
    connection.channel(), connection.channel()
    with pytest.raises(pika.exceptions.NoFreeChannels):
        connection.channel()


def test_many_channels_work_side_by_side(connection, name):
    channels = [connection.channel() for _ in range(300)]
    channels[0].queue_declare(name, exclusive=True)
    for number, channel in enumerate(channels):
        publish(channel, name, str(number).encode())
    received = take(channels[-1], name, len(channels))
    assert sorted(map(int, received)) == list(range(300))


def test_channel_number_can_be_used_again(connection):
    for _ in range(20):
        connection.channel(7).close()
    channel = connection.channel(7)
    with refused(404, "no queue"):
        channel.queue_declare("interop.missing", passive=True)
    connection.channel(7).queue_declare("", exclusive=True)


def test_consumer_tag_reuse_closes_the_connection(connection, channel):
    queue = channel.queue_declare("", exclusive=True).method.queue
    other = channel._impl  # noqa: SLF001 - the blocking adapter refuses a known tag by itself
    from pika import spec
    other._send_method(spec.Basic.Consume(queue=queue, consumer_tag="same"))
    other._send_method(spec.Basic.Consume(queue=queue, consumer_tag="same"))
    with refused(530, "^NOT_ALLOWED - attempt to reuse consumer tag 'same'$",
                 pika.exceptions.ConnectionClosedByBroker):
        wait_until(connection, lambda: False)


def test_heartbeats_keep_an_idle_connection_open(connect):
    connection = connect(heartbeat=1)
    # Longer than the two heartbeats without traffic after which either side gives up.
    connection.sleep(4)
    connection.channel().queue_declare("", exclusive=True)


def test_silent_client_is_disconnected(connect):
    connection = connect(heartbeat=1)
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    # Nothing serves the connection, so no heartbeats go out; the broker closes the socket after two to three of them.
    closed = threading.Event()
    sock = connection._impl._transport._sock  # noqa: SLF001
    sock.setblocking(True)
    sock.settimeout(15)

    def read_to_the_end():
        try:
            while sock.recv(4096):
                pass
        except ConnectionError:
            pass
        closed.set()

    threading.Thread(target=read_to_the_end, daemon=True).start()
    assert closed.wait(15)
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        while True:
            connection.process_data_events(0.1)


def test_update_secret_is_accepted(connection):
    connection.update_secret("guest", "a new token")
    connection.channel()


def test_closing_the_connection_ends_its_channels(connect, name):
    connection = connect()
    channel = connection.channel()
    connection.close()
    assert channel.is_closed
    with pytest.raises(pika.exceptions.ChannelWrongStateError):
        channel.queue_declare(name)

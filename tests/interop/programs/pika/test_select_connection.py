"""The callback-driven adapter: pipelined calls, confirms by tag, and errors through callbacks."""

import pika


def drive(parameters, on_open, seconds=15):
    """Run a SelectConnection until it is closed; returns why it was."""
    reasons = []

    def closed(connection, reason):
        reasons.append(reason)
        connection.ioloop.stop()

    connection = pika.SelectConnection(
        parameters, on_open_callback=on_open, on_open_error_callback=closed, on_close_callback=closed)
    connection.ioloop.call_later(seconds, connection.ioloop.stop)
    connection.ioloop.start()
    assert reasons, "the connection was not closed in time"
    return reasons[0]


def test_confirms_cover_every_publish(parameters, name):
    confirmed = set()

    def opened(connection):
        connection.channel(on_open_callback=lambda channel: channel.queue_declare(
            name, exclusive=True, callback=lambda _: publish(channel)))

    def publish(channel):
        channel.confirm_delivery(lambda frame: on_confirm(channel, frame.method))
        for _ in range(1000):
            channel.basic_publish("", name, b"x", pika.BasicProperties(delivery_mode=2))

    def on_confirm(channel, method):
        assert isinstance(method, pika.spec.Basic.Ack)
        first = max(confirmed, default=0) + 1 if method.multiple else method.delivery_tag
        confirmed.update(range(min(first, method.delivery_tag), method.delivery_tag + 1))
        if len(confirmed) == 1000:
            channel.connection.close()

    assert drive(parameters, opened).reply_code == 200
    assert confirmed == set(range(1, 1001))


def test_channel_error_reaches_the_close_callback(parameters):
    reasons = []

    def opened(connection):
        connection.channel(on_open_callback=on_channel)

    def on_channel(channel):
        channel.add_on_close_callback(lambda channel, reason: (reasons.append(reason), channel.connection.close()))
        channel.queue_declare("interop.missing", passive=True)
        # What follows the error on this channel is ignored.
        channel.basic_publish("interop.also-missing", "", b"")

    assert drive(parameters, opened).reply_code == 200
    assert [reason.reply_code for reason in reasons] == [404]


def test_two_channels_echo_to_each_other(parameters, name):
    seen = []

    def opened(connection):
        connection.channel(on_open_callback=consumer_ready)

    def consumer_ready(channel):
        channel.basic_qos(prefetch_count=10)
        channel.queue_declare(name, exclusive=True)
        channel.basic_consume(name, on_message, callback=lambda _: channel.connection.channel(
            on_open_callback=lambda other: [other.basic_publish("", name, str(n).encode()) for n in range(200)]))

    def on_message(channel, method, properties, body):
        seen.append(int(body))
        channel.basic_ack(method.delivery_tag)
        if len(seen) == 200:
            channel.connection.close()

    assert drive(parameters, opened).reply_code == 200
    assert seen == list(range(200))


def test_wrong_password_reaches_the_open_error_callback(parameters):
    parameters.credentials = pika.PlainCredentials("guest", "wrong")
    reason = drive(parameters, lambda connection: connection.close())
    assert isinstance(reason, pika.exceptions.ProbableAuthenticationError)

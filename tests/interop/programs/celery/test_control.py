"""The mailbox by which workers are inspected and commanded, and the events they send."""

import pytest
import tasks

PATIENCE_SECONDS = 15


@pytest.fixture
def inspect(app, worker):
    return app.control.inspect([worker], timeout=PATIENCE_SECONDS, limit=1)


def test_ping_is_answered(inspect, worker):
    assert inspect.ping() == {worker: {"ok": "pong"}}


def test_broadcast_reaches_the_worker(app, worker):
    assert {worker: {"ok": "pong"}} in app.control.broadcast("ping", reply=True, timeout=2)


def test_inspection_knows_tasks_and_queues(inspect, worker):
    assert "tasks.add" in inspect.registered()[worker]
    queue, = inspect.active_queues()[worker]
    assert (queue["name"], queue["durable"], queue["exchange"]["type"]) == (tasks.QUEUE, True, "direct")


def test_scheduled_tasks_are_listed(inspect, worker):
    pending = tasks.now.apply_async(countdown=60)
    try:
        # The worker may still be taking the task in.
        while pending.id not in [each["request"]["id"] for each in inspect.scheduled()[worker]]:
            pass
    finally:
        pending.revoke()


def test_prefetch_can_be_changed_at_run_time(app, worker):
    for change in ("pool_grow", "pool_shrink"):
        answer, = app.control.broadcast(change, {"n": 1}, destination=[worker], reply=True, timeout=PATIENCE_SECONDS,
                                        limit=1)
        assert "ok" in answer[worker]
    assert tasks.add.delay(1, 1).get(timeout=PATIENCE_SECONDS) == 2


def test_a_consumer_can_be_added_and_cancelled(app, worker):
    queue = f"{tasks.QUEUE}.extra"
    options = {"destination": [worker], "reply": True, "timeout": PATIENCE_SECONDS, "limit": 1}
    app.control.add_consumer(queue, **options)
    assert tasks.add.apply_async((1, 2), queue=queue).get(timeout=PATIENCE_SECONDS) == 3
    app.control.cancel_consumer(queue, **options)
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(queue)


def test_events_tell_of_a_tasks_life(app, worker):
    seen = []

    def note(event):
        if event.get("uuid") == pending.id:
            seen.append(event["type"])

    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": note})
        with receiver.consumer_context() as (draining, _, _):
            pending = tasks.add.delay(1, 1)
            while "task-succeeded" not in seen:
                draining.drain_events(timeout=PATIENCE_SECONDS)
    assert [kind for kind in seen if kind != "task-sent"] == ["task-received", "task-started", "task-succeeded"]

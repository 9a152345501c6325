"""Celery's native delayed delivery: the broker keeps a task until it is due, and the worker is free meanwhile."""

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import tasks
from celery import Celery
from programs.celery_worker import running_worker

PATIENCE_SECONDS = 60
LEVELS = 28


def result(pending):
    return pending.get(timeout=PATIENCE_SECONDS)


def eventually(look):
    """What `look` returns once that is something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)
    return found


def level(app, number):
    """How many messages wait in the queue of a level."""
    with app.connection_for_read() as connection:
        return connection.default_channel.queue_declare(f"celery_delayed_{number}", passive=True).message_count


@pytest.mark.usefixtures("worker")
def test_the_worker_declares_every_level_and_again(app):
    assert [level(app, number) for number in range(LEVELS)] == [0] * LEVELS
    # Whoever comes later declares the same.
    with running_worker(Path(__file__).parent):
        pass


@pytest.mark.usefixtures("worker")
def test_a_countdown_passes_several_levels_and_is_not_cut_short():
    sent = time.time()
    assert result(tasks.now.apply_async(countdown=3)) >= sent + 3


@pytest.mark.usefixtures("worker")
def test_an_eta_is_kept():
    eta = datetime.now(timezone.utc) + timedelta(seconds=2)
    assert result(tasks.now.apply_async(eta=eta)) >= eta.timestamp()


def test_the_broker_has_a_delayed_task_and_not_the_worker(app, worker):
    tasks.now.apply_async(countdown=100_000)
    # The highest bit of the delay: 65,536 s.
    eventually(lambda: level(app, 16) == 1)
    inspect = app.control.inspect([worker], timeout=15, limit=1)
    assert (inspect.scheduled(), inspect.reserved()) == ({worker: []}, {worker: []})
    with app.connection_for_write() as connection:
        assert connection.default_channel.queue_purge("celery_delayed_16") == 1


@pytest.mark.usefixtures("worker")
def test_a_task_without_delay_overtakes_those_that_wait():
    later = [tasks.now.apply_async(countdown=5) for _ in range(20)]
    soon = result(tasks.now.delay())
    assert all(result(each) > soon for each in later)


@pytest.mark.usefixtures("worker")
def test_many_tasks_with_different_delays_run_once_each_and_none_too_early():
    sent = time.time()
    pending = {1 + number % 5: [] for number in range(5)}
    for number in range(100):
        delay = 1 + number % 5
        pending[delay].append(tasks.now.apply_async(countdown=delay))
    for delay, waiting in pending.items():
        assert all(result(each) >= sent + delay for each in waiting)


@pytest.mark.usefixtures("worker")
def test_retries_are_delayed_by_the_broker_until_the_task_succeeds():
    sent = time.time()
    assert result(tasks.succeed_on_attempt.delay(2)) == 2
    assert time.time() >= sent + 2


@pytest.mark.skipif("INTEROP_BROKER" not in os.environ, reason="the broker is one that somebody else runs")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_delayed_task_survives_the_broker(end, tmp_path):
    notes = tmp_path / "notes"
    with own_broker(tmp_path) as broker:
        app = Celery("interop", broker=broker.uri)
        app.conf.update(**{key: tasks.app.conf[key] for key in (
            "task_default_queue", "task_default_queue_type", "task_default_exchange", "task_default_exchange_type",
            "task_default_routing_key", "broker_transport_options")})
        with running_worker(Path(__file__).parent, {**os.environ, "INTEROP_URI": broker.uri}):
            sent = time.time()
            app.send_task("tasks.note", (str(notes),), countdown=6)
            app.close()
            broker.end(end)
            broker.start()
            # Killed in the middle of a hop a task may come twice, and never not at all.
            ran = eventually(lambda: notes.exists() and notes.read_text().split())
    assert float(ran[0]) >= sent + 6
    assert len(ran) == 1 or end == signal.SIGKILL


class OwnBroker:
    """A broker of one test's own, which comes back at the same address with the same data."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"amqp://guest:guest@127.0.0.1:{self.port}"

    def start(self):
        log = self.folder / "broker.log"
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [os.environ["INTEROP_BROKER"], "server", "--listen", f"127.0.0.1:{self.port}",
                 "--data-dir", str(self.folder / "data"), "--management-listen", "off", "--prometheus-listen", "off"],
                cwd=self.folder, stdout=out, stderr=subprocess.STDOUT)
        eventually(lambda: self.process.poll() is not None or "Server startup complete" in log.read_text())
        assert self.process.poll() is None, log.read_text()[-3000:]

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(PATIENCE_SECONDS)


@contextmanager
def own_broker(folder):
    broker = OwnBroker(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.end(signal.SIGKILL)

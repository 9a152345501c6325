"""The tasks that the worker under test runs; imported by the worker process and by the tests."""

import os
import time

from celery import Celery

URI = os.environ["INTEROP_URI"]
QUEUE = os.environ.get("INTEROP_CELERY_QUEUE", "interop.celery")

app = Celery("interop", broker=URI, backend="rpc://")
app.conf.update(
    task_default_queue=QUEUE,
    # The direct exchange and its key are named after the queue, so that runs against a shared broker stay apart.
    task_default_exchange=QUEUE,
    task_default_routing_key=QUEUE,
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    task_send_sent_event=True,
    worker_send_task_events=True,
    result_expires=60,
    broker_connection_retry_on_startup=True,
    control_queue_ttl=60,
    broker_transport_options={"confirm_publish": True},
)


@app.task
def add(a, b):
    return a + b


@app.task
def echo(value):
    return value


@app.task
def fail(text):
    raise ValueError(text)


@app.task(bind=True, max_retries=5)
def succeed_on_attempt(self, attempt):
    """Fail until the given attempt; each retry is a message of its own with an ETA."""
    if self.request.retries < attempt:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def now():
    return time.time()


@app.task
def nap(seconds):
    time.sleep(seconds)
    return seconds


@app.task(bind=True)
def delivery(self):
    """What the broker said about this very message."""
    info = self.request.delivery_info
    return {"routing_key": info["routing_key"], "redelivered": info["redelivered"], "priority": info.get("priority")}

"""Tasks in a quorum queue. Celery has the broker delay those with a countdown or an ETA then: through a lattice of 28 queues
with a time to live, one for each bit of the delay in seconds. Imported by the worker process and by the tests."""

import os
import time

from celery import Celery

QUEUE = os.environ.get("INTEROP_CELERY_QUEUE", "interop.celery.delayed")

app = Celery("interop", broker=os.environ["INTEROP_URI"], backend="rpc://")
app.conf.update(
    task_default_queue=QUEUE,
    task_default_queue_type="quorum",
    task_default_exchange=QUEUE,
    # Others than direct exchanges can be delayed.
    task_default_exchange_type="topic",
    task_default_routing_key=QUEUE,
    worker_detect_quorum_queues=True,
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    result_expires=60,
    broker_connection_retry_on_startup=True,
    control_queue_ttl=60,
    broker_transport_options={"confirm_publish": True},
)


@app.task
def now():
    return time.time()


@app.task(bind=True, max_retries=5)
def succeed_on_attempt(self, attempt):
    """Fail until the given attempt; each retry is a message of its own, delayed by the broker."""
    if self.request.retries < attempt:
        raise self.retry(countdown=1)
    return self.request.retries


@app.task
def note(path):
    """Write down when this was: a result would not outlive the broker."""
    with open(path, "a") as notes:
        notes.write(f"{time.time()}\n")

"""A real worker process, shared by all tests of the session."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest

START_SECONDS = 30
STOP_SECONDS = 15

os.environ.setdefault("INTEROP_CELERY_QUEUE", f"interop.celery.{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="session")
def app():
    from tasks import app

    yield app
    app.close()


@pytest.fixture(scope="session")
def worker(app):
    """The name of a running worker with two processes."""
    name = f"worker-{uuid.uuid4().hex[:8]}@localhost"
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-n", name, "-c", "2", "-l", "INFO"],
            cwd=Path(__file__).parent, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(process, log.name)
            yield name
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # A warm shutdown cancels the consumers and waits for the tasks: it must not end in an error.
        assert process.returncode == 0, Path(log.name).read_text()[-3000:]


def wait_until_ready(process, log):
    deadline = time.monotonic() + START_SECONDS
    while " ready." not in Path(log).read_text():
        text = Path(log).read_text()
        assert process.poll() is None and time.monotonic() < deadline, f"the worker did not start:\n{text[-3000:]}"
        time.sleep(0.1)

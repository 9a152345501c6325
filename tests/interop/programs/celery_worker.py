"""A real Celery worker process."""

import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30
STOP_SECONDS = 15


@contextmanager
def running_worker(folder, environment=None):
    """The name of a running worker with two processes, for the tasks in `folder`."""
    name = f"worker-{uuid.uuid4().hex[:8]}@localhost"
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-n", name, "-c", "2", "-l", "INFO"],
            cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
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

"""A real worker process, shared by all tests of the session but those that restart their broker."""

import os
import uuid
from pathlib import Path

import pytest
from programs.celery_worker import running_worker

os.environ.setdefault("INTEROP_CELERY_QUEUE", f"interop.celery.{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="session")
def app():
    from tasks import app

    yield app
    app.close()


@pytest.fixture(scope="session")
def worker(app):
    """The name of a running worker with two processes."""
    with running_worker(Path(__file__).parent) as name:
        yield name

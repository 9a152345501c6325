"""Fixtures that every client's programs share."""

import os
import uuid

import pytest


@pytest.fixture(scope="session")
def uri():
    """The broker under test, as the run script names it."""
    return os.environ["INTEROP_URI"]


@pytest.fixture
def name(request):
    """A name of its own for each test's queues and exchanges, since tests may share a running broker."""
    return f"interop.{request.node.originalname}.{uuid.uuid4().hex[:8]}"

"""A pytest plugin that gives the suites of aiormq and aio-pika the broker under test where they would start a container.

Both ask for fixtures that run a broker image with Docker. aiormq's archive leaves its fixtures out altogether; those of
aio-pika only check that something answers at DOCKER_HOST, which the run script points at the broker.
"""

import os
from types import SimpleNamespace

import pytest
from yarl import URL

BROKER = URL(os.environ["INTEROP_URI"])
# Nothing listens on port 1: tests that need TLS are in the skip lists.
CONTAINER = SimpleNamespace(
    id="broker", host=BROKER.host, ports={"5672/tcp": BROKER.port, "5671/tcp": 1})


@pytest.fixture(scope="session")
def rabbitmq_container():
    return CONTAINER


@pytest.fixture(scope="session")
def amqp_direct_url():
    return BROKER.with_path("//")


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    """Replace aio-pika's `docker` fixture, which its conftest defines and so would win over one of this plugin."""
    if fixturedef.argname != "docker":
        return None
    fixturedef.cached_result = (lambda image, ports, environment=None: CONTAINER, fixturedef.cache_key(request), None)
    return fixturedef.cached_result[0]

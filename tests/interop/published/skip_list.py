"""A pytest plugin that skips the tests named in a file, each with the reason given there.

A line is `pattern: reason`; the pattern is matched against the test's node id as in a shell, except that brackets stand
for themselves. A pattern that matches nothing is an error, so that the list does not outlive what it skips.
"""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--skip-list")


def pytest_collection_modifyitems(config, items):
    for pattern, reason in read(config.getoption("--skip-list")):
        matching = [item for item in items if fnmatchcase(item.nodeid, pattern.replace("[", "[[]"))]
        if not matching:
            raise pytest.UsageError(f"no test matches the skip {pattern!r}")
        for item in matching:
            item.add_marker(pytest.mark.skip(reason=reason))


def read(path):
    if path and Path(path).exists():
        for line in Path(path).read_text().splitlines():
            if line and not line.startswith("#"):
                pattern, reason = line.rsplit(": ", 1)
                yield pattern, reason

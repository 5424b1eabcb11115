"""Worlds to replicate in: a source, a destination and a daemon."""

import os

import pytest

from lib.world import MIB, make_world


@pytest.fixture
def world(pair, bucket):
    """On every pair of servers."""
    with make_world(*pair, bucket) as made:
        yield made


@pytest.fixture
def local(bucketd, bucketd2, bucket):
    """Between two bucketd."""
    with make_world(bucketd, bucketd2, bucket) as made:
        yield made


@pytest.fixture
def on_rgw(rgw, bucket):
    with make_world(rgw, rgw, bucket) as made:
        yield made


@pytest.fixture(scope="session")
def noise():
    """noise(n): n bytes that do not repeat within 100 MiB, the same in every call."""
    body = os.urandom(100 * MIB + 1)
    return lambda size: body[:size]

"""Servers for every test, each started once a session and only when a test asks for it.

`pair` runs a test over several kinds of server: it gives (source, destination).
"""

import contextlib
import os
import sys

import pytest

from lib import servers


def left_out(reason):
    """A missing program is a skip with its reason; with --all only what needs Go may be missing."""
    if os.environ.get("REPL_ALL") == "1" and not reason.optional:
        pytest.fail(str(reason))
    pytest.skip(str(reason))


def start(server_class, *args):
    """The steps of a session fixture."""
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(server_class(*args))
        except servers.Missing as reason:
            left_out(reason)


@pytest.fixture(scope="session")
def bucketd():
    from lib.bucketd import Bucketd
    yield from start(Bucketd)


@pytest.fixture(scope="session")
def bucketd2():
    """A second bucketd, for tests that need two servers."""
    from lib.bucketd import Bucketd
    yield from start(Bucketd)


@pytest.fixture(scope="session")
def rgw():
    yield from start(servers.Rgw)


@pytest.fixture(scope="session")
def rgw_tls(rgw):
    yield from start(servers.Nghttpx, rgw)


@pytest.fixture(scope="session")
def minio():
    yield from start(servers.Minio)


@pytest.fixture(scope="session")
def moto():
    from lib.moto import Moto
    yield from start(Moto)


@pytest.fixture
def wan():
    """wan(**settings): a Wan as in lib/wan.py, which is gone after the test."""
    from lib.wan import Wan
    with contextlib.ExitStack() as stack:
        def make(**settings):
            try:
                return stack.enter_context(Wan(**settings))
            except servers.Missing as reason:
                left_out(reason)
        yield make


@pytest.fixture(scope="session")
def rclone():
    """The path of an rclone: a current one where there is one, Debian's otherwise."""
    try:
        return servers.rclone_program()
    except servers.Missing as reason:
        left_out(reason)


@pytest.fixture(scope="session")
def s3client():
    """s3client(server): a boto3 client of any server."""
    return servers.s3_client


PAIRS = {
    "bucketd": ("bucketd", "bucketd2"),
    "rgw": ("rgw", "rgw"),
    "rgw_tls": ("rgw", "rgw_tls"),
    "minio": ("minio", "rgw"),
}


def pytest_collection_modifyitems(items):
    """Slow tests go first: nobody waits for one in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_runtest_logreport(report):
    """A failure is named at once: the stage may be cut off before its end."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nfailed: {report.nodeid} ({report.when})", file=sys.__stderr__, flush=True)


@pytest.fixture(params=PAIRS)
def pair(request):
    """(source, destination): the test runs once for each pair of servers."""
    return tuple(request.getfixturevalue(name) for name in PAIRS[request.param])


@pytest.fixture
def bucket(request):
    """bucket(server): a new empty bucket on it, with a name of its own."""
    made = []

    def make(server):
        name = servers.new_bucket_name()
        servers.s3_client(server).create_bucket(Bucket=name)
        made.append((server, name))
        return name

    yield make
    for server, name in made:
        servers.empty_bucket(server, name)

"""Several ways to one endpoint, and the operator's word on them."""

import contextlib
import json
import socket

import pytest

from lib.proxy import deaf_port
from lib.repld import command
from lib.world import PART, make_world


@pytest.fixture
def two_ways(bucketd, bucketd2, bucket):
    """dst is reached by two names of the same address."""
    second = {"paths": {"second": {"url": bucketd2.url.replace("127.0.0.1", "127.1")}}}
    with make_world(bucketd, bucketd2, bucket, endpoint_options={"dst": second}) as made:
        yield made


def _paths(world):
    found = world.repld.ctl("lanes", "dst", json_out=True)["paths"]
    return {path["path"]: path for path in found}


def _used(world):
    return {name for name, path in _paths(world).items() if path["lanes"] > 0}


def test_a_path_is_fixed_forbidden_and_freed(two_ways):
    ctl = two_ways.repld.ctl
    assert "fixed" in ctl("path", "fix", "dst", "second").stdout
    assert _paths(two_ways)["second"]["order"] == "fix"
    assert "fixed" in ctl("lanes", "dst").stdout
    two_ways.add_rule()
    two_ways.put_all({"a": b"a"})
    two_ways.settle()
    assert _used(two_ways) == {"second"}
    ctl("path", "forbid", "dst", "second")
    assert "forbidden" in ctl("lanes", "dst").stdout
    two_ways.put_all({"b": b"b"})
    two_ways.settle()
    assert "direct" in _used(two_ways)
    ctl("path", "free", "dst", "second")
    assert [path["order"] for path in _paths(two_ways).values()] == [None, None]
    two_ways.compare()


def test_orders_that_cannot_be_obeyed_are_refused(two_ways):
    ctl = two_ways.repld.ctl
    ctl("path", "forbid", "dst", "second")
    for words, said in ((("forbid", "dst", "direct"), "no path left"),
                        (("fix", "dst", "third"), "third"),
                        (("fix", "nowhere", "direct"), "nowhere")):
        refused = ctl("path", *words, check=False)
        assert refused.returncode == 1 and said in refused.stderr, refused.stderr
    assert _paths(two_ways)["direct"]["order"] is None


def test_a_reload_frees_paths(two_ways):
    two_ways.repld.ctl("path", "fix", "dst", "second")
    two_ways.repld.ctl("reload")
    assert [path["order"] for path in _paths(two_ways).values()] == [None, None]


# --- a path that is dead from the beginning ---


@contextlib.contextmanager
def _refusing():
    """An address that nobody listens at."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextlib.contextmanager
def _swallowing():
    """Connections stand, and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(params=[_refusing, _swallowing, deaf_port], ids=["refusing", "swallowing", "deaf"])
def half_dead(request, bucketd, bucketd2, bucket):
    """The own url of both endpoints is dead, their second path is not."""
    with request.param() as port:
        ways = {name: {"url": f"http://127.0.0.1:{port}",
                       "paths": {"second": {"url": server.url}}}
                for name, server in (("src", bucketd), ("dst", bucketd2))}
        with make_world(bucketd, bucketd2, bucket, endpoint_options=ways) as made:
            yield made


def _published(world):
    with contextlib.suppress(world.destination_client.exceptions.NoSuchKey):
        return json.loads(world.at_destination("_repl/watermark/rule/test.json"))["watermark_ms"]


def test_a_dead_path_holds_nothing_up(half_dead, noise):
    """Preflight, listing, small and large copies, deletes and the watermark object."""
    objects = {"large": noise(2 * PART), **{f"small/{i}": noise(i) for i in range(20)}}
    for key, body in objects.items():
        half_dead.put(key, body)
    half_dead.add_rule("--existing", "--deletes", "propagate")
    half_dead.settle()
    half_dead.put_all({"later": b"later", "large2": noise(3 * PART)})
    half_dead.settle()
    half_dead.announce([half_dead.delete("small/3")], "delete")
    half_dead.settle()
    half_dead.repld.ctl("scan", "start", "rule")
    half_dead.settle()
    half_dead.compare()
    half_dead.assert_no_uploads()
    half_dead.repld.wait_for(lambda: _published(half_dead), "the watermark object")
    assert half_dead.repld.metric("repl_path_up", path="direct") == 0
    assert half_dead.repld.metric("repl_path_up", path="second") == 2
    assert half_dead.repld.ctl("failures", "list", "rule", json_out=True)["failures"] == []


def test_a_migration_goes_round_a_dead_path(half_dead, noise, tmp_path):
    for key, body in {"large": noise(2 * PART), **{f"{i}": noise(i) for i in range(20)}}.items():
        half_dead.put(key, body)
    done = command("replctl", "migrate", f"src/{half_dead.from_bucket}/",
                   f"dst/{half_dead.to_bucket}/", "--config", half_dead.repld.conf_path,
                   "--source-endpoint", "src", "--destination-endpoint", "dst",
                   "--journal", tmp_path / "migrate.db", timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    half_dead.compare()
    half_dead.assert_no_uploads()

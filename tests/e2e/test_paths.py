"""Several ways to one endpoint, and the operator's word on them."""

import pytest

from lib.world import make_world


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

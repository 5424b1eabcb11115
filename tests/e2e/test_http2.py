"""A destination that speaks HTTP/2: it is spoken to in HTTP/2, and what goes wrong with it costs
neither objects nor parts."""

import contextlib

from lib.servers import Nghttpx
from lib.world import MIB, PART, make_world


@contextlib.contextmanager
def world_of(source, destination, bucket, **conf):
    """Its buckets are made without the fronts, which are gone when they are emptied."""
    def make(server):
        return bucket(getattr(server, "backend", server))

    with make_world(source, destination, make, **conf) as world:
        world.add_rule("--deletes", "propagate", "--deletes-brake", "off")
        yield world


@contextlib.contextmanager
def behind(bucketd, bucketd2, bucket, *options, **endpoint):
    """A world whose destination stands behind nghttpx, and the front."""
    with Nghttpx(bucketd2, *options) as front:
        with world_of(bucketd, front, bucket, endpoint_options={"dst": endpoint}) as world:
            yield world, front


def objects(noise):
    return {"large": noise(5 * PART + 17), "empty": b"", "odd +name/ä": noise(1000),
            **{f"page/{number}": noise(100 * number) for number in range(300)}}


def test_bodies_of_every_size(bucketd, bucketd2, bucket, noise):
    with behind(bucketd, bucketd2, bucket) as (world, front):
        world.put_all(objects(noise))
        world.settle()
        world.compare()
        world.assert_no_uploads()
        puts = [alpn for alpn, _, status, request in front.accesses()
                if request.startswith("PUT ") and "/page/" in request and status == "200"]
        assert puts == ["h2"] * 300
        keys = [world.delete(f"page/{number}") for number in range(300)]
        world.announce(keys, "delete")
        world.settle()
        world.compare()


def test_the_smallest_windows(bucketd, bucketd2, bucket, noise):
    with behind(bucketd, bucketd2, bucket, "--frontend-http2-window-size=65535",
                "--frontend-http2-connection-window-size=65535") as (world, front):
        world.put_all(objects(noise))
        world.settle()
        world.compare()


def test_source_and_destination_at_once(bucketd, bucketd2, bucket, noise):
    with Nghttpx(bucketd) as source, Nghttpx(bucketd2) as destination:
        with world_of(source, destination, bucket) as world:
            world.put_all(objects(noise))
            world.settle()
            world.compare()
            assert any(alpn == "h2" and request.startswith("GET ")
                       for alpn, _, _, request in source.accesses())


def test_every_connection_ends_soon(bucketd, bucketd2, bucket, noise):
    """GOAWAY after seven requests, again and again, while others are under way. On a busy machine
    the windows of nghttpx would hold bodies up, and large ones go on in HTTP/1.1."""
    with behind(bucketd, bucketd2, bucket, "--frontend-max-requests=7", http="2") as (world, _):
        before = bucketd2.stats()["requests"].get("UploadPart", 0)
        world.put_all(objects(noise))
        world.settle()
        world.compare()
        world.assert_no_uploads()
        assert bucketd2.stats()["requests"]["UploadPart"] - before == 6


def test_front_is_killed_and_comes_back(bucketd, bucketd2, bucket, noise):
    with behind(bucketd, bucketd2, bucket) as (world, front):
        world.put_all({f"before/{number}": noise(2 * MIB) for number in range(20)})
        world.put_all({f"during/{number}": noise(MIB) for number in range(60)})
        front.process.kill()
        front.launch()
        world.settle()
        world.compare()
        world.assert_no_uploads()


def test_http_1_1_where_the_server_wants_it(bucketd, bucketd2, bucket, noise):
    with behind(bucketd, bucketd2, bucket, "--npn-list=http/1.1") as (world, front):
        world.put_all({f"page/{number}": noise(1000) for number in range(20)})
        world.settle()
        world.compare()
        assert {alpn for alpn, _, _, request in front.accesses() if "/page/" in request} == {
            "http/1.1"}

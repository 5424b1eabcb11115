"""Reloads that close the connections of an endpoint while copies run on them."""

import concurrent.futures

from lib.proxy import deaf_port
from lib.world import make_world

OBJECTS = 2000
RELOADS = 20


def test_connections_in_every_state_are_closed_under_copies(bucketd, bucketd2, bucket):
    """At each reload some are idle, some at work, and one to the second path does not yet stand."""
    with deaf_port() as port:
        options = {"connections": 20, "paths": {"second": {"url": f"http://127.0.0.1:{port}"}}}
        with make_world(bucketd, bucketd2, bucket, endpoint_options={"src": options}) as world:
            with concurrent.futures.ThreadPoolExecutor(4) as several:
                list(several.map(lambda i: world.put(f"{i:04d}", b"x"), range(OBJECTS)))
            world.add_rule("--existing")
            for i in range(RELOADS):
                options["connections"] = 20 + i % 2
                world.announce(f"{i * 100 + k:04d}" for k in range(100))
                world.repld.write_conf()
                world.repld.ctl("reload")
            world.settle()
            world.compare()

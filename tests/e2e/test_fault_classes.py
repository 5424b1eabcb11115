"""Each fault of bucketd: which class it has for repld, and that what it met arrives all the same."""

import pathlib
import re

import pytest

from lib.world import PART, make_world

# fault: (server, operation, members of the fault; (endpoint, operation, result) in the metrics)
FAULTS = {
    "status": ("destination", "PutObject", {"status": 500, "code": "InternalError"},
               ("dst", "PutObject", "retry")),
    "retry_after": ("destination", "PutObject",
                    {"status": 503, "code": "SlowDown", "delay_ms": 1000},
                    ("dst", "PutObject", "throttle")),
    "slow": ("destination", "PutObject", {"delay_ms": 500}, ("dst", "PutObject", "ok")),
    "hang": ("destination", "PutObject", {}, ("dst", "PutObject", "retry")),
    "reset": ("destination", "PutObject", {"after_bytes": 10}, ("dst", "PutObject", "retry")),
    "lost_answer": ("destination", "PutObject", {}, ("dst", "PutObject", "retry")),
    "wrong_etag": ("destination", "PutObject", {}, ("dst", "HeadObject", "ok")),
    "error_in_200": ("destination", "CompleteMultipartUpload",
                     {"status": 500, "code": "InternalError"},
                     ("dst", "CompleteMultipartUpload", "retry")),
    "corrupt_body": ("source", "GetObject", {"after_bytes": 10}, ("dst", "PutObject", "corrupt")),
}
# What is no operation of a copy is not in these metrics: test_faults.py has a listing whose document
# is cut off, test_scan.py those that end too early or leave keys out and say nothing of it.
ELSEWHERE = {"truncated_list", "cut_list", "thin_list"}
HEADER = pathlib.Path(__file__).parents[1] / "bucketd/fault.h"


def test_no_fault_is_left_out():
    known = set(re.findall(r"FAULT\((\w+)\)", HEADER.read_text())) - {"none", "name"}
    assert known == set(FAULTS) | ELSEWHERE


@pytest.mark.parametrize("action", FAULTS)
def test_class_and_end(bucketd, bucketd2, bucket, noise, action):
    side, operation, members, (endpoint, counted, result) = FAULTS[action]
    with make_world(bucketd, bucketd2, bucket) as world:
        world.add_rule()
        server = getattr(world, side)
        server.fault(action, op=operation, key_prefix="k", count=1, **members)
        try:
            world.put_all({"k": noise(2 * PART if "Multipart" in operation else 1000)})
            world.settle()
        finally:
            server.clear_faults()
        world.compare()
        world.assert_no_uploads()
        seen = {name: value for name, value in world.repld.metrics().items()
                if name.startswith("repl_endpoint_operations_total")}
        assert world.repld.metric("repl_endpoint_operations_total", endpoint=endpoint,
                                  operation=counted, result=result) >= 1, seen

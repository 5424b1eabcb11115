"""What others are told by HTTP POST, and what happens when they do not listen."""

import contextlib
import hashlib
import hmac
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lib.world import make_world

ALL = ["replicated", "missed", "late", "failed", "brake", "watermark"]


class Receiver:
    """Keeps every request; answers with `status`."""

    def __init__(self):
        self.status = 200
        self.requests = []
        self.lock = threading.Lock()

    def handle(self, path, headers, body):
        with self.lock:
            if self.status == 200:
                self.requests.append((path, dict(headers), body))
            return self.status

    def records(self, kind=None):
        with self.lock:
            found = [record for _, _, body in self.requests
                     for record in json.loads(body)["Records"]]
        return [one for one in found if kind is None or one["repld"]["kind"] == kind]

    def keys(self, kind):
        return [urllib.parse.unquote_plus(one["s3"]["object"]["key"])
                for one in self.records(kind)]


@pytest.fixture
def receiver():
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(made.handle(self.path, self.headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/hook?x=1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def world_with(bucketd, bucketd2, bucket, receiver, **target):
    events = {"indexer": {"url": receiver.url, "kinds": ALL, **target}}
    with make_world(bucketd, bucketd2, bucket, events=events) as world:
        yield world


def status(world):
    return world.repld.ctl("status", json_out=True)["events"][0]


def test_objects_are_told_of_in_order_signed_and_with_their_token(bucketd, bucketd2, bucket,
                                                                  receiver, tmp_path):
    (tmp_path / "token").write_text("letmein-letmein-letmein\n")
    (tmp_path / "headers").write_text("X-Tenant: crawl\nX-Other: 1\n")
    (tmp_path / "secret").write_text("s3cr3t\n")
    places = {name: {"file": str(tmp_path / name)} for name in ("token", "headers", "secret")}
    with world_with(bucketd, bucketd2, bucket, receiver, batch=3, **places) as world:
        world.add_rule("--deletes", "propagate", to_prefix="copy/")
        world.put_all({"a b/+%ü": b"12345"})
        world.settle()
        for number in range(5):
            world.put_all({"same": b"%d" % number})
            world.settle()
        world.announce([world.delete("same")], kind="delete")
        world.settle()
        world.repld.wait_for(lambda: len(receiver.records("replicated")) >= 7, "all events")
        assert receiver.keys("replicated") == ["a b/+%ü"] + 6 * ["same"]
        first, *_, last = receiver.records("replicated")
        assert first["eventSource"] == "repld" and first["eventVersion"].startswith("2.")
        assert first["eventName"] == "Replication:OperationCompletedReplication"
        assert first["s3"]["bucket"]["name"] == world.from_bucket
        assert first["s3"]["object"]["size"] == 5
        assert first["s3"]["object"]["eTag"] == hashlib.md5(b"12345").hexdigest()
        assert first["replicationEventData"]["s3Operation"] == "OBJECT_PUT"
        there = first["repld"]["destination"]
        assert there["bucket"] == world.to_bucket
        assert urllib.parse.unquote_plus(there["object"]["key"]) == "copy/a b/+%ü"
        assert first["repld"]["latencyMs"] >= 0
        assert last["replicationEventData"]["s3Operation"] == "OBJECT_DELETE"
        for path, headers, body in receiver.requests:
            assert path == "/hook?x=1"
            assert headers["Authorization"] == "Bearer letmein-letmein-letmein"
            assert headers["X-Tenant"] == "crawl" and headers["X-Other"] == "1"
            want = hmac.new(b"s3cr3t", body, hashlib.sha256).hexdigest()
            assert headers["X-Repld-Signature"] == f"sha256={want}"
            assert len(json.loads(body)["Records"]) <= 3
        assert "letmein" not in world.repld.logs() and "s3cr3t" not in world.repld.logs()


def test_nothing_is_lost_while_nobody_listens_nor_by_a_kill(bucketd, bucketd2, bucket, receiver):
    with world_with(bucketd, bucketd2, bucket, receiver) as world:
        receiver.status = 503
        world.add_rule()
        keys = [f"k{number:02d}" for number in range(20)]
        world.put_all({key: b"x" for key in keys})
        world.settle()
        world.repld.wait_for(lambda: status(world)["failures"] > 0, "a refusal")
        assert status(world)["failure"]["text"].endswith("HTTP 503")
        assert "indexer" in world.repld.ctl("status").stdout
        world.repld.kill9()
        receiver.status = 200
        world.repld.start()
        world.repld.wait_for(lambda: sorted(set(receiver.keys("replicated"))) == keys, "all")
        world.repld.wait_for(lambda: receiver.records("watermark"), "an advance")
        assert all(one["repld"]["watermark"] for one in receiver.records("watermark"))


def test_missed_late_and_failed(bucketd, bucketd2, bucket, receiver):
    with world_with(bucketd, bucketd2, bucket, receiver,
                    kinds=["missed", "late", "failed"]) as world:
        world.add_rule("--objective", "1s")
        world.put_all({"first": b"1"})
        world.settle()
        world.repld.ctl("rule", "pause", "rule")
        world.put_all({"slow": b"1"})
        world.repld.wait_for(lambda: receiver.keys("missed") == ["slow"], "missed")
        world.repld.ctl("rule", "resume", "rule")
        world.repld.wait_for(lambda: receiver.keys("late") == ["slow"], "late")
        event = receiver.records("late")[0]
        assert event["eventName"] == "Replication:OperationReplicatedAfterThreshold"
        assert event["replicationEventData"]["threshold"] == 1
        bucketd2.fault("status", op="PutObject", key_prefix="bad", status=400,
                       code="InvalidArgument", count=-1)
        world.put_all({"bad": b"1"})
        world.repld.wait_for(lambda: receiver.keys("failed") == ["bad"], "failed")
        bucketd2.clear_faults()
        assert receiver.records("failed")[0]["replicationEventData"]["failureReason"]
        assert receiver.records("replicated") == [], "nobody asked for it"


def test_too_many_drop_the_optional_ones_first(bucketd, bucketd2, bucket, receiver):
    with world_with(bucketd, bucketd2, bucket, receiver, kinds=["replicated", "late"],
                    queue=10) as world:
        receiver.status = 503
        world.add_rule("--objective", "1s", "--paused")
        world.put_all({f"late{number}": b"x" for number in range(4)})
        world.repld.wait_for(
            lambda: world.repld.ctl("lag", "rule", json_out=True)["rules"][0]["late_objects"] == 4,
            "late ones")
        world.repld.ctl("rule", "resume", "rule")
        world.settle()
        world.put_all({f"k{number:02d}": b"x" for number in range(30)})
        world.settle()
        receiver.status = 200
        world.repld.wait_for(lambda: status(world)["waiting"] == 0, "the rest")
        assert sorted(receiver.keys("late")) == [f"late{number}" for number in range(4)]
        assert len(receiver.records("replicated")) == 6
        assert status(world)["dropped"] == 28

"""Queues of SQS, as moto has them: its S3 sends the notifications, its SQS keeps them, its IAM checks
how we sign."""

import contextlib
import json
import random
import re

import pytest

from lib import moto as lib
from lib.repld import Repld, write_credentials
from lib.servers import new_bucket_name, s3_client
from lib.world import World

VISIBILITY = "10s"  # the least: a message that was in hand at a kill comes again so much later


class QueueWorld(World):
    """Source and queue at moto, which tells of the source's objects by itself."""

    def __init__(self, source, destination, queue, bucket, to_bucket, repld):
        super().__init__(source, destination, None, repld, names=(bucket, to_bucket))
        self.queue = queue

    def empty(self):
        """Every message was taken and deleted."""
        self.repld.wait_for(lambda: self.queue.counts() == (0, 0), "an empty queue", 60)

    def arrives(self, keys, timeout_s=60):
        want, have = set(keys), set()

        def all_are_there():
            have.clear()
            have.update(self.destination_keys())
            return have == want
        try:
            self.repld.wait_for(all_are_there, "objects", timeout_s)
        except TimeoutError:
            raise AssertionError(f"missing {sorted(want - have)}, too many {sorted(have - want)}, "
                                 f"queue {self.queue.counts()}") from None

    def status(self):
        return self.repld.ctl("status", json_out=True)["queues"][0]


def listening_queue(server):
    """(bucket, queue) at a moto, the bucket telling the queue."""
    name = new_bucket_name()
    client = s3_client(server)
    client.create_bucket(Bucket=name,
                         CreateBucketConfiguration={"LocationConstraint": server.region})
    queue = lib.Queue(server, name)
    queue.listen_to(client, name)
    return name, queue


@contextlib.contextmanager
def open_world(server, source, destination, make_bucket, url=None):
    bucket, queue = source
    conf = {"endpoint": "src", "bucket": bucket, "url": url or queue.url, "region": server.region,
            "visibility": VISIBILITY}
    to_bucket = make_bucket(destination)
    with Repld({"src": server, "dst": destination}, part_max="5MiB",
               queues={"events": conf}) as repld:
        world = QueueWorld(server, destination, queue, bucket, to_bucket, repld)
        world.add_rule("--no-preflight", "--deletes", "propagate", "--deletes-brake", "off")
        yield world


@pytest.fixture
def source(moto):
    return listening_queue(moto)


@pytest.fixture
def world(moto, source, bucketd, bucket):
    with open_world(moto, source, bucketd, bucket) as made:
        yield made


@pytest.mark.smoke
def test_notifications_become_objects(world):
    keys = ["plain", "with blank", "a+b", "100%25", "deep/er/ä", "~*'()"]
    for key in keys:
        world.put(key, key.encode())
    world.arrives(keys)
    for key in keys:
        assert world.at_destination(key) == key.encode()
    world.delete("a+b")
    keys.remove("a+b")
    world.arrives(keys)
    world.empty()
    status = world.status()
    assert status["read"] and status["bad_messages"] == 0
    assert world.repld.metric("repl_queue_messages_total", queue="events") >= len(keys) + 1
    assert world.repld.metric("repl_queue_up", queue="events") == 1
    assert "events" in world.repld.ctl("status").stdout


def test_envelopes(world):
    bucket = world.from_bucket
    world.source_client.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={})
    keys = [f"k{n}" for n in range(4)]
    for key in keys:
        world.put(key, b"x")
    body = {"Records": [lib.record(bucket, "k0"), lib.record(bucket, "k1")]}
    sns = {"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:x:1:t",
           "Message": json.dumps({"Records": [lib.record(bucket, "k2")]})}
    bridge = {"version": "0", "detail-type": "Object Created", "source": "aws.s3",
              "time": "2026-11-23T10:20:30Z",
              "detail": {"bucket": {"name": bucket}, "object": {"key": "k3", "size": 1}}}
    world.queue.send(body, sns, bridge, {"Service": "Amazon S3", "Event": "s3:TestEvent"})
    world.arrives(keys)
    world.empty()


def test_what_cannot_be_read_is_kept_aside(world):
    world.queue.send("no JSON", {"Records": [lib.record(world.from_bucket, "k"), {"more": 1}]})
    world.put("k", b"x")
    world.arrives(["k"])
    world.empty()
    assert world.status()["bad_messages"] == 2
    shown = world.repld.ctl("feed", "show", "queue:events", json_out=True)["quarantine"]
    assert ["neither JSON" in row["reason"] for row in shown] == [True, False]
    assert "a message goes to the quarantine" in world.repld.logs()


def test_watermark_follows(world):
    """Also when nothing comes: an empty answer is a proof."""
    world.put("k", b"x")
    world.settle(120)
    assert world.destination_keys() == ["k"]
    lag = world.repld.ctl("lag", "rule", json_out=True)["rules"][0]
    assert lag["watermark_ms"] > 0


def test_kills_lose_nothing(world):
    """kill -9 in the middle, again and again, while objects are written, replaced and deleted."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    want = {}
    for _ in range(6):
        for _ in range(60):
            key = f"k{rng.randrange(150)}"
            if key in want and rng.random() < 0.2:
                world.delete(key)
                del want[key]
            else:
                want[key] = rng.randbytes(rng.randrange(2000))
                world.put(key, want[key])
        world.repld.wait_for(lambda: world.queue.counts()[1] > 0 or not any(world.queue.counts()),
                             "messages in hand", 30)
        world.repld.kill9()
        world.repld.start()
    world.arrives(want, 120)
    world.empty()
    world.repld.wait_for(lambda: all(world.at_destination(key) == body
                                     for key, body in want.items()), "the newest bodies", 60)
    assert world.repld.ctl("failures", "list", json_out=True)["failures"] == []


def test_other_clock_and_errors(moto, source, bucketd, bucket):
    """An hour of difference is corrected; a server that fails is asked again."""
    with lib.Door(moto, skew_s=3600) as door:
        url = f"{door.url}/{lib.ACCOUNT}/{source[1].name}"
        with open_world(moto, source, bucketd, bucket, url=url) as world:
            world.put("a", b"x")
            world.arrives(["a"])
            assert re.search("differs from ours by (3599|3600) s; corrected", world.repld.logs())
            door.fails = 3
            world.repld.wait_for(lambda: door.fails == 0, "three failures", 60)
            world.put("b", b"x")
            world.arrives(["a", "b"])
            world.empty()
            assert world.status()["failure"] is None


def test_signature_and_rights(moto, bucketd, bucket):
    """moto's IAM computes the signature itself; with a wrong secret nothing is read, and said so."""
    with lib.Moto() as server:
        name, queue = listening_queue(server)
        server.check_signatures()
        right, server.secret_key = server.secret_key, "wrong"
        with open_world(server, (name, queue), bucketd, bucket) as world:
            world.repld.wait_for(lambda: world.status()["failure"], "a failure")
            assert not world.status()["read"]
            server.secret_key = right
            write_credentials(world.repld.credentials, world.repld.endpoints)
            queue.sqs, world.source_client = lib.client(server, "sqs"), s3_client(server)
            world.put("k", b"x")
            world.arrives(["k"])
            world.empty()


def test_reload(world):
    world.put("a", b"x")
    world.arrives(["a"])
    world.repld.write_conf(queues={})
    world.repld.ctl("reload")
    assert world.repld.ctl("status", json_out=True)["queues"] == []
    world.put("b", b"x")
    world.repld.write_conf(queues={"other": {
        "endpoint": "src", "url": world.queue.url, "region": world.source.region,
        "visibility": VISIBILITY}})
    world.repld.ctl("reload")
    world.arrives(["a", "b"])
    assert world.status()["name"] == "other"

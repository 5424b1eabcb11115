"""Real senders: what Ceph RGW and MinIO push is what arrives."""

import json
import os
import pathlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import compare, servers
from lib.process import free_port
from lib.webhook import Hook
from lib.world import make_world

MANY = 10000 if os.environ.get("REPL_ALL") == "1" else 2000


@pytest.fixture
def hook(tmp_path):
    return Hook(tmp_path)


@pytest.fixture
def on_rgw(rgw, bucket, hook):
    with make_world(rgw, rgw, bucket, webhook=hook.conf(late="1min")) as world:
        world.add_rule("--deletes", "propagate", "--deletes-brake", "off")
        yield world
        # While somebody answers: RGW's deletes wait long for a webhook that is gone.
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(world.delete, compare.keys_of(world.source, world.from_bucket)))


def write_and_delete(world, count, kills=0):
    """count objects, of which a fifth is deleted again; the daemon is killed in between."""
    def put(number):
        world.put(f"p/{number % 50}/k {number:05d}+%.html", b"page %d" % number)

    def delete(number):
        world.delete(f"p/{number % 50}/k {number:05d}+%.html")

    with ThreadPoolExecutor(16) as pool:
        step = count // (kills + 1)
        for start in range(0, count, step):
            list(pool.map(put, range(start, min(start + step, count))))
            if kills > 0 and start + step < count:
                world.repld.kill9()
                list(pool.map(put, range(start, start + 20)))
                world.repld.start()
        list(pool.map(delete, range(0, count, 5)))


def connections_to(port):
    """How many are open on this host."""
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


class Pusher:
    """RGW 16 may never learn that a push was refused, when that comes at once (ceph PR 57632): then
    it pushes nothing any more, has no connection, and only a restart helps."""

    def __init__(self, rgw, world, hook):
        self.rgw, self.world, self.hook = rgw, world, hook
        self.busy = time.monotonic()

    def look(self):
        if connections_to(self.hook.port) > 0 or \
                self.world.repld.metric("repl_rule_pending_objects", rule="rule") > 0:
            self.busy = time.monotonic()
        elif time.monotonic() - self.busy > 30:
            self.rgw.restart_gateway()
            self.busy = time.monotonic()


def assert_settles(world, rclone, count, look=lambda: None):
    left = count - -(-count // 5)

    def has_come():
        look()
        return len(world.destination_keys()) == left

    world.repld.wait_for(has_come, f"{left} objects", 300)
    world.repld.wait_for(
        lambda: world.repld.metric("repl_rule_pending_objects", rule="rule") == 0, "no work", 60)
    compare.rclone_check(rclone, world.source, world.from_bucket, world.destination,
                         world.to_bucket)


def sns(rgw):
    import boto3
    return boto3.client("sns", endpoint_url=rgw.url, region_name="default",
                        aws_access_key_id=rgw.access_key, aws_secret_access_key=rgw.secret_key)


def test_rgw_pushes_in_the_request(on_rgw, hook, rgw, rclone):
    """Not persistent: an event that is not accepted is lost, so the daemon stays up."""
    topic = sns(rgw).create_topic(Name="plain", Attributes={"push-endpoint": hook.url})["TopicArn"]
    on_rgw.source_client.put_bucket_notification_configuration(
        Bucket=on_rgw.from_bucket, NotificationConfiguration={"TopicConfigurations": [
            {"Id": "all", "TopicArn": topic,
             "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]})
    write_and_delete(on_rgw, 500)
    assert_settles(on_rgw, rclone, 500)
    assert on_rgw.repld.metric("repl_webhook_changes_total") >= 600


@pytest.mark.slow
def test_rgw_keeps_what_was_not_accepted(on_rgw, rclone, rgw, hook):
    """Persistent, as `feed setup --apply` makes it; the daemon is killed twice meanwhile."""
    on_rgw.repld.ctl("feed", "setup", "rule", "--for", "rgw", "--apply")
    write_and_delete(on_rgw, MANY, kills=2)
    assert_settles(on_rgw, rclone, MANY, Pusher(rgw, on_rgw, hook).look)


def test_setup_leaves_other_entries_alone(on_rgw, hook, rgw):
    client, bucket = on_rgw.source_client, on_rgw.from_bucket
    other = sns(rgw).create_topic(Name="other", Attributes={"push-endpoint": hook.url})["TopicArn"]
    entry = {"Id": "theirs", "TopicArn": other, "Events": ["s3:ObjectRemoved:*"],
             "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "a&b/"}]}}}
    client.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [entry]})
    for _ in range(2):
        on_rgw.repld.ctl("feed", "setup", "rule", "--for", "rgw", "--apply")
    found = client.get_bucket_notification_configuration(Bucket=bucket)["TopicConfigurations"]
    by_id = {row["Id"]: row for row in found}
    assert set(by_id) == {"theirs", "repld-rule"}
    assert by_id["theirs"]["TopicArn"] == other
    assert "a&b/" in json.dumps(by_id["theirs"])
    assert by_id["repld-rule"]["TopicArn"].endswith(":repld-sender")


def test_setup_says_what_to_do(on_rgw, hook):
    shown = on_rgw.repld.ctl("feed", "setup", "rule").stdout
    assert "mc event add" in shown and "sns create-topic" in shown
    assert "$TOKEN" in shown and str(hook.token_file) in shown and hook.token not in shown
    for sender, word in (("minio", "queue_dir"), ("rgw", "persistent"), ("aws", "sns subscribe"),
                         ("oss", "MNS")):
        assert word in on_rgw.repld.ctl("feed", "setup", "rule", "--for", sender).stdout
    refused = on_rgw.repld.ctl("feed", "setup", "rule", "--apply", check=False)
    assert refused.returncode == 1 and "--for" in refused.stderr
    assert on_rgw.repld.ctl("feed", "setup", "rule", "--for", "gcs", check=False).returncode == 2
    on_rgw.repld.ctl("rule", "add", "other", "--source", "dst/elsewhere/x/",
                     "--destination", "src/elsewhere/y/", "--no-preflight")
    nobody = on_rgw.repld.ctl("feed", "setup", "other", check=False)
    assert nobody.returncode == 1 and "no source" in nobody.stderr


# --- MinIO ---

class HookedMinio(servers.Minio):
    """A MinIO with our webhook as a target, which keeps events in files while nobody answers."""

    def __init__(self, hook):
        super().__init__()
        self.hook = hook

    def spawn(self, name, *args, env=None):
        queue = self.dir / "queue"
        queue.mkdir(exist_ok=True)
        settings = {"ENABLE": "on", "AUTH_TOKEN": self.hook.token, "QUEUE_DIR": str(queue),
                    "ENDPOINT": f"http://127.0.0.1:{self.hook.port}/{self.hook.source}"}
        target = {f"MINIO_NOTIFY_WEBHOOK_{name}_REPLD": value for name, value in settings.items()}
        return super().spawn(name, *args, env={**(env or {}), **target})


@pytest.fixture
def on_minio(rgw, bucket, hook):
    def make_bucket(server):
        """MinIO's goes with it."""
        if server is rgw:
            return bucket(rgw)
        servers.s3_client(server).create_bucket(Bucket="crawl")
        return "crawl"

    try:
        with HookedMinio(hook) as minio, \
                make_world(minio, rgw, make_bucket, webhook=hook.conf(late="1min")) as world:
            world.add_rule("--deletes", "propagate", "--deletes-brake", "off")
            yield world
    except servers.Missing as reason:
        pytest.skip(str(reason))


def test_minio_without_the_target_says_how_to_make_it(bucket, hook):
    def make_bucket(server):
        servers.s3_client(server).create_bucket(Bucket=f"crawl-{len(made)}")
        made.append(f"crawl-{len(made)}")
        return made[-1]

    made = []
    try:
        with servers.Minio() as minio, \
                make_world(minio, minio, make_bucket, webhook=hook.conf(canary=True)) as world:
            world.add_rule()
            done = world.repld.ctl("feed", "setup", "rule", "--for", "minio", "--apply",
                                   check=False)
            assert done.returncode == 1 and "destination ARN" in done.stderr
            assert "hint: MinIO has no target" in done.stderr
            assert "replctl feed setup rule --for minio" in done.stderr
    except servers.Missing as reason:
        pytest.skip(str(reason))


def test_minio_pushes_from_its_queue(on_minio, rclone):
    done = on_minio.repld.ctl("feed", "setup", "rule", "--for", "minio", "--apply")
    assert "replctl scan start rule" in done.stdout
    write_and_delete(on_minio, MANY, kills=1)
    assert_settles(on_minio, rclone, MANY)
    assert on_minio.repld.metric("repl_webhook_requests_total", outcome="quarantined") == 0

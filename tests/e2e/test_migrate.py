"""One-shot migration: no daemon, verified, and the same command goes on after an interruption."""

import json
import os
import signal
import subprocess
import time

import pytest

from lib import compare, servers
from lib.process import wait_until
from lib.repld import SLOW, WRAP, check_report, command, program, write_credentials
from lib.world import MIB, PART


class Migration:
    def __init__(self, source, destination, bucket, folder):
        self.source, self.destination, self.dir = source, destination, folder
        self.from_bucket, self.to_bucket = bucket(source), bucket(destination)
        self.client = servers.s3_client(source)
        credentials = write_credentials(folder / "credentials",
                                        {"src": source, "dst": destination})
        self.env = {"AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
        self.ca = [flag for side, server in (("source", source), ("destination", destination))
                   if server.ca_file for flag in (f"--{side}-ca-file", server.ca_file)]

    def put(self, key, body):
        self.client.put_object(Bucket=self.from_bucket, Key=key, Body=body)

    def args(self, *options, prefix="", to_prefix=""):
        return ["migrate", f"s3://{self.from_bucket}/{prefix}", f"s3://{self.to_bucket}/{to_prefix}",
                "--source-endpoint-url", self.source.url, "--source-profile", "src",
                "--destination-endpoint-url", self.destination.url, "--destination-profile", "dst",
                "--journal", self.dir / "migrate.db", *self.ca, *options]

    def run(self, *options, status=0, **prefixes):
        done = command("replctl", *self.args(*options, **prefixes), env=self.env, timeout=300)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def start(self):
        """In the background, with the output in a file."""
        self.log = open(self.dir / "migrate.log", "w")
        return subprocess.Popen([*WRAP, program("replctl"), *map(str, self.args())],
                                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                env={**os.environ, **self.env})

    def compare(self, **prefixes):
        compare.assert_equal(self.source, self.from_bucket, self.destination, self.to_bucket,
                             **prefixes)
        assert compare.open_uploads(self.destination, self.to_bucket) == []


@pytest.fixture
def migration(pair, bucket, tmp_path):
    return Migration(*pair, bucket, tmp_path)


@pytest.fixture
def local_migration(bucketd, bucketd2, bucket, tmp_path):
    return Migration(bucketd, bucketd2, bucket, tmp_path)


def test_whole_bucket(migration, noise):
    for number in range(200):
        migration.put(f"page/{number}", noise(number * 100))
    migration.put("large", noise(40 * MIB))
    migration.run()
    migration.compare()


@pytest.mark.smoke
def test_prefix_and_second_run(local_migration, noise):
    job = local_migration
    for number in range(20):
        job.put(f"raw/{number}", noise(number))
    job.put("other", b"x")
    job.run(prefix="raw/", to_prefix="copy/")
    job.compare(source_prefix="raw/", destination_prefix="copy/")
    assert all(key.startswith("copy/") for key in compare.keys_of(job.destination, job.to_bucket))
    job.put("raw/new", b"came later")
    job.put("raw/3", b"is another now")
    job.run(prefix="raw/", to_prefix="copy/")
    job.compare(source_prefix="raw/", destination_prefix="copy/")


def test_prefix_into_itself_is_refused(local_migration):
    """The same server under the two names that the flags give it."""
    job = local_migration
    job.put("raw/1", b"x")
    job.destination, job.to_bucket = job.source, job.from_bucket
    done = job.run("--dry-run", prefix="raw/", to_prefix="raw/copy/", status=1)
    assert "overlap" in done.stderr and "rule" not in done.stderr
    assert compare.keys_of(job.source, job.from_bucket) == ["raw/1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL],
                         ids=lambda number: number.name)
def test_goes_on_after_an_interruption(local_migration, noise, number):
    job = local_migration
    for index in range(500):
        job.put(f"page/{index}", noise(5000))
    for index in range(4):
        job.put(f"large/{index}", noise(6 * PART))
    for _ in range(2):
        running = job.start()
        time.sleep(0.4)
        running.send_signal(number)
        running.wait(60 * SLOW)
        check_report((job.dir / "migrate.log").read_text(), "replctl migrate")
    job.run()
    job.compare()


def puts(server):
    return server.stats()["requests"].get("PutObject", 0)


def test_counts_are_those_of_the_whole_job(local_migration):
    """A run that was stopped half way counts in the last one, in words and in JSON."""
    job = local_migration
    for index in range(300):
        job.put(f"page/{index}", b"x" * 1000)
    job.destination.fault("status", op="PutObject", skip=150, count=-1)  # no more than those
    try:
        asked = puts(job.destination)
        running = job.start()
        wait_until(lambda: puts(job.destination) > asked + 150, 60, "copies")
        running.send_signal(signal.SIGTERM)
        running.wait(60 * SLOW)
    finally:
        job.destination.clear_faults()
    told = json.loads(job.run("--json").stdout.splitlines()[-1])
    assert (told["listed_objects"], told["copied_objects"]) == (300, 300)
    assert told["copied_bytes"] == 300000 and told["skipped_objects"] == 0
    assert 0 < told["earlier_objects"] <= 150
    told = json.loads(job.run("--json").stdout.splitlines()[-1])  # that job has ended
    assert (told["copied_objects"], told["skipped_objects"], told["earlier_objects"]) == (0, 300, 0)


def test_journal_of_another_job_is_refused(local_migration):
    job = local_migration
    job.put("raw/1", b"x")
    job.run(prefix="raw/", to_prefix="a/")
    done = job.run(prefix="raw/", to_prefix="b/", status=1)
    assert "migrate.db is that of another job" in done.stderr and "--journal" in done.stderr
    assert "rule" not in done.stdout + done.stderr


def test_destination_that_is_not_there(local_migration):
    job = local_migration
    job.put("k", b"x")
    job.destination = type("Nobody", (), {"url": "http://127.0.0.1:9", "ca_file": None})
    done = command("replctl", *job.args(), env=job.env, timeout=120)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "destination" in done.stderr and "connect" in done.stderr


def test_bucket_that_is_not_there(local_migration):
    local_migration.to_bucket = "no-such-bucket-here"
    local_migration.put("k", b"x")
    done = local_migration.run(status=1)
    assert "no-such-bucket-here" in done.stderr and "rule" not in done.stderr


def test_nothing_to_migrate_is_told(local_migration):
    """A prefix with a slip in it looks like an empty one."""
    local_migration.put("raw/a", b"x")
    done = local_migration.run(prefix="/raw/")
    assert done.stdout.startswith("0 listed") and "warning: nothing is below source/" in done.stderr
    assert f"{local_migration.from_bucket}//raw/\nhint: " in done.stderr
    filtered = local_migration.run("--dry-run", "--exclude", "**")
    assert "that --include and --exclude let through" in filtered.stderr
    other = local_migration.dir / "other.db"
    assert local_migration.run("--journal", other, prefix="raw/").stderr == ""

"""Promises under attack, those that configuration and journal keep: what happens rarely, made to
happen."""

import contextlib
import shutil
import sqlite3

import pytest

from lib.repld import SLOW, command
from lib.world import MIB, make_world


# --- 1 and 2: outboxes

TABLE = ("CREATE TABLE repl_outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT, key TEXT NOT"
         " NULL, kind TEXT DEFAULT 'put')")


def new_outbox(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(TABLE)
    return db


def announce_by(db, bucket, keys):
    db.executemany("INSERT INTO repl_outbox (bucket, key) VALUES (?, ?)",
                   [(bucket, key) for key in keys])


@contextlib.contextmanager
def outbox_world(bucketd, bucketd2, bucket, path):
    with make_world(bucketd, bucketd2, bucket,
                    outboxes={"crawler": {"path": str(path), "endpoint": "src"}}) as world:
        world.add_rule()
        yield world


def remake_removed(path):
    path.unlink()
    return new_outbox(path)


def remake_emptied(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("DELETE FROM repl_outbox")
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'repl_outbox'")
    return db


def remake_dropped(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("DROP TABLE repl_outbox")
    db.execute(TABLE)
    return db


def remake_restored(path):
    shutil.copyfile(str(path) + ".backup", path)
    return sqlite3.connect(path, isolation_level=None)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("remake", [remake_removed, remake_emptied, remake_dropped, remake_restored])
def test_outbox_begins_anew(bucketd, bucketd2, bucket, tmp_path, remake, running):
    """Numbers that were given out before are given out again: rows must not count as read."""
    path = tmp_path / "outbox.db"
    db = new_outbox(path)
    shutil.copyfile(path, str(path) + ".backup")
    with outbox_world(bucketd, bucketd2, bucket, path) as world:
        for number in range(20):
            world.put(f"old/{number}", b"o")
            world.put(f"new/{number}", b"n")
        announce_by(db, world.from_bucket, [f"old/{n}" for n in range(20)])
        world.settle()
        assert len(world.destination_keys()) == 20
        db.close()
        if not running:
            world.repld.stop()
        db = remake(path)
        announce_by(db, world.from_bucket, [f"new/{n}" for n in range(10)])
        if not running:
            world.repld.start()
        world.settle()
        db.close()
        missing = {f"new/{n}" for n in range(10)} - set(world.destination_keys())
        assert not missing, "the watermark has passed rows that nobody read"


# --- 9: one budget

def peak_mib(repld):
    status = open(f"/proc/{repld.process.popen.pid}/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


@pytest.mark.skipif(SLOW > 1, reason="sanitizers and valgrind take memory of their own")
def test_the_budget_holds_buffers_and_the_journal(bucketd, bucketd2, bucket, noise):
    """A backlog of long keys and objects of many parts: the journal's cache is in the budget too."""
    with make_world(bucketd, bucketd2, bucket, memory="64MiB") as world:
        world.add_rule()
        world.repld.ctl("rule", "pause", "rule")
        for batch in range(12):
            world.announce([f"none/{'x' * 900}/{batch}/{number}" for number in range(5000)])
        large = [world.put(f"large/{number}", noise(40 * MIB)) for number in range(12)]
        world.announce(large)
        world.repld.ctl("rule", "resume", "rule")
        world.settle(300)
        assert peak_mib(world.repld) < 64 + 32, "the budget, and what repld.yaml(5) says beside it"


# --- 10: no secret in an error text

def test_a_password_in_a_url_is_not_shown(tmp_path):
    path = tmp_path / "repld.yaml"
    path.write_text("instance: t\nendpoints:\n  a:\n    kind: s3\n"
                    "    url: http://user:hunter2@127.0.0.1:1\n    region: r\n")
    done = command("repld", "--check-config", "--config", path)
    assert done.returncode != 0
    assert "hunter2" not in done.stdout + done.stderr

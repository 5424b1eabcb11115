"""Promises under attack, those that configuration and journal keep: what happens rarely, made to
happen."""

import contextlib
import shutil
import sqlite3
import subprocess

import pytest

from lib.process import free_port
from lib.repld import SLOW, command
from lib.world import MIB, make_world


@contextlib.contextmanager
def no_faults(*used):
    try:
        yield
    finally:
        for server in used:
            server.clear_faults()


# --- 3: one daemon at a time

def second_daemon(repld, *options):
    """Another daemon with the configuration of the first, but for its addresses: how it ended."""
    conf = repld.conf_path.read_text().replace(
        str(repld.socket), str(repld.dir / "second.sock")).replace(
        f"127.0.0.1:{repld.metrics_port}", f"127.0.0.1:{free_port()}")
    path = repld.dir / "second.yaml"
    path.write_text(conf)
    return command("repld", "--config", path, *options, timeout=30)


def test_a_second_daemon_on_the_journal_is_refused(local):
    """By hand, beside the service: the first one goes on undisturbed."""
    local.add_rule()
    second = second_daemon(local.repld)
    assert second.returncode == 1
    assert f"process {local.repld.process.pid}, instance test" in second.stderr
    local.put_all({"k": b"1"})
    local.settle()
    assert local.destination_keys() == ["k"]


def test_a_daemon_that_lost_its_lease_ends(local, bucketd2):
    """Whoever takes the lease without the lock, from another host for example: the first one sends
    nothing more, takes no changes, and ends as failed."""
    repld = local.repld
    local.add_rule()
    with no_faults(bucketd2):
        bucketd2.fault("hang", op="PutObject", count=1)
        local.put_all({"k": b"old"})
        repld.wait_for(lambda: bucketd2.stats()["requests"].get("PutObject", 0), "the PUT")
        with contextlib.closing(sqlite3.connect(repld.journal_path, timeout=10)) as db, db:
            db.execute("UPDATE lease SET owner = 'other', epoch = epoch + 1, expires_ms = 0")
        assert repld.process.popen.wait(10 * SLOW) == 1
    assert "another owner has taken the journal" in repld.logs()
    taken = repld.ctl("journal", "append", "--bucket", local.from_bucket, "--key", "x", check=False)
    assert taken.returncode != 0
    repld.start()
    local.settle()
    assert local.at_destination("k") == b"old"


# --- whose database it is

def crawlers_database(path, version):
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.executescript(f"""CREATE TABLE pages (url TEXT); INSERT INTO pages VALUES ('x');
                             PRAGMA user_version = {version};""")
    path.chmod(0o644)
    return path


def all_of(folder):
    return {p.name: (p.stat().st_mode, p.read_bytes()) for p in folder.iterdir()}


@pytest.mark.parametrize("version", [0, 7])
def test_a_database_of_another_program_is_refused(local, tmp_path, version):
    """By the daemon and by a migration, and it stays as it is."""
    path = crawlers_database(tmp_path / "crawler.db", version)
    before = all_of(tmp_path)
    repld = second_daemon(local.repld, "--journal", path)
    job = command("replctl", "migrate", f"src/{local.from_bucket}/", f"dst/{local.to_bucket}/",
                  "--config", local.repld.conf_path, "--journal", path)
    for done in (repld, job):
        assert done.returncode == 1
        assert f"{path} is a SQLite database of another program" in done.stderr
        assert "hint: name another file (journal.path or --journal)" in done.stderr
    assert all_of(tmp_path) == before


def test_a_journal_from_before_there_was_a_mark_goes_on(local):
    """It gets the mark, and keeps its rules."""
    repld = local.repld
    local.add_rule()
    repld.stop()
    with contextlib.closing(sqlite3.connect(repld.journal_path)) as db, db:
        assert db.execute("PRAGMA application_id").fetchone() == (0x7265706c,)
        db.execute("PRAGMA application_id = 0")
    repld.start()
    local.put_all({"k": b"1"})
    local.settle()
    with contextlib.closing(sqlite3.connect(repld.journal_path)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (0x7265706c,)


def test_a_damaged_journal_is_named(local, tmp_path):
    """With what to do, and what that costs."""
    path = tmp_path / "journal.db"
    with contextlib.closing(sqlite3.connect(local.repld.journal_path)) as db:
        db.execute("VACUUM INTO ?", (str(path),))
    data = bytearray(path.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as db:
        root, = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'rules'").fetchone()
    data[(root - 1) * 4096:root * 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    done = second_daemon(local.repld, "--journal", path)
    assert done.returncode == 1
    assert f"journal {path}: " in done.stderr and "malformed" in done.stderr
    assert "hint: move it away" in done.stderr and "--existing" in done.stderr


# --- 2: clocks go backwards

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *ts)
{
    static int (*real)(clockid_t, struct timespec *);
    long offset = 0;
    real = real ? real : (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, ts);
    FILE *file = id == CLOCK_REALTIME ? fopen(getenv("CLOCK_OFFSET"), "r") : NULL;
    if (file && fscanf(file, "%ld", &offset) == 1) {
        ts->tv_sec += offset;
    }
    if (file) {
        fclose(file);
    }
    return result;
}
"""


@pytest.mark.skipif(SLOW > 1, reason="sanitizers want to be loaded first")
def test_wait_is_honest_when_the_clock_went_back(bucketd, bucketd2, bucket, tmp_path, monkeypatch):
    """What is appended now has not been replicated, whatever the clock says."""
    (tmp_path / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "clock.so", tmp_path / "clock.c",
                    "-ldl"], check=True)
    offset = tmp_path / "offset"
    offset.write_text("0")
    monkeypatch.setenv("CLOCK_OFFSET", str(offset))
    with contextlib.ExitStack() as stack:
        with monkeypatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(tmp_path / "clock.so"))
            world = stack.enter_context(make_world(bucketd, bucketd2, bucket))
        stack.enter_context(no_faults(bucketd2))
        world.add_rule()
        world.put_all({"a": b"1"})
        world.settle()
        offset.write_text("-600")
        bucketd2.fault("slow", op="PutObject", delay_ms=4000, count=1)
        world.put_all({"b": b"2"})
        world.settle()
        assert world.destination_keys() == ["a", "b"]


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


@pytest.mark.slow
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

"""The outbox as README shows it to crawlers, and what may go wrong with it."""

import pathlib
import re
import sqlite3
import textwrap
import time

import pytest

from lib.world import make_world


ROOT = pathlib.Path(__file__).resolve().parents[2]


def sample(database):
    """The names that the Python of README defines, working on this database."""
    text = (ROOT / "README.md").read_text()
    code = re.search(r"<!-- outbox-sample -->\n```python\n(.*?)```\n<!-- end -->", text, re.DOTALL)
    names = {}
    exec(textwrap.dedent(code.group(1)).replace('"crawler.db"', repr(str(database))), names)
    return names


@pytest.fixture
def outbox(tmp_path):
    return tmp_path / "crawler.db"


@pytest.fixture
def crawler(bucketd, bucketd2, bucket, outbox):
    outboxes = {"crawler": {"path": str(outbox), "endpoint": "src"}}
    with make_world(bucketd, bucketd2, bucket, outboxes=outboxes) as made:
        made.add_rule("--deletes", "propagate")
        yield made


def arrives(world, key, body=None):
    world.repld.wait_for(lambda: key in world.destination_keys(), f"{key} at the destination", 20)
    assert body is None or world.at_destination(key) == body


@pytest.mark.smoke
def test_sample_of_readme(crawler, outbox):
    names = sample(outbox)
    crawler.put("raw/1.html", b"page one")
    names["announce"](crawler.from_bucket, "raw/1.html", 8)
    arrives(crawler, "raw/1.html", b"page one")


def test_row_and_state_commit_together(crawler, outbox):
    names = sample(outbox)
    crawler.put("no", b"x")
    crawler.put("yes", b"x")
    names["db"].execute("BEGIN")
    names["announce"](crawler.from_bucket, "no", 1)
    names["db"].execute("ROLLBACK")
    names["announce"](crawler.from_bucket, "yes", 1)
    arrives(crawler, "yes")
    assert crawler.destination_keys() == ["yes"]


def test_position_survives_restarts(crawler, outbox):
    names = sample(outbox)
    for number in range(3):
        key = f"k{number}"
        crawler.put(key, b"x")
        crawler.repld.stop()
        names["announce"](crawler.from_bucket, key, 1)
        crawler.repld.start()
        arrives(crawler, key)
    crawler.settle()
    rows = names["db"].execute("SELECT count(*) FROM repl_outbox").fetchone()
    assert rows == (3,), "without trim the rows stay"


def test_bad_rows_stop_nothing(crawler, outbox):
    names = sample(outbox)
    insert = "INSERT INTO repl_outbox (bucket, key, kind) VALUES (?, ?, ?)"
    for row in ((crawler.from_bucket, "", "put"), (crawler.from_bucket, "x" * 3000, "put"),
                (crawler.from_bucket, "k", "explode")):
        names["db"].execute(insert, row)
    crawler.put("good", b"x")
    names["announce"](crawler.from_bucket, "good", 1)
    arrives(crawler, "good")


def test_rows_that_no_rule_takes_are_told(crawler, outbox):
    names = sample(outbox)
    names["announce"]("no-rule-has-this", "k", 1)
    crawler.put("good", b"x")
    names["announce"](crawler.from_bucket, "good", 1)
    arrives(crawler, "good")
    assert crawler.repld.metric("repl_outbox_astray_rows_total", outbox="crawler") == 1
    assert "no rule copies from src/no-rule-has-this" in crawler.repld.logs()
    shown = crawler.repld.ctl("status", json_out=True)["outboxes"]
    assert [(row["name"], row["read"], row["astray_rows"]) for row in shown] == [
        ("crawler", True, 1)]
    assert "NO RULE" in crawler.repld.ctl("status").stdout


def test_missing_outbox_is_in_the_status(crawler, outbox):
    crawler.repld.wait_for(lambda: "crawler.db" in crawler.repld.ctl("status").stdout, "its name")


def test_locked_database_is_waited_for(crawler, outbox):
    names = sample(outbox)
    names["db"].execute("PRAGMA journal_mode=DELETE")
    crawler.put("k", b"x")
    names["announce"](crawler.from_bucket, "k", 1)
    arrives(crawler, "k")
    names["db"].execute("BEGIN EXCLUSIVE")
    names["announce"](crawler.from_bucket, "k", 1)
    crawler.put("other", b"x")
    crawler.announce(["other"])
    arrives(crawler, "other")
    crawler.put("late", b"x")
    names["announce"](crawler.from_bucket, "late", 1)
    names["db"].execute("COMMIT")
    arrives(crawler, "late")


def test_replaced_database_is_read_from_its_beginning(crawler, outbox):
    names = sample(outbox)
    crawler.put("first", b"x")
    names["announce"](crawler.from_bucket, "first", 1)
    arrives(crawler, "first")
    names["db"].close()
    for path in outbox.parent.glob("crawler.db*"):
        path.unlink()
    names = sample(outbox)
    crawler.put("second", b"x")
    names["announce"](crawler.from_bucket, "second", 1)
    arrives(crawler, "second")


def test_noticed_soon(crawler, outbox):
    """A change is noticed within 200 ms; with the copy it may take a little longer."""
    names = sample(outbox)
    crawler.put("warm", b"x")
    names["announce"](crawler.from_bucket, "warm", 1)
    arrives(crawler, "warm")
    times = []
    for number in range(5):
        key = f"k{number}"
        crawler.put(key, b"x")
        start = time.monotonic()
        names["announce"](crawler.from_bucket, key, 1)
        crawler.settle()
        arrives(crawler, key)
        times.append(time.monotonic() - start)
    assert min(times) < 1.0, times


def test_shared_outbox_is_made(bucketd, bucketd2, bucket, outbox):
    outboxes = {"shared": {"path": str(outbox), "endpoint": "src", "create": True, "trim": True}}
    with make_world(bucketd, bucketd2, bucket, outboxes=outboxes) as world:
        world.add_rule()
        world.repld.wait_for(outbox.exists, "the outbox")
        world.put("k", b"x")
        db = sqlite3.connect(outbox, isolation_level=None, timeout=10)
        world.repld.wait_for(lambda: db.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'repl_outbox'").fetchone(), "the table")
        db.execute("INSERT INTO repl_outbox (bucket, key) VALUES (?, 'k')", (world.from_bucket,))
        arrives(world, "k")
        db.execute("INSERT INTO repl_outbox (bucket, key) VALUES (?, 'k')", (world.from_bucket,))
        world.repld.wait_for(lambda: db.execute(
            "SELECT id FROM repl_outbox").fetchall() == [(2,)], "trimmed rows")

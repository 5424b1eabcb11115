"""Every benchmark runs to its end and prints its rows; how fast is not asked."""

import json
import pathlib
import subprocess
import sys

import pytest

from lib import servers
from lib.wan import check_possible

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench"
sys.path.append(str(BENCH))

from score.course import Course  # noqa: E402
from score.line import line  # noqa: E402
from score.loopback import classify  # noqa: E402
from score.rows import ROWS  # noqa: E402


def rows(name, *args, statuses=(0,)):
    done = subprocess.run([BENCH / name, "--json", *map(str, args)], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode in statuses, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_journal(tmp_path):
    found = rows("journal", "--dir", tmp_path, "--rounds", 2, "--appends", 200, "--pending", 3000,
                 "--batches", 1)
    assert [row["row"] for row in found] == ["durable", "durable, 2 ms sync", "group", "open",
                                             "claim of 256", "resident", "batches"]
    assert all(row["value"] > 0 and row["reference"] > 0 for row in found)
    assert list(tmp_path.iterdir()) == []


def test_loopback(rclone):
    found = rows("loopback", "--small", 40, "--large", 1, "--rounds", 1)
    assert {(row["row"], row["program"].split()[0]) for row in found} == {
        (row, program) for row in ("16KiB", "64MiB") for program in ("replctl", "rclone")}
    assert all(row["objects_per_s"] > 0 and row["cpu_s"] > 0 for row in found)


def test_latency():
    (row,) = rows("latency", "--rate", 20, "--seconds", 1)
    assert row["objects"] == 20
    assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]


@pytest.fixture
def root():
    try:
        check_possible()
    except servers.Missing as reason:
        pytest.skip(str(reason))


def test_scorecard(root):
    """A tiny row to its end; a missed bound is exit status 1."""
    found = rows("scorecard", "small-h1", "--scale", 0.005, "--no-peers", statuses=(0, 1))
    assert [row["row"] for row in found] == ["small-h1/lanes", "small-h1/middle",
                                             "small-h1/ceiling"]
    for row in found:
        assert {"row", "value", "unit", "reference", "ratio", "bound", "ok"} <= set(row)
        assert row["value"] > 0 and row["reference"] > 0
        assert (row["ok"] is None) == (row["bound"] is None)
    assert found[0]["done"] == 1 and found[0]["lanes"] > 0 and found[0]["rss_mib"] > 0
    assert found[0]["sent_per_delivered"] > 1


def test_scorecard_says_why_a_row_has_no_value(root, tmp_path):
    done = subprocess.run([BENCH / "scorecard", "--json", "outage"], capture_output=True, text=True,
                          timeout=60, env={"PATH": "/usr/bin:/bin", "BUILD_DIR": str(tmp_path)})
    (row,) = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert row["value"] is None and row["ok"] is False and "is not built" in row["reason"]


def test_scorecard_names():
    done = subprocess.run([BENCH / "scorecard", "--list"], capture_output=True, text=True)
    assert [text.split()[0] for text in done.stdout.splitlines()] == list(ROWS)
    done = subprocess.run([BENCH / "scorecard", "no-such-row"], capture_output=True, text=True)
    assert done.returncode == 1 and "no-such-row" in done.stderr


def test_line_of_the_scorecard():
    assert line("r", 80, "u", 100, least=0.8)["ok"] is True
    assert line("r", 79, "u", 100, least=0.8)["ok"] is False
    assert line("r", 5, "u", 2, most=1, plus=3)["ok"] is True
    assert line("r", 5.1, "u", 2, most=1, plus=3)["ok"] is False
    assert line("r", 0.1, "u", most=0, plus=0.1)["ok"] is True
    assert line("r", None, "u", 100, least=0.8)["ok"] is False
    assert line("r", 1, "u", None, least=0.8)["ok"] is False
    assert line("r", 1, "u", 2)["ok"] is None


def test_course_of_a_transfer():
    """1000 bytes a second for 10 s, then nothing for 10 s, then 2000 a second for 5 s."""
    course = Course(None)
    course.times = [second + 1 for second in range(25)]
    course.passed = [min(10000, 1000 * t) + max(0, 2000 * (t - 20)) for t in course.times]
    course._before = ({"passed": {"bytes": 7}}, 0)
    course._after = ({"passed": {"bytes": 20007}}, 0)
    assert course.when(0.1) == 2 and course.when(0.9) == 24
    assert course.at(3.5) == 3500 and course.at(15) == 10000
    assert course.mbps(20, 25) == 2000 * 8 / 1e6
    assert course.mbps(24, 26) == 0


def test_share_sent_again():
    """100 packets of 1000 in the first 10 s, 10 of 1000 in the last 10 s."""
    def counters(packets, again):
        lost = {cause: {"packets": 0} for cause in ("outage", "policer", "queue", "loss")}
        return {"passed": {"packets": packets}, **lost}, again

    course = Course(None)
    course.times = [0.1, 10, 20]
    course._before, course._after = counters(5, 3), counters(2005, 113)
    course._sums = [counters(5, 3), counters(1005, 103), course._after]
    assert course.retransmitted == 0.055
    assert course.retransmitted_at_last(10) == 0.01


def test_shares_of_a_profile():
    shares = classify("""# Overhead
 40.00%  ;replctl        ;[.] checksum_crc64nvme  ;-
 5.00%  ;replctl        ;[.] copy_next  ;-
 30.00%  ;libcrypto.so.3 ;[.] 0x0000000000241eb6  ;-
 20.00%  ;[kernel.kallsyms] ;[k] sha256_transform  ;-
 5.00%  ;libc.so.6 ;[.] malloc  ;-
""")
    assert shares == {"kernel": 20, "digests": 40, "tls": 30, "ours": 5, "libraries": 5}

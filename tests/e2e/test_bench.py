"""Every benchmark runs to its end and prints its rows; how fast is not asked."""

import json
import pathlib
import subprocess

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench"


def rows(name, *args):
    done = subprocess.run([BENCH / name, "--json", *map(str, args)], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
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

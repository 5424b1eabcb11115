"""replctl doctor on this machine, on made-up ones, with and without a daemon."""

import json

import pytest

from lib.repld import command
from lib.world import make_world

CHECKS = ["congestion", "allowed", "granted", "send-buffers", "receive-buffers", "slow-start",
          "descriptors", "repld-descriptors", "clock", "space", "file-system", "memory"]
GOOD = {"tcp_available_congestion_control": "reno cubic bbr",
        "tcp_allowed_congestion_control": "reno cubic bbr",
        "tcp_wmem": "4096\t16384\t67108864", "tcp_rmem": "4096\t131072\t67108864",
        "tcp_slow_start_after_idle": "0"}
# Of the made-up machine; the others are of the machine that runs this, whatever it is like.
OF_FILES = ["congestion", "allowed", "send-buffers", "receive-buffers", "slow-start", "file-system",
            "memory"]


def machine(folder, **changes):
    """A root folder with the files that doctor reads."""
    ipv4 = folder / "proc/sys/net/ipv4"
    ipv4.mkdir(parents=True)
    (folder / "proc/1").mkdir()
    for name, value in {**GOOD, **changes}.items():
        (ipv4 / name).write_text(value + "\n")
    (folder / "proc/meminfo").write_text("MemAvailable: 8000000 kB\n")
    (folder / "proc/1/mountinfo").write_text("22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n")
    return folder


def examine(*args):
    """The checks by name, after looking whether the exit code fits them."""
    done = command("replctl", "doctor", "--json", *args)
    answer = json.loads(done.stdout)
    checks = {check["name"]: check for check in answer["checks"]}
    assert list(checks) == CHECKS
    lacks = [check for check in checks.values() if check["state"] == "lacks"]
    assert answer["good"] == (not lacks)
    assert done.returncode == (1 if lacks else 0), done.stderr
    assert all(check["mend"] for check in lacks)
    assert all(check["mend"] is None for check in checks.values() if check not in lacks)
    return checks


@pytest.fixture
def nobody(tmp_path):
    return "--socket", tmp_path / "none.sock"


def test_good_machine_without_daemon(tmp_path, nobody):
    checks = examine(*nobody, "--root", machine(tmp_path / "good"))
    assert {checks[name]["state"] for name in OF_FILES} == {"good"}
    assert checks["granted"]["state"] == checks["repld-descriptors"]["state"] == "unknown"


def test_stock_debian(tmp_path, nobody):
    stock = machine(tmp_path / "stock", tcp_available_congestion_control="reno cubic",
                    tcp_allowed_congestion_control="reno cubic",
                    tcp_wmem="4096\t16384\t4194304", tcp_rmem="4096\t131072\t6291456",
                    tcp_slow_start_after_idle="1")
    checks = examine(*nobody, "--root", stock)
    assert [name for name in OF_FILES if checks[name]["state"] == "lacks"] == OF_FILES[:5]
    assert checks["congestion"]["mend"] == "modprobe tcp_bbr"
    assert checks["send-buffers"]["mend"].startswith("sysctl -w net.ipv4.tcp_wmem=")


def test_this_machine(nobody):
    checks = examine(*nobody)
    assert checks["memory"]["state"] != "unknown" and checks["file-system"]["state"] != "unknown"


def test_table_shows_every_check(tmp_path, nobody):
    host = machine(tmp_path / "host", tcp_slow_start_after_idle="1")
    done = command("replctl", "doctor", *nobody, "--root", host)
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert done.returncode == 1
    assert [name for name in CHECKS if name not in rows] == []
    assert "lacks" in rows["slow-start"] and "tcp_slow_start_after_idle=0" in rows["slow-start"]
    assert "none.sock" in done.stdout  # why repld was not asked


def test_configuration_counts_without_daemon(tmp_path, nobody):
    conf = tmp_path / "repld.yaml"
    conf.write_text("memory: 1TiB\nendpoints:\n  a: {url: 'http://a', congestion: vegas}\n")
    checks = examine(*nobody, "--root", machine(tmp_path / "host"), "--config", conf)
    assert checks["memory"]["state"] == "lacks"
    assert checks["allowed"]["mend"].endswith('"reno cubic bbr vegas"')
    conf.write_text("memory: much\n")
    done = command("replctl", "doctor", *nobody, "--config", conf)
    assert done.returncode == 1 and "repld.yaml:1" in done.stderr


def test_running_daemon_is_asked(bucketd, bucketd2, bucket, tmp_path):
    options = {"src": {"congestion": "reno"}, "dst": {"congestion": "no-such-one"}}
    host = machine(tmp_path / "host")
    with make_world(bucketd, bucketd2, bucket, endpoint_options=options) as world:
        args = ("--socket", world.repld.socket, "--root", host)
        world.add_rule()
        world.put_all({f"k{i}": b"x" for i in range(20)})
        world.settle()
        endpoints = {e["name"]: e for e in world.repld.ctl("status", json_out=True)["endpoints"]}
        assert endpoints["src"]["congestion"] == endpoints["src"]["congestion_wish"] == "reno"
        granted = endpoints["dst"]["congestion"]
        assert granted and granted != endpoints["dst"]["congestion_wish"]
        checks = examine(*args)
        assert checks["granted"]["state"] == "lacks"
        assert f"src reno, dst {granted} instead of no-such-one" in checks["granted"]["text"]
        assert checks["repld-descriptors"]["state"] in ("good", "lacks")
        told = [line for line in world.repld.logs().splitlines() if "no-such-one is not" in line]
        assert len(told) == 1 and "replctl doctor" in told[0]

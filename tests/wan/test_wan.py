"""The WAN of the tests delivers what it promises: ping and iperf3 beside the settings, what a
receiver sees beside the emulator's own counters. Bounds are those of physics, with room for a machine
that has other things to do; exact are only numbers of packets."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from lib.bucketd import Bucketd
from lib.process import ROOT, wait_until
from lib.servers import Nghttpx, Rgw, new_bucket_name, s3_client
from lib.wan import NETNS, remove_leftovers
from lib.world import make_world

SHARE = 1448 / 1500  # payload of full TCP packets
CAUSES = ("outage", "policer", "queue", "loss", "overflow")
TCP_CONGESTION = 13
DATAGRAM = 100  # bytes of payload
SO_RCVBUFFORCE = 33


class Datagrams:
    """Numbered datagrams from one end to the other, and back in the order of their arrival."""

    def __init__(self, here, there):
        with there.entered():
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        self.receiver.bind((there.address, 0))
        self.receiver.setblocking(False)
        with here.entered():
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.connect(self.receiver.getsockname())
        self.number = 0

    def send(self, count=1, pause_every=1000):
        """Pauses let the emulator take what it has; returns the number of the last one."""
        for i in range(count):
            self.number += 1
            self.sender.send(self.number.to_bytes(4, "big").ljust(DATAGRAM, b"\0"))
            if i % pause_every == pause_every - 1:
                time.sleep(0.002)
        return self.number

    def arrived(self):
        """Numbers of all that is there, without waiting."""
        found = []
        while True:
            try:
                found.append(int.from_bytes(self.receiver.recv(2048)[:4], "big"))
            except BlockingIOError:
                return found


def counted(wan, way="up"):
    """Packets by fate when none is under way any more; the emulator itself has lost none."""
    def settled():
        found = wan.stats()[way]
        return found if found["under_way"] == 0 else None
    found = wait_until(settled, 20, "packets under way")
    assert found["overflow"]["packets"] == 0 and found["refused"] == 0
    return {fate: found[fate]["packets"] for fate in ("passed", *CAUSES)}


def ping_ms(wan, count=30):
    """(least, most) of the round trip."""
    done = wan.run_in("near", "ping", "-q", "-c", count, "-i", "0.02", wan.far.address)
    least, _, most, _ = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)/([\d.]+) ms", done.stdout).groups()
    return float(least), float(most)


def only(found, *causes):
    """Whether packets were dropped for these causes and no other."""
    return all((found[cause] > 0) == (cause in causes) for cause in CAUSES)


def test_delay_is_the_sum_of_both_ways(wan):
    path = wan(rtt="60ms")
    least, _ = ping_ms(path)
    assert 60 <= least < 70
    path.set("up", delay="100ms")
    path.set("down", delay="5ms")
    least, _ = ping_ms(path)
    assert 105 <= least < 115


def test_jitter_wanders_and_keeps_the_order(wan):
    path = wan(rtt="20ms", jitter="40ms")
    least, most = ping_ms(path, 50)
    assert least >= 20 and most - least > 5
    packets = Datagrams(path.near, path.far)
    packets.send(5000, pause_every=20)
    assert counted(path)["passed"] >= 5000
    assert packets.arrived() == list(range(1, 5001))


def test_rate_bounds_tcp(wan):
    path = wan(rate="100mbit", rtt="10ms", queue="50ms")
    report = path.iperf("--time", "3")
    received = report["sum_received"]
    assert 30e6 < received["bits_per_second"] < 100e6 * SHARE * 1.02
    passed = path.stats()["up"]["passed"]["bytes"] * 8
    assert passed <= 100e6 * (received["seconds"] + 2)
    assert passed >= received["bytes"] * 8 / SHARE


def test_queue_drops_its_tail_and_delays_the_rest(wan):
    path = wan(rate="20mbit", queue="100ms", rtt="0ms")
    start = time.monotonic()
    report = path.iperf("--udp", "--bitrate", "40M", "--length", "1472", "--time", "2")
    found = counted(path)
    assert only(found, "queue")
    assert path.stats()["up"]["passed"]["bytes"] * 8 <= 20e6 * (time.monotonic() - start)
    # All but what iperf3 says when it begins and ends are full packets.
    assert abs(report["sum"]["packets"] - found["passed"] - found["queue"]) < 100
    assert abs(report["sum"]["lost_packets"] - found["queue"]) < 100
    packets = Datagrams(path.near, path.far)
    packets.send(5000)
    assert path.stats()["up"]["queue_ms"] <= 101
    assert counted(path)["queue"] > found["queue"]


def test_queue_in_bytes(wan):
    path = wan(rate="1mbit", queue="12800b")
    packets = Datagrams(path.near, path.far)
    packets.send(1000)
    found = counted(path)
    # 100 packets of 128 bytes wait, and what leaves while the last ones come.
    assert only(found, "queue") and 100 <= found["passed"] < 900
    assert len(packets.arrived()) == found["passed"]


@pytest.mark.parametrize("burst", (0, 20))
def test_loss_share_and_runs(wan, burst):
    path = wan(loss="5%", burst=burst, seed=7)
    packets = Datagrams(path.near, path.far)
    sent = packets.send(40000)
    found = counted(path)
    assert only(found, "loss") and found["passed"] + found["loss"] == sent
    assert 0.035 < found["loss"] / sent < 0.065
    numbers = packets.arrived()
    assert len(numbers) == found["passed"]
    gaps = [after - before - 1 for before, after in zip([0, *numbers], numbers)
            if after > before + 1]
    mean = sum(gaps) / len(gaps)
    assert 15 < mean < 26 if burst else mean < 1.3


def test_seed_repeats_the_losses(wan, tmp_path):
    seen = []
    for _ in range(2):
        path = wan(loss="10%", burst=3, seed=42)
        packets = Datagrams(path.near, path.far)
        packets.send(2000)
        counted(path)
        seen.append(packets.arrived())
    assert seen[0] == seen[1]


def test_policer_drops_without_a_queue(wan):
    path = wan(policer="10mbit", bucket="20kb")
    start = time.monotonic()
    path.iperf("--udp", "--bitrate", "30M", "--length", "1472", "--time", "2")
    found, passed_s = counted(path), time.monotonic() - start
    assert only(found, "policer")
    assert path.stats()["up"]["passed"]["bytes"] <= 20e3 + 10e6 / 8 * passed_s
    assert path.stats()["up"]["passed"]["bytes"] >= 10e6 / 8  # half of what two seconds give
    path.set(policer="0")
    Datagrams(path.near, path.far).send(500)
    assert counted(path)["policer"] == found["policer"]


def test_outage_drops_all_and_ends(wan):
    path = wan()
    packets = Datagrams(path.near, path.far)
    path.outage(600)
    packets.send(100)
    assert counted(path)["outage"] == 100 and packets.arrived() == []
    path.outage(0)
    last = packets.send()
    assert counted(path)["passed"] == 1 and packets.arrived() == [last]
    start = time.monotonic()
    path.outage(0.5)

    def arrives():
        packets.send()
        return packets.arrived()
    wait_until(arrives, 20, "the end of the outage", step_s=0.01)
    assert time.monotonic() - start >= 0.5


def test_each_direction_apart(wan):
    path = wan()
    there, back = Datagrams(path.near, path.far), Datagrams(path.far, path.near)
    path.outage(600, "up")
    path.set("down", loss="50%")
    there.send(1000)
    back.send(1000)
    up, down = counted(path, "up"), counted(path, "down")
    assert only(up, "outage") and there.arrived() == []
    assert only(down, "loss") and 300 < len(back.arrived()) < 700


def test_rate_changes_while_packets_flow(wan):
    path = wan(rate="0")
    packets = Datagrams(path.near, path.far)
    packets.send(2000)
    assert only(counted(path))
    path.set("up", rate="1mbit", queue="10ms")
    packets.send(2000)
    assert only(counted(path), "queue")


def test_log_has_a_line_for_every_drop(wan, tmp_path):
    log = tmp_path / "drops"
    path = wan(loss="20%", log=log)
    Datagrams(path.near, path.far).send(1000)
    path.outage(600)
    Datagrams(path.near, path.far).send(10)
    found = counted(path)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [line[2] for line in lines] == ["loss"] * found["loss"] + ["outage"] * 10
    assert all(line[1] == "up" and line[3] == str(DATAGRAM + 28) for line in lines)


@pytest.mark.parametrize("command", ("set up loss=3% rate=ten", "set loss=3% no=1", "set loss=101%",
                                     "set loss=3% delay=3mbit", "set loss=-1%", "set loss=nan",
                                     "outage", "outage 5", "outage up 5s 6s", "jump", "",
                                     "set " + "loss=3% " * 500))
def test_what_is_not_understood_changes_nothing(wan, command):
    path = wan(loss="1%")
    before = path.stats()["up"]["settings"]
    with pytest.raises(ValueError):
        path.command(command or " ")
    assert path.stats()["up"]["settings"] == before
    Datagrams(path.near, path.far).send(10)
    assert counted(path)["outage"] == 0


def test_congestion_control_of_the_route(wan):
    def asked_for(path, name):
        with path.far.entered():
            listener = socket.create_server((path.far.address, 0))
        with path.near.entered():
            sock = socket.socket()
        with listener, sock:
            sock.connect(listener.getsockname())
            before = sock.getsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, 16)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, name)
            except PermissionError:
                pass
            after = sock.getsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, 16)
            return before.rstrip(b"\0"), after.rstrip(b"\0")
    assert asked_for(wan(congestion="reno"), b"cubic") == (b"reno", b"cubic")
    assert asked_for(wan(congestion="lock reno"), b"cubic") == (b"reno", b"reno")


def test_replicates_from_end_to_end(wan, bucket, request):
    path = wan(rate="200mbit", rtt="20ms", loss="1%", burst=3)
    with Bucketd().at(path.near) as source, Bucketd().at(path.far) as destination, \
            path.near.entered(), \
            make_world(source, destination, new_bucket, place=path.near) as world:
        world.add_rule()
        world.put_all({f"key{i}": os.urandom(100_000) for i in range(10)})
        world.settle()
        world.compare()
        assert destination.stats()["bytes_in"] >= 1_000_000
        assert world.repld.metrics()
    assert path.stats()["up"]["passed"]["bytes"] > 1_000_000


def new_bucket(server):
    name = new_bucket_name()
    s3_client(server).create_bucket(Bucket=name)
    return name


def round_trip(server):
    client, name = s3_client(server), new_bucket(server)
    client.put_object(Bucket=name, Key="key", Body=b"body")
    return client.get_object(Bucket=name, Key="key")["Body"].read()


def test_tls_server_at_the_far_end(wan):
    path = wan(rtt="10ms")
    with Bucketd().at(path.far) as plain, Nghttpx(plain).at(path.far) as server:
        with path.near.entered():
            assert round_trip(server) == b"body"


@pytest.mark.slow
def test_rgw_at_the_far_end(wan):
    path = wan(rtt="10ms")
    with Rgw().at(path.far) as server, path.near.entered():
        assert round_trip(server) == b"body"


def test_nothing_is_left(wan):
    wan()  # or a skip
    script = ("import sys, time\nfrom lib.wan import Wan\n"
              "with Wan() as path:\n"
              "    with path.near.entered():\n"
              "        import subprocess; child = subprocess.Popen(['sleep', '600'])\n"
              "    print(path.near.netns, path.far.netns, child.pid, flush=True)\n"
              "    sys.stdin.read()\n")
    for kill in (False, True):
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, text=True,
                              stdout=subprocess.PIPE, cwd=ROOT / "tests") as run:
            near, far, pid = run.stdout.readline().split()
            assert (NETNS / near).exists() and (NETNS / far).exists()
            if kill:
                run.send_signal(signal.SIGKILL)
            run.stdin.close()
        if kill:
            assert (NETNS / near).exists() and (NETNS / far).exists()
            remove_leftovers()
        assert not (NETNS / near).exists() and not (NETNS / far).exists()
        wait_until(lambda: is_gone(int(pid)), 10, "the end of a process in the namespace")


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True

"""The course of a transfer over a WAN, seen from outside: what the emulator let pass, how many
connections there were, what was sent again; sampled every 100 ms."""

import pathlib
import socket
import struct
import threading
import time

STEP_S = 0.1
ESTABLISHED = "01"
CAUSES = ("outage", "policer", "queue", "loss")


def _connections(address):
    """Established connections of this namespace whose other end is the address."""
    wanted = "%08X:" % struct.unpack("=I", socket.inet_aton(address))[0]
    lines = pathlib.Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    fields = (line.split(None, 4) for line in lines)
    return sum(f[2].startswith(wanted) and f[3] == ESTABLISHED for f in fields)


def _segments_sent_again():
    lines = pathlib.Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


class Course:
    """with Course(wan) as course: ... ; the figures are those of the time inside. events: (seconds,
    what is called then), until the end."""

    def __init__(self, wan, events=()):
        self.wan = wan
        self._timers = [threading.Timer(seconds, call) for seconds, call in events]
        self.times, self.passed = [], []  # seconds since the start, bytes of packets near → far
        self._sums = []  # counters at those times
        self.peak_connections = 0

    def __enter__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before = self._counters()
        self._start = time.monotonic()
        self._thread.start()
        for timer in self._timers:
            timer.start()
        return self

    def __exit__(self, *_):
        for timer in self._timers:
            timer.cancel()
        self._stop.set()
        self._thread.join()
        self._after = self._counters()

    def _counters(self):
        up = self.wan.command("stats")["up"]
        with self.wan.near.entered():
            return up, _segments_sent_again()

    def _watch(self):
        with self.wan.near.entered():
            while not self._stop.wait(STEP_S):
                up = self.wan.command("stats")["up"]
                self._sums.append((up, _segments_sent_again()))
                self.times.append(time.monotonic() - self._start)
                self.passed.append(up["passed"]["bytes"] - self._before[0]["passed"]["bytes"])
                self.peak_connections = max(self.peak_connections,
                                            _connections(self.wan.far.address))

    def _offered(self, unit, since=None):
        before, after = (since or self._before)[0], self._after[0]
        return sum(after[fate][unit] - before[fate][unit] for fate in ("passed", *CAUSES))

    @property
    def sent_bytes(self):
        """Bytes of all packets that the near end sent, headers and those that were lost included."""
        return self._offered("bytes")

    @property
    def seconds(self):
        return self.times[-1] if self.times else 0

    @property
    def passed_bytes(self):
        return self._after[0]["passed"]["bytes"] - self._before[0]["passed"]["bytes"]

    @property
    def retransmitted(self):
        """The share of segments sent that had been sent before, the kernel's count over the
        emulator's."""
        return self._retransmitted(self._before)

    def retransmitted_at_last(self, seconds):
        """The same of the last seconds only."""
        begin = self.seconds - seconds
        return self._retransmitted(next((sums for now, sums in zip(self.times, self._sums)
                                         if now >= begin), self._before))

    def _retransmitted(self, since):
        return (self._after[1] - since[1]) / max(1, self._offered("packets", since))

    def when(self, share):
        """Seconds until so much of all that passed had passed."""
        wanted = share * self.passed_bytes
        before = (0, 0)
        for now, passed in zip(self.times, self.passed):
            if passed >= wanted and passed > before[1]:
                part = (wanted - before[1]) / (passed - before[1])
                return before[0] + part * (now - before[0])
            before = (now, passed)
        return before[0]

    def at(self, seconds):
        """Bytes that had passed then."""
        before = (0, 0)
        for now, passed in zip(self.times, self.passed):
            if now >= seconds:
                part = (seconds - before[0]) / max(now - before[0], 1e-9)
                return before[1] + part * (passed - before[1])
            before = (now, passed)
        return before[1]

    def mbps(self, begin, end):
        """Bits of packets a second between two times, in millions; 0 when it ended before."""
        if not self.times or end > self.times[-1]:
            return 0.0
        return (self.at(end) - self.at(begin)) * 8 / (end - begin) / 1e6

"""An outbox as crawlers fill it, for benchmarks: see repl-outbox(5)."""

import sqlite3
import time

TABLE = """CREATE TABLE repl_outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT,
key TEXT NOT NULL, size INTEGER, event_time INTEGER)"""
INSERT = "INSERT INTO repl_outbox (bucket, key, size, event_time) VALUES (?,?,?,?)"


class Outbox:
    def __init__(self, path):
        self.path = path
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute(TABLE)

    def close(self):
        self.database.close()

    def fill(self, bucket, objects, rate, step_s=0):
        """Inserts (key, size) pairs, each with the time of its insert, evenly, so many a second;
        all of a step in one transaction."""
        objects = list(objects)
        step = max(1, round(rate * step_s))
        start = time.monotonic()
        for number in range(0, len(objects), step):
            due = start + number / rate
            while time.monotonic() < due:
                time.sleep(max(0, due - time.monotonic()))
            now_ms = int(time.time() * 1000)
            self.database.execute("BEGIN")
            self.database.executemany(INSERT, [(bucket, key, size, now_ms)
                                               for key, size in objects[number:number + step]])
            self.database.execute("COMMIT")


def latencies(journal, prefix=""):
    """Milliseconds from event to verified copy of all keys with the prefix, from the history of a
    daemon's journal, the shortest first."""
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT latency_ms FROM history WHERE latency_ms >= 0 "
                                "AND substr(CAST(key AS TEXT), 1, ?) = ?", (len(prefix), prefix))
        return sorted(row[0] for row in rows)


def percentile(ordered, percent):
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

"""Metrics: a real Prometheus scrapes them, and promtool has nothing to say."""

import json
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from lib import servers
from lib.world import MIB

NAMED_IN_README = ("repl_rule_lag_seconds", "repl_rule_watermark_timestamp_seconds",
                   "repl_rule_pending_objects", "repl_rule_pending_bytes",
                   "repl_rule_late_objects", "repl_rule_late_bytes", "repl_rule_backfill_bytes",
                   "repl_rule_failed_objects", "repl_endpoint_up", "repl_journal_failing")


@pytest.fixture
def busy(local, noise):
    """A daemon that has done some work."""
    local.add_rule()
    local.put_all({"a": b"x", "b": noise(6 * MIB)})
    local.settle()
    return local


def test_promtool_is_silent(busy):
    done = subprocess.run([servers.need("promtool"), "check", "metrics"], text=True,
                          input=busy.repld.metrics_text(), capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.smoke
def test_metrics_of_readme_are_there(busy):
    samples = busy.repld.metrics()
    names = {sample.split("{")[0] for sample in samples}
    assert not set(NAMED_IN_README) - names
    assert "repl_rule_replication_latency_seconds_count" in names
    assert busy.repld.metric("repl_rule_pending_objects") == 0
    watermark = busy.repld.metric("repl_rule_watermark_timestamp_seconds")
    assert abs(time.time() - watermark) < 600


def test_prometheus_scrapes(busy):
    with servers.Prometheus(f"127.0.0.1:{busy.repld.metrics_port}") as prometheus:
        def query(text):
            url = f"{prometheus.url}/api/v1/query?query={urllib.parse.quote(text)}"
            return json.load(urllib.request.urlopen(url, timeout=10))["data"]["result"]
        busy.repld.wait_for(lambda: query("up == 1"), "a scrape")
        assert query("repl_rule_lag_seconds >= 0")
        assert query("repl_endpoint_up")
        assert query("rate(repl_rule_replication_latency_seconds_bucket[1m])") is not None


def test_health(busy):
    assert servers.http_status(f"http://127.0.0.1:{busy.repld.metrics_port}/healthz") == 200


def test_no_secret_is_shown(busy):
    secrets = [server.secret_key for server in (busy.source, busy.destination)]
    shown = busy.repld.metrics_text() + busy.repld.logs() + busy.repld.ctl("status", "--json").stdout
    with open(busy.repld.journal_path, "rb") as journal:
        raw = journal.read()
    for secret in secrets:
        assert secret not in shown and secret.encode() not in raw

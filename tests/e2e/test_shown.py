"""What people are shown while something is wrong: at once, with its reason, and what to do."""

import concurrent.futures
import contextlib
import json
import socket

import pytest
import yaml

from lib.bucketd import no_faults
from lib.process import free_port
from lib.world import make_world


def endpoint(world, name):
    rows = world.repld.ctl("status", json_out=True)["endpoints"]
    return next(row for row in rows if row["name"] == name)


@contextlib.contextmanager
def denied(server, op):
    """Every request of this kind is refused, until the end."""
    server.fault("status", op=op, status=403, code="AccessDenied", count=-1)
    with no_faults(server):
        yield


# --- endpoints ---

def test_endpoint_that_refuses_a_listing_says_so(local):
    """A scan is refused from the first moment; copies of what feeds tell of go on."""
    assert endpoint(local, "src")["state"] == "untried"
    with denied(local.source, "ListObjectsV2"):
        local.add_rule("--existing", "--no-preflight")
        local.repld.wait_for(lambda: endpoint(local, "src")["state"] == "denied", "the refusal")
        assert "ListObjectsV2" in endpoint(local, "src")["failure"]["text"]
        assert "ListObjectsV2" in local.repld.ctl("status").stdout
        assert "ListObjectsV2" in local.repld.ctl("scan", "status", "rule", json_out=True)["waits"]
        assert local.repld.metric("repl_endpoint_up", endpoint="src") == 1  # a right is missing
        local.put_all({"told": b"x"})
        local.settle()
        assert local.at_destination("told") == b"x"
        assert endpoint(local, "src")["state"] == "denied"
        assert endpoint(local, "dst")["state"] == "up"
    local.repld.wait_for(lambda: endpoint(local, "src")["state"] == "up", "an end of it")
    assert local.repld.metric("repl_endpoint_up", endpoint="src") == 1
    assert local.repld.ctl("scan", "status", "rule", json_out=True)["waits"] is None


def test_object_that_is_refused_says_why(local):
    """A policy that denies one prefix: the endpoint works, and the object has its reason."""
    def waits_for():
        return local.repld.ctl("status", json_out=True)["rules"][0]["waits_for"] or ""

    local.add_rule()
    local.put_all({"good": b"x"})
    local.settle()
    with no_faults(local.destination):
        local.destination.fault("status", op="PutObject", status=403, code="AccessDenied",
                                key_prefix="private/", count=-1)
        local.put_all({"private/page": b"x"})
        text = local.repld.wait_for(lambda: "after: " in waits_for() and waits_for(), "the reason")
        assert text.startswith("object private/page, changed ")
        assert text.split("after: ")[1].startswith("PutObject: ")
        assert "after: PutObject: " in local.repld.ctl("status").stdout
    local.settle()


def test_endpoint_that_refuses_a_trial_says_so(local):
    with denied(local.destination, "PutObject"):
        assert local.repld.ctl("rule", "add", "rule", "--source", f"src/{local.from_bucket}",
                               "--destination", f"dst/{local.to_bucket}",
                               check=False).returncode == 1
        shown = endpoint(local, "dst")
        assert shown["state"] == "denied" and "PutObject" in shown["failure"]["text"]
        assert endpoint(local, "src")["state"] == "up"
    local.add_rule()
    assert endpoint(local, "dst")["state"] == "up"


def test_missing_bucket_is_not_the_endpoints_fault(local):
    done = local.repld.ctl("rule", "add", "rule", "--source", f"src/{local.from_bucket}",
                           "--destination", "dst/no-such-bucket-here", check=False)
    assert done.returncode == 1 and endpoint(local, "dst")["state"] == "up"


def test_endpoint_that_does_not_answer_a_scan_says_so(bucketd, bucketd2, bucket):
    nowhere = {"src": {"url": f"http://127.0.0.1:{free_port()}"}}
    with make_world(bucketd, bucketd2, bucket, endpoint_options=nowhere) as world:
        world.add_rule("--existing", "--no-preflight")
        world.repld.wait_for(lambda: endpoint(world, "src")["state"] == "outage", "the outage")
        assert endpoint(world, "src")["failure"]["text"]
        assert world.repld.ctl("scan", "status", "rule", json_out=True)["waits"]


# --- lag and wait ---

def lag(world):
    return world.repld.ctl("lag", "rule", json_out=True)["rules"][0]


@pytest.fixture
def deaf(bucketd, bucketd2, bucket, tmp_path):
    """A world whose webhook has heard nothing yet."""
    token = tmp_path / "token"
    token.write_text("x" * 48)
    webhook = {"listen": "127.0.0.1:0",
               "sources": {"w": {"endpoint": "src", "token": {"file": str(token)}}}}
    with make_world(bucketd, bucketd2, bucket, webhook=webhook) as world:
        yield world


def test_lag_of_what_has_no_watermark_is_not_zero(deaf):
    deaf.add_rule("--watermark-prefix", "html/")
    row = lag(deaf)
    assert row["watermark"] is None and row["lag_ms"] is None
    assert [prefix["lag_ms"] for prefix in row["prefixes"]] == [None]
    for command in ("lag", "status"):
        shown = deaf.repld.ctl(command).stdout
        line = next(line for line in shown.splitlines() if "html/" in line)
        assert line.split()[2:4] == ["-", "-"] and " 0 ms" not in shown


def test_lag_of_a_prefix_is_a_number_once_it_is_known(local):
    local.add_rule("--watermark-prefix", "html/")
    local.settle()
    local.repld.wait_for(lambda: lag(local)["prefixes"][0]["lag_ms"] is not None, "a lag")


def wait_a_moment(world, *options):
    done = world.repld.ctl("wait", "rule", *options, "--timeout", "1", check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("options", [[], ["--proven"], ["--prefix", "html/"]], ids=" ".join)
def test_time_that_is_still_to_come_is_the_reason(local, options):
    local.add_rule("--watermark-prefix", "html/")
    local.put_all({"html/1": b"x"})  # somebody tells of changes
    local.settle()
    said = wait_a_moment(local, "--until", "2099-01-01T00:00:00Z", *options)
    assert "2099-01-01T00:00:00Z is still to come" in said and "besides" not in said


def test_what_is_wrong_besides_is_said_too(deaf):
    deaf.add_rule("--paused")
    said = wait_a_moment(deaf, "--until", "2099-01-01T00:00:00Z")
    assert "still to come" in said and "paused" in said
    assert "still to come" not in wait_a_moment(deaf)


def test_webhook_that_has_heard_nothing_may_not_be_set_up(deaf):
    deaf.add_rule()
    said = wait_a_moment(deaf)
    assert "no event has come yet" in said and "hint: replctl feed setup rule " in said
    assert "feed list" not in said and "replctl scan start rule" in said


# --- feeds ---

@pytest.mark.parametrize("command", [["show", "w", "--id", "77"],
                                     ["drop", "w", "--id", "77", "--reason", "a test"]],
                         ids=" ".join)
def test_unknown_body_says_where_to_look(deaf, command):
    done = deaf.repld.ctl("feed", *command, check=False)
    assert done.returncode == 1 and "no body 77 in the quarantine of webhook:w" in done.stderr
    assert "replctl feed show webhook:w" in done.stderr and "replctl feed list" in done.stderr
    everything = deaf.repld.ctl("feed", "drop", "w", "--all", "--reason", "a test", check=False)
    assert everything.returncode == 1 and "nothing is in the quarantine" in everything.stderr


# --- reload ---

def test_reload_without_its_file_is_refused(local):
    """1: nothing that is far away did not answer."""
    local.add_rule()
    away = local.repld.conf_path.rename(local.repld.dir / "away.yaml")
    done = local.repld.ctl("reload", check=False)
    assert done.returncode == 1
    assert "cannot be opened" in done.stderr and "goes on as it was configured" in done.stderr
    assert "configuration stays as it was" in local.repld.logs()
    local.put_all({"k": b"x"})
    local.settle()
    away.rename(local.repld.conf_path)
    local.repld.ctl("reload")


def test_reload_to_an_address_in_use_is_refused(local):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        token = local.repld.dir / "token"
        token.write_text("x" * 48)
        local.repld.write_conf(webhook={
            "listen": f"127.0.0.1:{taken.getsockname()[1]}",
            "sources": {"w": {"endpoint": "src", "token": {"file": str(token)}}}})
        done = local.repld.ctl("reload", check=False)
    assert done.returncode == 1 and "goes on as it was configured" in done.stderr


def test_reload_says_what_needs_a_restart(local):
    """On the terminal as in the log; again at the next reload, and no more when it is taken back."""
    good = local.repld.conf_path.read_text()
    assert local.repld.ctl("reload").stderr == ""
    conf = yaml.safe_load(good)
    conf["admin"]["socket"] = str(local.repld.dir / "other.sock")
    conf["instance"] = "another"
    conf["log"] = {**conf.get("log", {}), "format": "json"}
    local.repld.conf_path.write_text(yaml.safe_dump(conf))
    for _ in range(2):
        done = local.repld.ctl("reload")
        assert done.stdout == "configuration was read again\n"
        assert done.stderr == ("replctl: warning: instance, admin.socket, log.format changed, which "
                               "needs a restart\nhint: systemctl restart repld\n")
    assert local.repld.ctl("reload", json_out=True) == {
        "done": True, "restart": ["instance", "admin.socket", "log.format"]}
    assert "admin.socket changed, which needs a restart" in local.repld.logs()
    local.repld.conf_path.write_text(good)
    assert local.repld.ctl("reload").stderr == ""
    conf = yaml.safe_load(good)
    conf["journal"]["path"] = str(local.repld.dir / "other.db")
    local.repld.conf_path.write_text(yaml.safe_dump(conf))
    done = local.repld.ctl("reload", check=False)
    assert done.returncode == 1
    assert "journal's path cannot change without a restart" in done.stderr


# --- apply ---

def rules_file(world, *rules):
    path = world.repld.dir / "rules.yaml"
    path.write_text(yaml.safe_dump({"rules": [
        {"name": name, "source": f"src/{world.from_bucket}/{name}/",
         "destination": f"dst/{world.to_bucket}/{name}/", **more} for name, more in rules]}))
    return path


def rule_names(world):
    return [row["rule"]["name"] for row in world.repld.ctl("rule", "list", json_out=True)["rules"]]


def test_apply_tries_all_buckets_before_it_changes_a_rule(local):
    file = rules_file(local, ("good", {}), ("from", {"source": "src/no-such-bucket-x"}),
                      ("to", {"destination": "dst/no-such-bucket-y"}))
    done = local.repld.ctl("apply", "-f", file, check=False)
    assert done.returncode == 1 and rule_names(local) == []
    assert "nothing was changed" in done.stderr
    for line, name in ((5, "no-such-bucket-x"), (8, "no-such-bucket-y")):
        assert any(f"rules.yaml:{line}:" in said and name in said
                   for said in done.stderr.splitlines()), done.stderr
    told = json.loads(local.repld.ctl("--json", "apply", "-f", file, check=False).stdout)
    assert [row["rule"] for row in told["error"]["errors"]] == ["from", "to"]
    local.repld.ctl("apply", "-f", file, "--no-preflight")
    assert sorted(rule_names(local)) == ["from", "good", "to"]


def test_apply_to_what_does_not_answer_is_unreachable(bucketd, bucketd2, bucket):
    nowhere = {"dst": {"url": f"http://127.0.0.1:{free_port()}"}}
    with make_world(bucketd, bucketd2, bucket, endpoint_options=nowhere) as world:
        done = world.repld.ctl("apply", "-f", rules_file(world, ("a", {})), check=False)
        assert done.returncode == 3 and rule_names(world) == []


def test_apply_that_ends_half_way_says_where(local):
    """Somebody else is changing a rule of it."""
    local.repld.ctl("apply", "-f", rules_file(local, ("one", {}), ("two", {}), ("three", {})))
    asked = local.source.stats()["requests"].get("GetBucketVersioning", 0)
    local.source.fault("hang", op="GetBucketVersioning")
    with concurrent.futures.ThreadPoolExecutor(1) as other, no_faults(local.source):
        busy = other.submit(local.repld.ctl, "rule", "update", "two", "--versions", "all",
                            check=False)
        local.repld.wait_for(
            lambda: local.source.stats()["requests"].get("GetBucketVersioning", 0) > asked,
            "the other's trial")
        file = rules_file(local, *((name, {"priority": 7}) for name in ("one", "two", "three")))
        done = local.repld.ctl("apply", "-f", file, check=False)
        told = json.loads(local.repld.ctl("--json", "apply", "-f", file, check=False).stdout)
        local.source.clear_faults()
        busy.result()
    assert done.returncode == 1 and "being changed right now" in done.stderr
    assert "\nchanged: one\nnot changed: two, three\n" in done.stderr
    assert told["error"]["changed"] == [] and told["error"]["not_changed"] == ["two", "three"]


def test_apply_names_every_entry_that_is_no_rule(local):
    file = rules_file(local, ("a", {"source": "src"}), ("b", {}), ("c", {"priority": 500}))
    done = local.repld.ctl("apply", "-f", file, check=False)
    assert done.returncode == 1 and "2 entries" in done.stderr
    assert "rules.yaml:4: source" in done.stderr and "rules.yaml:10: priority" in done.stderr
    told = json.loads(local.repld.ctl("--json", "apply", "-f", file, check=False).stdout)
    assert len(told["error"]["errors"]) == 2


# --- explain ---

def test_put_of_an_object_that_is_not_there_is_explained(local):
    local.add_rule()
    local.announce(["gone"])
    local.settle()
    assert "not at the source any more" in local.repld.ctl("explain", "rule", "gone").stdout


# --- status ---

def test_status_says_since_when_it_counts(bucketd, bucketd2, bucket, tmp_path):
    outboxes = {"o": {"path": str(tmp_path / "o.db"), "create": True, "endpoint": "src"}}
    with make_world(bucketd, bucketd2, bucket, outboxes=outboxes) as world:
        shown = world.repld.ctl("status").stdout
        started = world.repld.ctl("status", json_out=True)["started"]
        assert f"NO RULE and SENT count from the start of repld, {started}" in shown


def test_status_without_feeds_says_nothing_of_their_counts(local):
    assert "count from" not in local.repld.ctl("status").stdout


# --- append ---

def test_append_of_an_unknown_endpoint_is_refused_by_name(local):
    local.add_rule()
    done = local.repld.ctl("journal", "append", "--bucket", local.from_bucket, "--key", "k",
                           "--endpoint", "srx", check=False)
    assert done.returncode == 1 and 'there is no endpoint "srx"' in done.stderr
    assert "src" in done.stderr.split("hint:")[1]
    lines = [{"bucket": local.from_bucket, "key": "k"},
             {"bucket": local.from_bucket, "key": "l", "endpoint": "nowhere"}]
    done = local.repld.ctl("journal", "append", check=False,
                           input="".join(json.dumps(line) + "\n" for line in lines))
    assert done.returncode == 1 and 'change 2 of the request: there is no endpoint' in done.stderr
    assert "no feed has told of it" in local.repld.ctl("explain", "rule", "k").stdout


# --- keys ---

def test_changed_credentials_file_is_read_without_a_reload(local):
    """The endpoint says that its keys are refused, and takes new ones by itself."""
    good = local.repld.credentials.read_text()
    local.repld.credentials.write_text(good.replace(local.source.secret_key, "wrong", 1))
    local.repld.restart()
    local.add_rule("--existing", "--no-preflight")
    local.put("k", b"x")
    local.repld.wait_for(lambda: endpoint(local, "src")["state"] == "denied", "the refusal")
    assert "SignatureDoesNotMatch" in str(endpoint(local, "src")["failure"])
    new = local.repld.dir / "new"
    new.write_text(good)
    new.rename(local.repld.credentials)
    local.repld.wait_for(lambda: "k" in local.destination_keys(), "the object", 90)
    assert endpoint(local, "src")["state"] == "up"

"""The webhook: notifications of senders become copies; what is no notification does no harm."""

import json
import os
import socket
import threading

import pytest

from lib import servers
from lib.process import wait_until
from lib.webhook import Hook, Senders, minio_body, trusting
from lib.world import make_world

GARBAGE = b'{"Records": [{"eventSource": "aws:s3"'


@pytest.fixture
def hook(tmp_path):
    return Hook(tmp_path)


@pytest.fixture
def world(bucketd, bucketd2, bucket, hook):
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf(late="1min")) as made:
        made.add_rule("--deletes", "propagate")
        yield made


def arrives(world, key, body):
    world.repld.wait_for(lambda: key in world.destination_keys(), f"{key} at the destination")
    assert world.at_destination(key) == body


def requests(world, outcome):
    return world.repld.metric("repl_webhook_requests_total", outcome=outcome)


def feed(world):
    return world.repld.ctl("feed", "list", json_out=True)["feeds"][0]


def quarantine(world):
    return world.repld.ctl("feed", "show", "sender", json_out=True)["quarantine"]


@pytest.mark.smoke
def test_notifications_become_copies(world, hook):
    world.put("raw/a b+c.html", b"page")
    assert hook.post(minio_body(world.from_bucket, "raw/a b+c.html"))[0] == 200
    arrives(world, "raw/a b+c.html", b"page")
    world.delete("raw/a b+c.html")
    assert hook.post(minio_body(world.from_bucket, "raw/a b+c.html", "delete",
                                sequencer="17A5B0C3D2E1F001"))[0] == 200
    world.repld.wait_for(lambda: world.destination_keys() == [], "the delete")
    assert requests(world, "accepted") == 2
    assert world.repld.metric("repl_webhook_changes_total", source="sender") == 2


def test_metrics_without_a_value_are_absent(bucketd, bucketd2, bucket, hook):
    """No notification has come: there is no watermark, hence no lag; and it has no certificate."""
    late = {"repl_rule_lag_seconds", "repl_rule_watermark_timestamp_seconds",
            "repl_webhook_heard_timestamp_seconds"}
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf(late="1s")) as world:
        world.add_rule()

        def shown():
            return {sample.split("{")[0] for sample in world.repld.metrics()}

        def is_heard():
            assert hook.post(minio_body(world.from_bucket, "none"))[0] == 200
            return late <= shown()

        world.repld.wait_for(lambda: "repl_rule_pending_objects" in shown(), "the rule's metrics")
        assert not shown() & (late | {"repl_webhook_certificate_expiry_timestamp_seconds"})
        world.repld.wait_for(is_heard, "a watermark")
        assert 0 <= world.repld.metric("repl_rule_lag_seconds") < 600


def test_token_is_wanted(world, hook):
    world.put("k", b"x")
    body = minio_body(world.from_bucket, "k")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": hook.token[:-1]},
                    {"Authorization": f"Basic {hook.token}"}):
        status, answer = hook.post(body, headers=headers)
        assert (status, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert hook.post(body, path=f"/sender/{hook.token}x", headers={})[0] == 401
    assert hook.post(body, path="/sender/", headers={})[0] == 401
    assert hook.post(body, path="/other", headers={"Authorization": hook.token})[0] == 404
    assert hook.post(body, path="/senders", headers={"Authorization": hook.token})[0] == 404
    assert requests(world, "token") == 6
    # As a word behind Bearer, as it is, or in the path.
    assert hook.post(body, headers={"authorization": f"bearer {hook.token}"})[0] == 200
    assert hook.post(body, headers={"Authorization": hook.token})[0] == 200
    assert hook.post(body, path=f"/sender/{hook.token}", headers={})[0] == 200
    arrives(world, "k", b"x")
    for text in (world.repld.logs(), world.repld.ctl("feed", "list", json_out=False).stdout,
                 world.repld.metrics_text()):
        assert hook.token not in text


def test_token_is_replaced_without_a_gap(world, hook):
    body = minio_body(world.from_bucket, "k")
    old, hook.token = hook.token, "n" * 32
    hook.token_file.write_text(f"{old}\n{hook.token}\n")
    world.repld.ctl("reload")
    assert hook.post(body)[0] == 200
    assert hook.post(body, headers={"Authorization": old})[0] == 200
    hook.token_file.write_text(hook.token)
    world.repld.ctl("reload")
    assert hook.post(body)[0] == 200
    assert hook.post(body, headers={"Authorization": old})[0] == 401


def test_missing_token_lets_nobody_in(bucketd, bucketd2, bucket, hook):
    hook.token_file.unlink()
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf()) as world:
        assert hook.post(minio_body("b", "k"))[0] == 401
        assert hook.post(minio_body("b", "k"), headers={"Authorization": ""})[0] == 401
        shown = feed(world)
        assert not shown["up"] and "sender.token" in shown["failure"]["text"]


def test_deaf_webhook_is_shown(bucketd, bucketd2, bucket, hook):
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf(late="2s")) as world:
        world.add_rule()
        assert feed(world)["state"] == "up"
        world.repld.wait_for(lambda: "no event" in world.repld.ctl("lag", "rule").stdout, "an ear")
        hook.post(minio_body(world.from_bucket, "k"))
        world.repld.wait_for(lambda: feed(world)["state"] == "deaf", "silence to be noticed")
        shown = feed(world)
        assert not shown["up"] and "thought deaf: no event has come" in shown["failure"]["text"]
        assert "replctl feed setup rule " in shown["failure"]["hint"]
        table = world.repld.ctl("feed", "list").stdout
        assert "deaf" in table and "hint for webhook:sender: replctl feed setup rule " in table
        world.repld.wait_for(lambda: world.repld.logs().count("thought deaf:") == 1, "its line")
        waited = world.repld.ctl("wait", "rule", "--timeout", "1", check=False)
        assert waited.returncode == 1 and "hint: replctl feed setup rule " in waited.stderr
        assert "replctl scan start rule" in waited.stderr
        hook.post(minio_body(world.from_bucket, "k", sequencer="17A5B0C3D2E1F001"))
        world.repld.wait_for(lambda: "no longer thought deaf" in world.repld.logs(), "its end")


def test_unreadable_body_is_kept_apart(world, hook):
    world.put("good", b"x")
    assert hook.post(GARBAGE)[0] == 200
    assert hook.post(minio_body(world.from_bucket, "good"))[0] == 200
    arrives(world, "good", b"x")
    [row] = quarantine(world)
    assert row["size_bytes"] == len(GARBAGE) and row["reason"]
    shown = world.repld.ctl("feed", "show", "webhook:sender", "--id", row["id"], json_out=True)
    assert shown["body"] == GARBAGE.decode()
    assert world.repld.metric("repl_quarantine_bodies", feed="webhook:sender") == 1
    assert "SIZE" in world.repld.ctl("feed", "show", "sender").stdout
    # Over a restart, too; then it is read again in vain, and given up.
    world.repld.restart()
    assert [kept["id"] for kept in quarantine(world)] == [row["id"]]
    world.repld.wait_for(lambda: feed(world)["quarantined"] == 1, "the count")
    replayed = world.repld.ctl("feed", "replay", "sender", "--id", row["id"], check=False)
    assert replayed.returncode == 1 and "cannot be read yet" in replayed.stderr
    assert world.repld.ctl("feed", "drop", "sender", "--id", row["id"],
                           check=False).returncode == 2, "a reason is wanted"
    world.repld.ctl("feed", "drop", "sender", "--id", row["id"], "--reason", "a test")
    assert quarantine(world) == []
    assert world.repld.metric("repl_quarantine_bodies", feed="webhook:sender") == 0
    assert "a test" in world.repld.logs()
    [word] = world.repld.ctl("feed", "show", "sender", json_out=True)["dropped"]
    assert (word["id"], word["bodies"], word["reason"]) == (row["id"], 1, "a test")
    assert f"(uid {os.getuid()})" in word["who"] and word["at"]
    assert "a test" in world.repld.ctl("feed", "show", "sender").stdout


def test_what_is_good_of_a_body_is_taken(world, hook):
    world.put("good", b"x")
    body = json.loads(minio_body(world.from_bucket, "good"))
    body["Records"].append({"eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put"})
    assert hook.post(json.dumps(body))[0] == 200
    arrives(world, "good", b"x")
    assert len(quarantine(world)) == 1


def test_what_can_be_read_now_is_replayed(world, hook):
    """As after an update that knows more: the body in the journal is made good by hand."""
    import sqlite3
    world.put("later", b"x")
    hook.post(GARBAGE)
    hook.post(GARBAGE)
    world.repld.stop()
    with sqlite3.connect(world.repld.journal_path) as journal:
        journal.execute("UPDATE quarantine SET body = ? WHERE id = (SELECT max(id) FROM quarantine)",
                        (minio_body(world.from_bucket, "later").encode(),))
    journal.close()
    world.repld.start()
    done = world.repld.ctl("feed", "replay", "sender", check=False)
    assert done.returncode == 1 and "1 of 2 cannot be read yet" in done.stderr
    arrives(world, "later", b"x")
    assert len(quarantine(world)) == 1


def test_test_events_and_empty_requests_are_acknowledged(world, hook):
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-24T10:00:00.000Z",
            "Bucket": "b", "RequestId": "r", "HostId": "h"}
    assert hook.post(json.dumps(test))[0] == 200
    assert hook.post(b"")[0] == 200
    assert quarantine(world) == []
    assert requests(world, "nothing") == 2


def test_bridge_is_understood(world, hook):
    world.put("a+b c", b"x")
    event = {"version": "0", "id": "1", "detail-type": "Object Created", "source": "aws.s3",
             "account": "1", "time": "2026-11-24T10:00:00Z", "region": "eu-central-1",
             "resources": [f"arn:aws:s3:::{world.from_bucket}"],
             "detail": {"version": "0", "bucket": {"name": world.from_bucket},
                        "object": {"key": "a+b c", "size": 1, "etag": "e",
                                   "sequencer": "0055AED6DCD90281E5"}, "reason": "PutObject"}}
    assert hook.post(json.dumps(event), headers={"Authorization": hook.token,
                                                 "Content-Type": "application/json"})[0] == 200
    arrives(world, "a+b c", b"x")


def test_places_that_no_rule_takes_are_told(world, hook):
    assert hook.post(minio_body("no-rule-has-this", "k"))[0] == 200
    assert world.repld.metric("repl_webhook_astray_changes_total", source="sender") == 1
    assert feed(world)["astray"] == 1


# --- bad input ---

def raw(hook, text, timeout=20):
    """What the server says to these bytes, up to its end or the timeout."""
    with socket.create_connection(("127.0.0.1", hook.port), timeout=timeout) as sock:
        sock.sendall(text)
        answer = b""
        try:
            while chunk := sock.recv(65536):
                answer += chunk
        except OSError:
            pass
        return answer


def test_hostile_bodies_do_no_harm(world, hook):
    bodies = [b"[" * 100000, b'{"Records":' * 20000, b"\0" * 1000, b"\xff" * 1000, b'"' * 1000,
              b'{"Records":[' + b"{}," * 30000 + b"{}]}", b"<!DOCTYPE a [<!ENTITY b '" + b"c" * 9999,
              b"AAAA" * 1000, json.dumps({"Records": [{"eventName": "s3:ObjectCreated:Put",
                                                       "eventSource": "minio:s3"}] * 2000}).encode(),
              minio_body("b", "k" * 5000).encode(), minio_body("b" * 999, "k").encode()]
    for body in bodies:
        assert hook.post(body)[0] == 200
    assert len(quarantine(world)) == len(bodies)
    world.put("good", b"x")
    assert hook.post(minio_body(world.from_bucket, "good"))[0] == 200
    arrives(world, "good", b"x")


def test_huge_bodies_are_refused(world, hook):
    assert hook.post(b"x" * ((1 << 20) + 1))[0] == 413
    head = (f"POST /sender HTTP/1.1\r\nHost: a\r\nAuthorization: {hook.token}\r\n"
            "Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n").encode()
    assert b" 413 " in raw(hook, head, timeout=5)
    assert hook.post(minio_body(world.from_bucket, "k"))[0] == 200


def test_half_requests_hold_nobody_up(world, hook):
    head = (f"POST /sender HTTP/1.1\r\nHost: a\r\nAuthorization: {hook.token}\r\n"
            "Content-Length: 500\r\n\r\n{").encode()
    halves = []
    for cut in (1, 20, len(head) - 1, len(head)):
        for _ in range(20):
            sock = socket.create_connection(("127.0.0.1", hook.port))
            sock.sendall(head[:cut])
            halves.append(sock)
    world.put("good", b"x")
    assert hook.post(minio_body(world.from_bucket, "good"))[0] == 200
    for sock in halves[::2]:
        sock.close()
    assert hook.post(minio_body(world.from_bucket, "good"))[0] == 200
    for sock in halves:
        sock.close()
    arrives(world, "good", b"x")
    assert requests(world, "quarantined") == 0


def test_rate_is_limited(bucketd, bucketd2, bucket, tmp_path):
    hook = Hook(tmp_path, rate="2/s")
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf()) as world:
        seen = [hook.post(minio_body("b", "k")) for _ in range(6)]
        assert [status for status, _ in seen[:2]] == [200, 200]
        assert 429 in [status for status, _ in seen]
        assert all(int(head["Retry-After"]) >= 1 for status, head in seen if status == 429)
        wait_until(lambda: hook.post(minio_body("b", "k"))[0] == 200, 20, "credit again", 0.2)
        assert requests(world, "rate") > 0


# --- TLS ---

def reload_certificate(world, hook, folder):
    ca, cert, key = servers.make_certificates(folder)
    hook.tls = trusting(ca)
    return ca, cert, key


def serial(hook):
    connection = hook.connect()
    connection.connect()
    found = connection.sock.getpeercert()["serialNumber"]
    connection.close()
    return found


def test_tls_and_its_new_certificate(bucketd, bucketd2, bucket, tmp_path):
    ca, cert, key = servers.make_certificates(tmp_path)
    hook = Hook(tmp_path, certificate=str(cert), key=str(key))
    hook.tls = trusting(ca)
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf()) as world:
        world.add_rule()
        world.put("k", b"x")
        kept = hook.connect()
        assert hook.post(minio_body(world.from_bucket, "k"), kept)[0] == 200
        before = serial(hook)
        assert world.repld.metric("repl_webhook_certificate_expiry_timestamp_seconds") > 0
        # A file that is no certificate: the old one stays.
        good = cert.read_bytes()
        cert.write_text("nonsense")
        world.repld.ctl("reload", check=False)
        assert serial(hook) == before
        cert.write_bytes(good)
        servers.make_certificates(tmp_path)
        hook.tls = trusting(ca)
        world.repld.ctl("reload")
        assert serial(hook) != before
        status, head = hook.post(minio_body(world.from_bucket, "k"), kept)
        assert (status, head["Connection"]) == (200, "close"), "it is served, then let go"
        assert hook.post(minio_body(world.from_bucket, "k"))[0] == 200
        arrives(world, "k", b"x")


def test_half_handshakes_hold_nobody_up(bucketd, bucketd2, bucket, tmp_path):
    ca, cert, key = servers.make_certificates(tmp_path)
    hook = Hook(tmp_path, certificate=str(cert), key=str(key))
    hook.tls = trusting(ca)
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf()):
        halves = [socket.create_connection(("127.0.0.1", hook.port)) for _ in range(50)]
        for number, sock in enumerate(halves):
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[:number % 8])
        assert raw(hook, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 5) is not None
        assert hook.post(minio_body("b", "k"))[0] == 200
        for sock in halves:
            sock.close()
        assert hook.post(minio_body("b", "k"))[0] == 200


def test_client_certificate_is_wanted(bucketd, bucketd2, bucket, tmp_path):
    (tmp_path / "other").mkdir()
    ca, cert, key = servers.make_certificates(tmp_path)
    client = servers.make_client_certificate(tmp_path)
    _, *stranger = servers.make_certificates(tmp_path / "other")
    hook = Hook(tmp_path, certificate=str(cert), key=str(key), client_ca=str(ca))
    body = minio_body("b", "k")
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf(token={})):
        hook.tls = trusting(ca)
        assert hook.post(body, headers={})[0] == 403
        hook.tls = trusting(ca, *stranger)
        assert hook.post(body, headers={})[0] == 403
        hook.tls = trusting(ca, *client)
        assert hook.post(body, headers={})[0] == 200


# --- durability ---

def test_what_was_accepted_survives_kill_9(bucketd, bucketd2, bucket, hook):
    """Senders post while the daemon is killed again and again: every key that was answered with 2xx
    is a change that the journal has."""
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf()) as world:
        world.add_rule("--paused")
        senders = Senders(hook, world.from_bucket, (f"k{n:06d}" for n in range(100000)))
        senders.start()
        for kill in range(5):
            least = len(senders.accepted) + 500
            wait_until(lambda: len(senders.accepted) >= least, 60, "answers")
            world.repld.kill9()
            world.repld.start()
        senders.keys = iter(())
        senders.join()
        world.repld.stop()
        assert len(senders.accepted) >= 2500
        missing = set(senders.accepted) - tasks(world)
        assert not missing, f"{len(missing)} of {len(senders.accepted)}"
        world.repld.start()


def tasks(world):
    import sqlite3
    with sqlite3.connect(f"file:{world.repld.journal_path}?mode=ro", uri=True) as journal:
        return {key.decode() for key, in journal.execute("SELECT key FROM tasks")}

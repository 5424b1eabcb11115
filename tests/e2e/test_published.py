"""The watermark in the destination bucket, as jobs there read it."""

import json
import pathlib
import re
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = "_repl/watermark/rule/test.json"


def reader():
    """wait_for() of the README."""
    text = (ROOT / "README.md").read_text()
    code = re.search(r"<!-- reader-sample -->\n```python\n(.*?)```\n<!-- end -->", text, re.DOTALL)
    space = {}
    exec(code.group(1).replace("time.sleep(5)", "time.sleep(0.1)"), space)
    return space["wait_for"]


def published(world, key=KEY):
    got = world.destination_client.list_objects_v2(Bucket=world.to_bucket, Prefix="_repl/")
    if key not in [item["Key"] for item in got.get("Contents", [])]:
        return None
    body = world.destination_client.get_object(Bucket=world.to_bucket, Key=key)["Body"]
    return json.load(body)


def say(world, instance, watermark):
    world.destination_client.put_object(
        Bucket=world.to_bucket, Key=f"_repl/watermark/rule/{instance}.json",
        Body=json.dumps({"instance": instance, "watermark": watermark}))


def test_watermark_is_published_and_not_ahead(world):
    world.add_rule("--publish", "1s")
    world.put_all({"a": b"1", "b": b"22"})
    world.settle()
    world.repld.wait_for(lambda: (published(world) or {}).get("done_objects") == 2, "the object")
    said = published(world)
    lag = world.repld.ctl("lag", "rule", json_out=True)["rules"][0]
    assert said["rule"] == "rule" and said["instance"] == "test" and said["state"] == "ok"
    assert said["waits_for"] is None and said["proven"] is None
    assert 0 < said["watermark_ms"] <= lag["watermark_ms"]
    assert said["watermark"] <= lag["watermark"]
    assert world.destination_keys() == ["a", "b"], "what is repld's own is no object of the rule"


def test_it_says_what_it_waits_for(local):
    local.add_rule("--publish", "1s", "--paused")
    local.repld.wait_for(lambda: (published(local) or {}).get("state") == "paused", "the reason")
    assert "paused" in published(local)["waits_for"]


def test_it_goes_with_its_rule_and_can_be_switched_off(local):
    local.add_rule("--publish", "1s", "--publish-as", "_repl/here/{instance}")
    local.repld.wait_for(lambda: published(local, "_repl/here/test"), "the object")
    local.repld.ctl("rule", "update", "rule", "--publish", "off")
    local.repld.wait_for(lambda: published(local, "_repl/here/test") is None, "its end")
    local.repld.ctl("rule", "update", "rule", "--publish", "1s")
    local.repld.wait_for(lambda: published(local, "_repl/here/test"), "the object again")
    local.repld.ctl("rule", "delete", "rule")
    local.repld.wait_for(lambda: published(local, "_repl/here/test") is None, "its end")


def test_reader_waits_for_the_last_host(local):
    """The README's: the least of all that are there, and of all hosts that are expected."""
    local.add_rule("--publish", "1s")
    local.repld.wait_for(lambda: published(local), "the object")
    hour = published(local)["watermark"]
    say(local, "late", "1970-01-01T00:00:00Z")
    ended = []
    job = threading.Thread(target=lambda: ended.append(reader()(
        local.destination_client, local.to_bucket, "rule", hour, hosts=["test", "late", "other"])))
    job.start()
    local.put_all({"a": b"1"})
    local.settle()
    say(local, "late", hour)
    assert not ended, "one host has never said anything"
    say(local, "other", "2020-01-01T00:00:00Z")
    assert not ended, "one host is behind"
    say(local, "other", hour)
    job.join(timeout=60)
    assert {said["instance"] for said in ended[0]} == {"test", "late", "other"}

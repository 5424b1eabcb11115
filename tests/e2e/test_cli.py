"""Command lines: help, exit codes, and clear errors for bad input."""

import json
import os
import pathlib
import re
import subprocess
import unicodedata

import pytest
import yaml

from lib.repld import WRAP, command, program
from lib.webhook import Hook
from lib.world import make_world

GROUPS = ("status", "lag", "explain", "wait", "rule", "apply", "journal", "uploads", "lanes", "failures",
          "feed", "path", "scan", "doctor", "reload", "migrate")
COMPLETION = pathlib.Path(__file__).resolve().parents[2] / "etc/completion/replctl"


@pytest.mark.parametrize("name", ["repld", "replctl"])
def test_help_and_version(name):
    shown = command(name, "--help")
    assert shown.returncode == 0 and "--help" in shown.stdout and shown.stderr == ""
    version = command(name, "--version")
    assert version.returncode == 0 and "0.1.0" in version.stdout


def test_help_names_every_command():
    text = command("replctl", "--help").stdout
    assert [group for group in GROUPS if group not in text] == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_has_help(group):
    shown = command("replctl", group, "--help")
    assert shown.returncode == 0 and group in shown.stdout


def commands():
    text = command("replctl", "--help").stdout
    return re.findall(r"^  ([a-z]+(?: [a-z-]+)?)  ", text.split("\n\n")[1], re.MULTILINE)


def options(*words):
    return re.findall(r"^  (?:-[a-z], )?(--[a-z-]+)", command("replctl", *words, "--help").stdout,
                      re.MULTILINE)


@pytest.mark.parametrize("args", [["path", "--help"], ["help", "path"], ["path", "-h"]], ids=" ".join)
def test_help_of_a_group_is_the_groups(args):
    shown = command("replctl", *args).stdout
    assert "path forbid" in shown and "rule add" not in shown
    assert command("replctl", "help", "path", "fix").stdout.startswith("usage: replctl path fix")


@pytest.mark.parametrize("words", [[], ["rule"], ["rule", "add"], ["wait"]], ids=" ".join)
def test_help_is_in_columns(words):
    """What is too long stands on a line of its own, and its help on the next."""
    text = command("replctl", *words, "--help").stdout
    for line in re.findall(r"^  (?:-h, )?--.*|^ {37}.*", text, re.MULTILINE):
        assert re.fullmatch(r"  .{34} \S.*| {37}\S.*|  \S+( \S+)*", line), line


def complete(*words, env=None):
    """What bash offers behind these words, the last of which is being written."""
    script = f'''. "{COMPLETION}"; COMP_WORDS=(replctl "$@"); COMP_CWORD=$#
                _replctl; printf "%s\\n" "${{COMPREPLY[@]}}"'''
    path = f"{program('replctl').parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True,
                          timeout=120, env={**os.environ, "PATH": path, **(env or {})})
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_knows_every_command_and_option(tmp_path):
    nowhere = {"REPLD_SOCKET": str(tmp_path / "none")}
    assert len(commands()) > 30
    for name in commands():
        first, *second = name.split()
        assert first in complete(first[:2], env=nowhere)
        assert not second or second[0] in complete(first, "", env=nowhere)
        assert set(options(*name.split())) == set(complete(*name.split(), "--", env=nowhere)), name


def test_completion_knows_values_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").touch()
    (tmp_path / "folder").mkdir()
    assert complete("rule", "add", "x", "--scan", "") == ["off", "once", "every", "continuous"]
    assert complete("rule", "update", "x", "--paused", "--deletes", "p") == ["propagate"]
    assert complete("apply", "-f", "r") == complete("apply", "--file", "r") == ["rules.yaml"]
    assert complete("doctor", "--root", "") == ["folder"]
    assert complete("no-such-command", "") == []


def test_completion_knows_names(local):
    local.add_rule()
    env = {"REPLD_SOCKET": str(local.repld.socket)}
    for words in (["rule", "show"], ["scan", "start"], ["feed", "setup"], ["lag"], ["wait"],
                  ["failures", "drop"], ["uploads", "--rule"]):
        assert complete(*words, "", env=env) == ["rule"], words
    assert complete("path", "fix", "s", env=env) == ["src"]
    assert complete("lanes", "", env=env) == ["src", "dst"]
    assert complete("rule", "add", "", env=env) == []


@pytest.mark.parametrize("args", [
    ["no-such-command"], ["status", "--no-such-option"], ["rule"], ["rule", "add"],
    ["rule", "add", "x", "--source"], ["lag", "--watch=maybe"], ["wait"],
    ["wait", "r", "--timeout", "soon"], ["wait", "r", "--until", "yesterday-ish"],
    ["rule", "add", "x", "--source", "nowhere", "--destination", "e/b/"], ["migrate", "a", "b"],
    ["rule", "add", "x", "--source", "e/b/", "--destination", "e/c/", "--priority", "many"],
    ["rule", "add", "x", "--source", "e/b/", "--destination", "e/c/", "--deletes", "never"],
    ["feed", "setup", "r", "--for", "gcs"],
    ["journal", "append", "--bucket", "b", "--key", "k", "--kind", "frob"]], ids=" ".join)
def test_usage_errors(args, tmp_path):
    done = command("replctl", "--socket", tmp_path / "none.sock", *args)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == "" and done.stderr.startswith("replctl: ") and "hint: " in done.stderr
    told = command("replctl", "--socket", tmp_path / "none.sock", "--json", *args)
    error = json.loads(told.stdout)["error"]
    assert told.returncode == 2 and error["code"] == "REPL_EBADINPUT"
    assert done.stderr == f"replctl: {error['text']}\nhint: {error['hint']}\n"


def test_words_that_need_quotes_are_named():
    done = command("replctl", "rule", "add", "x", "--deletes-brake", "5%", "in", "1d")
    assert done.returncode == 2 and '"in"' in done.stderr and "quoted" in done.stderr


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        done = subprocess.run([program("replctl"), "--help"], stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=60)
    assert done.returncode == 1 and "cannot be written" in done.stderr


@pytest.mark.parametrize("args, said", [
    (["rule", "lst"], "rule list"), (["rule"], "rule add"), (["sttus"], "did you mean status?"),
    (["lag", "--wacth"], "did you mean --watch?"),
    (["feed", "setup", "r", "--for", "gcs"],
     'replctl: --for "gcs" is not known\nhint: one of: minio, rgw, aws, oss\n'),
    (["journal", "append", "--bucket", "b", "--key", "k", "--kind", "putt"],
     'hint: did you mean "put"? one of: put, delete')], ids=lambda value: str(value))
def test_usage_errors_say_what_was_meant(args, said):
    assert said in command("replctl", *args).stderr


def test_usage_errors_of_repld():
    assert "--no-such-option" in command("repld", "--no-such-option").stderr
    assert command("repld", "--no-such-option").returncode == 2
    assert command("repld", "surplus").returncode == 2
    relative = command("repld", "--journal", "rel.db")
    assert relative.returncode == 2 and relative.stderr == (
        f'repld: --journal: "rel.db" must be an absolute path\n'
        f"hint: write --journal {os.getcwd()}/rel.db\n")


def test_daemon_that_is_not_there(tmp_path):
    done = command("replctl", "--socket", tmp_path / "none.sock", "status")
    assert done.returncode == 3
    assert "none.sock" in done.stderr


def test_configuration_that_is_not_there(tmp_path):
    done = command("repld", "--config", tmp_path / "none.yaml")
    assert done.returncode == 1 and "none.yaml" in done.stderr


@pytest.mark.smoke
def test_json_everywhere(local):
    local.add_rule()
    local.put_all({"k": b"x"})
    local.settle()
    for args in (["status"], ["lag"], ["lag", "rule"], ["explain", "rule", "k"], ["rule", "list"],
                 ["rule", "show", "rule"], ["uploads"], ["lanes"], ["failures", "list"],
                 ["wait", "rule", "--until", "now", "--timeout", "30"], ["reload"]):
        json.loads(local.repld.ctl(*args, "--json").stdout)


def test_what_is_not_known_is_not_shown_as_nothing(local):
    """No latency was measured, and the change came without its size."""
    local.add_rule("--paused")
    local.put_all({"k": b"x"})
    local.repld.wait_for(lambda: local.repld.ctl("lag", json_out=True)["rules"][0][
        "pending_objects"] == 1, "the change")
    row = local.repld.ctl("lag").stdout.splitlines()[1].split()
    assert row[3:8] == ["1", "?", "0", "0", "-"], row


def test_no_colours_and_no_escapes_without_a_terminal(local):
    local.add_rule()
    local.put("a\x1b[31mred", b"x")
    for args in (["status"], ["lag"], ["rule", "list"], ["explain", "rule", "a\x1b[31mred"]):
        assert "\x1b" not in local.repld.ctl(*args).stdout


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"key":"k"}x', '{"bucket":"b","key":""}',
                                  '{"bucket":"b","key":"k","kind":"explode"}',
                                  '{"bucket":"b","key":"k","size":-1}', "\x00", "x" * 100000,
                                  '{"bucket":"b","key":"' + "x" * 1025 + '"}',
                                  '{"bucket":"b","key":"k","event_time":"soon"}'],
                         ids=lambda line: line[:40].replace("\x00", "NUL"))
def test_bad_appends_are_refused_as_a_whole(local, line):
    local.add_rule()
    local.put("good", b"x")
    good = json.dumps({"bucket": local.from_bucket, "key": "good"})
    done = local.repld.ctl("journal", "append", input=f"{good}\n{line}\n", check=False)
    assert done.returncode in (1, 2)
    assert "2" in done.stderr, "the line is named"
    local.settle()
    assert local.destination_keys() == []


def test_lanes_show_what_was_used(local, noise):
    local.add_rule()
    local.put_all({"small": b"x", "large": noise(12 << 20)})
    local.settle()
    answer = local.repld.ctl("lanes", "dst", json_out=True)
    assert [path["path"] for path in answer["paths"]] == ["direct"]
    assert len(answer["lanes"]) == answer["paths"][0]["lanes"] > 0
    assert {lane["endpoint"] for lane in answer["lanes"]} == {"dst"}
    assert sum(lane["sent_bytes"] for lane in answer["lanes"]) >= 12 << 20
    assert all(lane["congestion"] for lane in answer["lanes"])
    shown = local.repld.ctl("lanes").stdout
    assert "src" in shown and "dst" in shown and "direct" in shown
    refused = local.repld.ctl("lanes", "nowhere", check=False)
    assert refused.returncode == 1 and "nowhere" in refused.stderr


def test_watch_goes_on_after_a_restart(local, tmp_path):
    local.add_rule()
    seen = tmp_path / "seen"
    with seen.open("w") as out:
        watch = subprocess.Popen([*WRAP, program("replctl"), "--socket", local.repld.socket, "lag",
                                  "--watch"], stdout=out, stderr=out)
    try:
        local.repld.wait_for(lambda: "WATERMARK" in seen.read_text(), "a first table")
        local.repld.stop()
        local.repld.wait_for(lambda: "control.sock" in seen.read_text(), "the failure")
        local.repld.start()
        before = seen.read_text().count("WATERMARK")
        local.repld.wait_for(lambda: seen.read_text().count("WATERMARK") > before, "another")
    finally:
        watch.terminate()
        watch.wait(30)


def test_nothing_foreign_is_said(local):
    local.add_rule()
    assert "no foreign uploads" in local.repld.ctl("uploads", "--foreign").stdout


def test_uploads_of_a_server_that_is_down_name_it(local):
    local.repld.ctl("rule", "add", "rule", "--source", f"src/{local.from_bucket}/",
                    "--destination", "dst/no-such-bucket-here/", "--no-preflight")
    done = local.repld.ctl("uploads", "--foreign", check=False)
    assert done.returncode == 1 and "endpoint dst, bucket no-such-bucket-here" in done.stderr


def test_decision_about_nothing_is_refused(local):
    local.add_rule()
    for args in (["retry", "rule", "--key", "k"], ["drop", "rule", "k", "--reason", "x"]):
        done = local.repld.ctl("failures", *args, check=False)
        assert done.returncode == 1 and "nothing failed with this key" in done.stderr


UNKNOWN = [
    (["rule", "show", "rul"], 'did you mean "rule"? replctl rule list'),
    (["wait", "ruel"], 'did you mean "rule"? replctl rule list'),
    (["uploads", "--foreign", "--rule", "rulee"], 'did you mean "rule"?'),
    (["rule", "show", "another"], "replctl rule list"),
    (["lanes", "sr"], 'did you mean "src"? replctl status'),
    (["path", "fix", "dts", "direct"], 'did you mean "dst"? replctl status'),
    (["path", "fix", "dst", "dirct"], 'did you mean "direct"? replctl lanes dst'),
    (["path", "fix", "dst", "relay"], "replctl lanes dst"),
    (["rule", "add", "x", "--source", "scr/a/", "--destination", "dst/b/"], 'did you mean "src"?'),
    (["feed", "show", "sendr"], 'did you mean "sender"? replctl feed list'),
    (["feed", "show", "webhok:sender"], 'did you mean "webhook:sender"?'),
    (["feed", "show", "sender", "--id", "x"], "replctl feed show webhook:sender"),
    (["feed", "show", "sender", "--id", "9"], "replctl feed show webhook:sender"),
    (["feed", "drop", "sender", "--id", "x", "--reason", "y"], "replctl feed show webhook:sender"),
    (["feed", "replay", "sender"], "replctl feed show webhook:sender"),
    (["feed", "setup", "rule", "--for", "minoi"], "one of: minio, rgw, aws, oss"),
    (["scan", "stop", "rule"], "replctl scan status rule"),
    (["scan", "start", "rule", "--keys", "/none"], "one key a line"),
    (["wait", "rule", "--prefix", "x"], "replctl rule show rule"),
    (["wait", "rule", "--timeout", "1ms"], "replctl rule resume rule"),
    (["wait", "rule", "--proven", "--timeout", "1ms"], "replctl scan status rule"),
    (["apply", "-f", "/none"], "--file"),
    (["explain", ""], "man replctl"),
    (["journal", "append", "--bucket", "b", "--key", "k", "--size", "x"], "digits"),
    (["rule", "update", "rule", "--priority", "x"], "replctl rule update --help"),
]


def test_what_is_refused_has_a_hint(bucketd, bucketd2, bucket, tmp_path):
    """The next command, the mend, or the name that was meant."""
    with make_world(bucketd, bucketd2, bucket, webhook=Hook(tmp_path).conf()) as world:
        world.add_rule("--paused")
        for args, hint in UNKNOWN:
            done = world.repld.ctl(*args, check=False)
            assert done.returncode in (1, 2), (args, done)
            assert hint in done.stderr.partition("\nhint: ")[2], (args, done.stderr)


def test_what_a_terminal_would_obey_is_escaped(local):
    """In tables, in sentences and in what is refused; and what it would turn round."""
    local.add_rule()
    keys = ["a\x1b[31mred\x07", "turned\u202eback", "new\nline"]
    local.repld.append(local.from_bucket, keys)
    shown = [local.repld.ctl(*args, check=False)
             for args in (["lag"], ["status"], ["rule", "show", keys[0]],
                          *(["explain", key] for key in keys))]
    for text in [done.stdout + done.stderr for done in shown]:
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), text
    assert "turned\\xe2\\x80\\xaeback" in shown[4].stdout


def test_bodies_that_are_no_text_are_shown_as_they_came(bucketd, bucketd2, bucket, tmp_path):
    hook = Hook(tmp_path)
    with make_world(bucketd, bucketd2, bucket, webhook=hook.conf()) as world:
        hook.post(b"\xff\x1b\xe4\xb8\xad")
        assert world.repld.ctl("feed", "show", "sender", "--id", "1").stdout == "\\xff\\x1b\u4e2d\n"


def columns(text):
    """Of a terminal: a character of Chinese takes two."""
    return sum(2 if unicodedata.east_asian_width(c) == "W" else 1 for c in text)


def test_columns_stand_below_their_headings(local):
    """Where keys have wide characters; a very long one pushes its own row only."""
    local.add_rule("--deletes", "propagate", "--deletes-brake", "1 in 1h")
    keys = ["plain", "\u4e2d\u6587\u952e", "k" * 1024]
    local.put_all({key: b"x" for key in keys})
    local.settle()
    for key in keys:
        local.delete(key)
    local.announce(keys, "delete")
    local.repld.wait_for(lambda: local.repld.ctl("lag", json_out=True)["rules"][0]["held_deletes"]
                         == len(keys), "held deletes")
    heading, *rows = local.repld.ctl("rule", "deletes", "rule").stdout.splitlines()
    at = heading.index("SIZE")
    assert at < 20 and len(rows) == len(keys)
    for row in rows:
        key = row.split()[0]
        expected = at if len(key) < 20 else len(key) + 2
        assert columns(row[:row.index(" 1 B") + 1]) == expected, row


def test_append_by_flags(local):
    local.add_rule()
    local.put("by-flag", b"x")
    local.repld.ctl("journal", "append", "--bucket", local.from_bucket, "--key", "by-flag")
    local.settle()
    assert local.at_destination("by-flag") == b"x"


def test_append_says_what_no_rule_takes(local):
    """0 where some were accepted, 1 where none was; the first one is named either way."""
    local.add_rule(prefix="raw/")
    local.put("raw/a", b"x")

    def append(*changes, **options):
        lines = "".join(json.dumps({"bucket": bucket, "key": key}) + "\n" for bucket, key in changes)
        return local.repld.ctl("journal", "append", input=lines, **options)

    good = local.from_bucket, "raw/a"
    assert append().stderr == append(good).stderr == ""
    some = append(good, (local.from_bucket, "rwa/\nb"), ("nobucket", "x"))
    assert some.stdout == "1 accepted, 2 that no rule takes\n"
    assert some.stderr == (f"replctl: warning: no rule takes 2 of 3 changes, the first: "
                           f"{local.from_bucket}/rwa/\\x0ab\n"
                           "hint: replctl rule list shows what rules take\n")
    none = local.repld.ctl("journal", "append", "--bucket", "nobucket", "--key", "x", check=False)
    assert (none.returncode, none.stdout) == (1, "0 accepted, 1 that no rule takes\n")
    assert "no rule takes 1 of 1 change, the first: nobucket/x\n" in none.stderr
    told = local.repld.ctl("--json", "journal", "append", "--bucket", "nobucket", "--key", "x",
                           check=False)
    assert told.returncode == 1 and json.loads(told.stdout) == {
        "lines": 1, "accepted": 0, "unmatched": 1,
        "first_unmatched": {"endpoint": None, "bucket": "nobucket", "key": "x"}}
    many = append(*[good] * 1500, ("nobucket", "late"))
    assert "1 of 1501 changes, the first: nobucket/late" in many.stderr


def test_explain(local):
    local.add_rule("--exclude", "no/**")
    local.put_all({"yes": b"x"})
    local.settle()
    assert "yes" in local.repld.ctl("explain", "rule", "yes").stdout
    assert local.repld.ctl("explain", "rule", "no/1").stdout != ""
    assert "exclude patterns leave it out" in local.repld.ctl("explain", "no/1").stdout
    assert local.repld.ctl("explain", "no-such-rule", "k", check=False).returncode == 1


def test_reload_keeps_work_and_takes_endpoints(local):
    local.add_rule()
    local.put_all({"before": b"x"})
    local.repld.write_conf(copies=7)
    local.repld.ctl("reload")
    local.settle()
    conf = local.repld.conf_path.read_text()
    local.repld.conf_path.write_text(conf.replace("copies: 7", "copies: none"))
    done = local.repld.ctl("reload", check=False)
    assert done.returncode == 1 and "copies" in done.stderr
    local.put_all({"after": b"y"})
    local.settle()
    local.compare()


def test_reload_without_an_endpoint_in_use_is_refused(local):
    local.add_rule()
    whole = yaml.safe_load(local.repld.conf_path.read_text())
    del whole["endpoints"]["dst"]
    local.repld.conf_path.write_text(yaml.safe_dump(whole))
    done = local.repld.ctl("reload", check=False)
    assert done.returncode == 1 and "dst" in done.stderr
    local.put_all({"k": b"x"})
    local.settle()


def test_second_daemon_on_the_same_journal_is_refused(local):
    done = command("repld", "--config", local.repld.conf_path)
    assert done.returncode != 0 and done.stderr.strip()
    assert local.repld.answers()


def test_journal_is_private(local):
    assert local.repld.journal_path.stat().st_mode & 0o777 == 0o600


def test_programs_are_where_the_tests_look():
    assert program("repld").exists() and program("replctl").exists()

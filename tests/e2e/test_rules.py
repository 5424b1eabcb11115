"""Rules: what they take, where they put it, and what is refused."""

import json
import pathlib
import re

import pytest
import yaml

from lib.process import free_port


def test_prefix_include_exclude(local):
    local.add_rule("--include", "**/*.html", "--include", "*.html", "--exclude", "tmp/**",
                   prefix="raw/", to_prefix="copy/")
    local.put_all({"raw/a.html": b"1", "raw/b/c.html": b"2", "raw/d.txt": b"3",
                   "raw/tmp/e.html": b"4", "other/f.html": b"5"})
    local.settle()
    assert sorted(local.destination_keys()) == ["copy/a.html", "copy/b/c.html"]
    assert local.at_destination("copy/b/c.html") == b"2"


def test_existing_objects(local):
    objects = {f"old/{number:04d}": b"%d" % number for number in range(1100)}  # two pages
    for key, body in objects.items():
        local.put(key, body)
    local.add_rule("--existing")
    local.repld.wait_for(lambda: len(local.destination_keys()) == len(objects), "all objects")
    local.compare()


def test_existing_objects_are_waited_for_when_asked(local):
    """They do not hold the watermark, which says so; --existing waits for them."""
    local.put("old", b"x")
    local.put("old/2", b"y")
    local.add_rule("--existing", "--paused")
    shown = local.repld.ctl("lag").stdout
    assert "existing objects" in shown and "listing goes on" in shown
    late = local.repld.ctl("wait", "rule", "--existing", "--timeout", "1", check=False)
    assert late.returncode == 1
    local.repld.ctl("rule", "resume", "rule")
    done = local.repld.ctl("wait", "rule", "--existing", "--timeout", "60")
    assert "existing objects" not in done.stdout
    assert local.destination_keys() == ["old", "old/2"]
    assert "existing objects" not in local.repld.ctl("status").stdout


@pytest.mark.smoke
def test_rule_of_which_nobody_tells(local):
    """No feed, no scan, nothing appended: its watermark is now, and that says nothing."""
    local.put("unseen", b"x")
    told = "nothing tells of changes"
    assert told in local.add_rule().stderr
    done = local.repld.ctl("wait", "rule", "--until", "now", "--timeout", "60")
    assert told in done.stderr and done.stdout != ""
    assert told in local.repld.ctl("status").stdout
    local.announce(["unseen"])
    local.settle()
    assert told not in local.repld.ctl("wait", "rule", "--until", "now").stderr
    assert told not in local.repld.ctl("status").stdout
    local.repld.ctl("rule", "delete", "rule")
    assert told not in local.add_rule("--scan", "every 1h", name="scanned").stderr


def test_pause_and_resume(local):
    local.add_rule()
    local.repld.ctl("rule", "pause", "rule")
    local.put_all({"waits": b"x"})
    assert local.repld.ctl("wait", "rule", "--until", "now", "--timeout", "1",
                           check=False).returncode == 1
    assert local.destination_keys() == []
    local.repld.ctl("rule", "resume", "rule")
    local.settle()
    assert local.at_destination("waits") == b"x"


def test_rules_survive_a_restart(local):
    local.add_rule("--deletes", "propagate", "--objective", "7min")
    before = local.repld.ctl("rule", "show", "rule", json_out=True)
    local.repld.restart()
    assert local.repld.ctl("rule", "show", "rule", json_out=True) == before
    local.put_all({"after": b"x"})
    local.settle()
    assert local.at_destination("after") == b"x"


def test_delete_of_a_rule(local):
    local.add_rule()
    local.repld.ctl("rule", "delete", "rule")
    assert local.repld.ctl("rule", "show", "rule", check=False).returncode == 1
    assert "rule" not in json.dumps(local.repld.ctl("rule", "list", json_out=True)).split('"')


def test_preflight_names_what_is_missing(local):
    done = local.repld.ctl("rule", "add", "bad", "--source", f"src/{local.from_bucket}/",
                           "--destination", "dst/no-such-bucket-here/", check=False)
    assert done.returncode == 1
    assert "no-such-bucket-here" in done.stderr
    assert "bucket does not exist" in done.stderr, "the server's answer stands whole"
    assert local.repld.ctl("rule", "show", "bad", check=False).returncode == 1


@pytest.mark.parametrize("http", ["auto", "1.1"])
def test_preflight_says_where_nobody_answers(local, http):
    conf = yaml.safe_load(local.repld.conf_path.read_text())
    here = conf["endpoints"]["dst"]["url"]
    closed = f"127.0.0.1:{free_port()}"

    def refusal(url):
        conf["endpoints"]["third"] = {**conf["endpoints"]["dst"], "url": url, "http": http}
        local.repld.conf_path.write_text(yaml.safe_dump(conf))
        local.repld.ctl("reload")
        done = local.repld.ctl("rule", "add", "rule", "--source", f"src/{local.from_bucket}/",
                               "--destination", f"third/{local.to_bucket}/", check=False)
        assert done.returncode == 3
        return done.stderr

    for scheme in ("http", "https"):
        told = refusal(f"{scheme}://{closed}")
        assert f"cannot connect to {scheme}://{closed}: connection refused" in told
        assert "hint: check host and port" in told
    told = refusal(here.replace("http://", "https://"))
    assert "hint: does the server speak TLS on this port?" in told and "http://" in told


def test_preflight_leaves_nothing(local):
    local.add_rule("--publish", "off")
    listed = local.destination_client.list_objects_v2(Bucket=local.to_bucket)
    assert listed.get("KeyCount", 0) == 0
    local.assert_no_uploads()


def test_overlapping_destinations_are_refused(local):
    local.add_rule(prefix="a/", to_prefix="x/")
    done = local.repld.ctl("rule", "add", "second", "--source", f"src/{local.from_bucket}/b/",
                           "--destination", f"dst/{local.to_bucket}/x/y/", check=False)
    assert done.returncode == 1
    assert "rule" in done.stderr


def rule_file(path, local, **more):
    rule = {"name": "rule", "source": f"src/{local.from_bucket}/",
            "destination": f"dst/{local.to_bucket}/", **more}
    path.write_text(yaml.safe_dump({"rules": [rule]}))
    return path


def test_apply_shows_then_does(local, tmp_path):
    file = rule_file(tmp_path / "rules.yaml", local, deletes="propagate")
    shown = local.repld.ctl("apply", "-f", file, "--dry-run")
    assert "rule" in shown.stdout and "no server was asked" in shown.stdout
    assert local.repld.ctl("rule", "show", "rule", check=False).returncode == 1
    local.repld.ctl("apply", "-f", file)
    local.put_all({"k": b"x"})
    local.settle()
    assert local.at_destination("k") == b"x"
    rule_file(file, local, deletes="ignore")
    assert "deletes" in local.repld.ctl("apply", "-f", file, "--dry-run").stdout
    shown = local.repld.ctl("rule", "show", "rule", json_out=True)
    assert shown["rule"]["deletes"] == "propagate"


def test_apply_of_a_bad_file_changes_nothing(local, tmp_path):
    file = rule_file(tmp_path / "rules.yaml", local, deletes="sometimes")
    done = local.repld.ctl("apply", "-f", file, check=False)
    assert done.returncode in (1, 2)
    assert "deletes" in done.stderr and "rules.yaml:" in done.stderr
    rule_file(file, local, qwertyuiop="x")
    done = local.repld.ctl("apply", "-f", file, check=False)
    assert "qwertyuiop" in done.stderr and "keep_replicas" in done.stderr, "every key is named"
    assert local.repld.ctl("rule", "show", "rule", check=False).returncode == 1


def test_dry_run_refuses_what_apply_refuses(local, tmp_path):
    """All of it at once, by line, and nothing is changed."""
    local.add_rule()
    place = f"src/{local.from_bucket}/"
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"rules": [
        {"name": "good", "source": place, "destination": "dst/elsewhere/"},
        {"name": "rule", "source": f"{place}other/", "destination": f"dst/{local.to_bucket}/"},
        {"name": "far", "source": place, "destination": "nowhere/b/"}]}, sort_keys=False))
    lines = file.read_text().splitlines()
    for options in (["--dry-run"], []):
        done = local.repld.ctl("apply", "-f", file, *options, check=False)
        assert done.returncode == 1 and done.stdout == ""
        at = [lines.index(f"- name: {name}") + 1 for name in ("rule", "far")]
        assert f"rules.yaml:{at[0]}: rule rule: source and destination of a rule cannot change" \
            in done.stderr
        assert f"rules.yaml:{at[1]}: endpoint nowhere is not in the configuration" in done.stderr
        told = local.repld.ctl("--json", "apply", "-f", file, *options, check=False)
        errors = json.loads(told.stdout)["error"]["errors"]
        assert [(error["rule"], error["line"]) for error in errors] == [("rule", at[0]), ("far", at[1])]
    assert [row["rule"]["name"] for row in
            local.repld.ctl("rule", "list", json_out=True)["rules"]] == ["rule"]


def test_limits_by_time_of_day(local):
    """What is set is shown, and apart from it what is in force."""
    local.add_rule("--requests", "00:00-12:00 40/s, 12:00-24:00 40/s")
    shown = local.repld.ctl("rule", "show", "rule").stdout
    assert "00:00-12:00 40/s, 12:00-24:00 40/s" in shown
    assert ["requests", "now", "40/s"] in [line.split() for line in shown.splitlines()]
    assert "LIMITED NOW" in local.repld.ctl("status").stdout
    local.put_all({f"k{number:03d}": b"x" for number in range(20)})
    local.settle()
    local.compare()
    local.repld.ctl("rule", "update", "rule", "--requests", "off", "--bandwidth", "8mbit")
    rule = local.repld.ctl("rule", "show", "rule", json_out=True)
    assert (rule["bandwidth_now"], rule["requests_now"]) == ("8mbit", None)
    done = local.repld.ctl("rule", "update", "rule", "--bandwidth", "8Mb", check=False)
    assert done.returncode == 2 and "8Mb" in done.stderr and "200mbit" in done.stderr
    local.repld.ctl("rule", "update", "rule", "--bandwidth", "off")
    assert "LIMITED NOW" not in local.repld.ctl("status").stdout


def test_sample_of_readme(local, tmp_path):
    """Every member of a rule is in it, and the man page shows the same."""
    root = pathlib.Path(__file__).resolve().parents[2]
    text = re.search(r"<!-- rules-sample -->\n```yaml\n(.*?)```\n<!-- end -->",
                     (root / "README.md").read_text(), re.DOTALL).group(1)
    page = re.search(r"\.Bd -literal\n(rules:.*?)\.Ed", (root / "etc/man/replctl.1").read_text(),
                     re.DOTALL).group(1)
    assert yaml.safe_load(page) == yaml.safe_load(text)
    file = tmp_path / "rules.yaml"
    file.write_text(text.replace("overseas/crawl", f"src/{local.from_bucket}")
                    .replace("home/crawl", f"dst/{local.to_bucket}"))
    local.repld.ctl("apply", "-f", file)
    shown = local.repld.ctl("rule", "show", "pages", json_out=True)["rule"]
    assert set(shown) - set(yaml.safe_load(text)["rules"][0]) <= {"number"}
    assert local.repld.ctl("apply", "-f", file, "--dry-run").stdout.startswith("0 rules")


def test_update(local):
    local.add_rule()
    local.repld.ctl("rule", "update", "rule", "--deletes", "propagate", "--priority", "90")
    shown = local.repld.ctl("rule", "show", "rule", json_out=True)["rule"]
    assert (shown["deletes"], shown["priority"]) == ("propagate", 90)


def test_scan_as_two_words(local):
    local.add_rule("--scan", "every", "6h", "--priority", "60")
    assert local.repld.ctl("rule", "show", "rule", json_out=True)["rule"]["scan"] == "every 6h"
    done = local.repld.ctl("rule", "update", "rule", "--scan", "every", "--priority", check=False)
    assert done.returncode == 2 and "every 6h" in done.stderr


def test_places_of_a_rule_stay(local):
    """What update cannot do it does not offer, and says why."""
    local.add_rule()
    shown = local.repld.ctl("rule", "update", "--help").stdout
    assert "--source" not in shown and "--destination" not in shown and "--scan" in shown
    for option in ("--source", "--destination"):
        done = local.repld.ctl("rule", "update", "rule", option, "src/other/", check=False)
        assert done.returncode == 1 and "cannot change" in done.stderr


def test_update_finds_back(local):
    local.add_rule()
    before = local.repld.ctl("rule", "show", "rule", json_out=True)["rule"]
    local.repld.ctl("rule", "update", "rule", "--no-marker", "--no-replicas", "--storage-class",
                    "STANDARD_IA", "--existing", "--include", "x")
    local.repld.ctl("rule", "update", "rule", "--marker", "--replicas", "--no-storage-class",
                    "--no-existing", "--clear-include")
    assert local.repld.ctl("rule", "show", "rule", json_out=True)["rule"] == before


@pytest.mark.parametrize("options", [[], ["--no-preflight"], ["--include", "x", "--clear-include"]],
                         ids=" ".join)
def test_update_that_changes_nothing_is_refused(local, options):
    local.add_rule()
    assert local.repld.ctl("rule", "update", "rule", *options, check=False).returncode == 2

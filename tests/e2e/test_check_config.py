"""repld --check-config: what it finds in a configuration and in the files that it names."""

import contextlib
import sqlite3

import pytest

from lib.repld import command

BAD_CONFIGURATIONS = {
    "unknown key": ("memry: 128MiB\n", 1, "memry"),
    "bad size": ("copies: 3\nmemory: lots\n", 2, "memory"),
    "too little": ("\nmemory: 1MiB\n", 2, "memory"),
    "not yaml": ("endpoints: {\n", 0, ""),
    "bad url": ("endpoints:\n  a:\n    kind: s3\n    url: gopher://x\n", 4, "url"),
    "bad kind": ("endpoints:\n  a:\n    kind: ftp\n    url: http://x\n", 3, "kind"),
    "two credentials": ("endpoints:\n  a:\n    url: http://x\n    credentials:\n      profile: p\n"
                        "      anonymous: true\n", 0, "credentials"),
    "no kinds": ("events:\n  e:\n    url: http://x\n    kinds: []\n", 4, "kinds"),
    "unknown endpoint": ("outboxes:\n  o:\n    path: /tmp/x.db\n    endpoint: none\n", 4, "none"),
}


@pytest.mark.parametrize("case", BAD_CONFIGURATIONS)
def test_check_config_names_line_and_key(case, tmp_path):
    text, line, key = BAD_CONFIGURATIONS[case]
    conf = tmp_path / "bad.yaml"
    conf.write_text(text)
    done = command("repld", "--check-config", "--config", conf)
    assert done.returncode == 1, done.stderr
    assert (f"bad.yaml:{line}:" if line else "bad.yaml:") in done.stderr and key in done.stderr


def test_check_config_of_a_good_file(tmp_path):
    conf = tmp_path / "good.yaml"
    conf.write_text("memory: 64MiB\nendpoints: {a: {url: http://x}}\n")
    done = command("repld", "--check-config", "--config", conf)
    assert done.returncode == 0 and "1 endpoint, 0 outboxes" in done.stdout


FILES = """endpoints:
  a:
    url: https://x
    ca_file: {dir}/ca.pem
    credentials: {{file: {dir}/keys}}
webhook:
  listen: 127.0.0.1:0
  certificate: {dir}
  sources:
    s:
      endpoint: a
      token: {{file: {dir}/token}}
outboxes:
  made: {{path: {dir}/made.db, create: true}}
  there: {{path: {dir}/there.db}}
events:
  e:
    url: http://x/
    secret: {{file: {dir}/secret}}
"""


KEYS = "[default]\naws_access_key_id = A\naws_secret_access_key = hidden\n\n[profile half]\n" \
       "aws_access_key_id = B\n"


@pytest.mark.parametrize("profile,said", [
    ("[nobody]", "there is no profile [nobody] in credentials file {file}, which has [default], [half]"),
    ("half", "profile [half] of {file} lacks a usable key pair")])
def test_check_config_looks_for_the_profile(tmp_path, profile, said):
    conf, keys = tmp_path / "repld.yaml", tmp_path / "keys"
    keys.write_text(KEYS)
    said = f"warning: {conf}:{{line}}: credentials: {{what}}: {said.format(file=keys)}"
    profile = profile.strip("[]")
    for credentials, env in ((f"{{file: {keys}, profile: {profile}}}", {}),
                             (f"{{profile: {profile}}}", {"AWS_SHARED_CREDENTIALS_FILE": str(keys)})):
        conf.write_text(f"endpoints:\n  a:\n    url: https://x\n    credentials: {credentials}\n"
                        "  b:\n    url: https://y\n    credentials: {file: " + str(keys) + "}\n"
                        "queues:\n  q:\n    endpoint: b\n    url: https://sqs.r.amazonaws.com/1/q\n"
                        f"    credentials: {credentials}\n")
        done = command("repld", "--check-config", "--config", conf, env=env)
        assert done.returncode == 0 and "hidden" not in done.stderr
        assert done.stderr.splitlines() == [said.format(line=4, what='endpoint "a"'),
                                            said.format(line=12, what='queue "q"')]


def test_check_config_looks_at_the_files(tmp_path):
    conf = tmp_path / "files.yaml"
    conf.write_text(FILES.format(dir=tmp_path))
    done = command("repld", "--check-config", "--config", conf)
    assert done.returncode == 1 and done.stdout == ""
    assert f"\n{conf}:8: certificate: {tmp_path} cannot be read: it is a folder" in done.stderr
    assert done.stderr.splitlines()[0].startswith(f"{conf}:4: ca_file: ")
    for line, key in ((5, "file"), (12, "file"), (15, "path"), (19, "file")):
        assert f"warning: {conf}:{line}: {key}: {tmp_path}/" in done.stderr
    assert "made.db" not in done.stderr
    for name in ("ca.pem", "token", "there.db", "secret"):
        (tmp_path / name).write_text("x")
    (tmp_path / "keys").write_text(KEYS)
    conf.write_text(conf.read_text().replace(f"  certificate: {tmp_path}\n", ""))
    done = command("repld", "--check-config", "--config", conf)
    assert done.returncode == 0 and done.stdout.endswith("good, 1 endpoint, 2 outboxes, 2 warnings\n")
    assert done.stderr.splitlines() == [
        f"warning: {conf}:14: path: {tmp_path}/there.db is no SQLite database",
        f'warning: {conf}:11: token: source "s": token of {tmp_path}/token is none of 16 to 255 '
        "letters, digits and . _ ~ -; openssl rand -hex 24 makes one"]
    (tmp_path / "token").write_text("0123456789abcdef\n")
    (tmp_path / "there.db").unlink()
    with contextlib.closing(sqlite3.connect(tmp_path / "there.db")) as outbox:
        outbox.execute("CREATE TABLE t (x)")
    done = command("repld", "--check-config", "--config", conf)
    assert done.returncode == 0 and "good" in done.stdout and done.stderr == ""
    assert "warning" not in done.stdout


def test_outbox_that_is_to_be_made_is_no_other_file(tmp_path):
    conf, other = tmp_path / "repld.yaml", tmp_path / "o.db"
    conf.write_text(f"outboxes:\n  o: {{path: {other}, create: true}}\n")
    for text, said in (("", ""), ("SQLite format 2, or so", f"{other} is no SQLite database\n")):
        other.write_text(text)
        done = command("repld", "--check-config", "--config", conf)
        assert done.returncode == 0 and done.stderr.endswith(said) and bool(done.stderr) == bool(said)

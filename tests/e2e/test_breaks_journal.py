"""Promises under attack, those that configuration and journal keep: what happens rarely, made to
happen."""

from lib.repld import command


# --- 10: no secret in an error text

def test_a_password_in_a_url_is_not_shown(tmp_path):
    path = tmp_path / "repld.yaml"
    path.write_text("instance: t\nendpoints:\n  a:\n    kind: s3\n"
                    "    url: http://user:hunter2@127.0.0.1:1\n    region: r\n")
    done = command("repld", "--check-config", "--config", path)
    assert done.returncode != 0
    assert "hunter2" not in done.stdout + done.stderr

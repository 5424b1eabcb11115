"""What `cmake --install` puts where, and what systemd says of the service."""

import os
import re
import subprocess

import pytest

from lib.repld import BUILD
from lib.servers import need

WANTED = ["sbin/repld", "bin/replctl", "etc/repld/repld.yaml", "repld.service",
          "lib/modules-load.d/repld.conf", "lib/sysctl.d/60-repld.conf",
          "man8/repld.8", "man1/replctl.1", "man5/repld.yaml.5", "man5/repl-outbox.5"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The installed files, below a DESTDIR."""
    folder = tmp_path_factory.mktemp("install")
    subprocess.run(["cmake", "--install", BUILD], env={**os.environ, "DESTDIR": str(folder)},
                   check=True, capture_output=True)
    return folder


def installed(tree):
    return [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()]


def test_all_is_there(tree):
    files = installed(tree)
    missing = [name for name in WANTED
               if not any(re.search(re.escape(name) + r"(\.gz)?$", path) for path in files)]
    assert not missing, files


def test_a_prefix_of_its_own_holds_everything(tmp_path):
    """Given at the install, whatever the build was configured for."""
    subprocess.run(["cmake", "--install", BUILD, "--prefix", "/opt/repld"],
                   env={**os.environ, "DESTDIR": str(tmp_path)}, check=True, capture_output=True)
    files = installed(tmp_path)
    assert [path for path in files if not path.startswith("opt/repld/")] == []
    assert "opt/repld/etc/repld/repld.yaml" in files
    service = (tmp_path / "opt/repld/lib/systemd/system/repld.service").read_text()
    assert "ExecStart=/opt/repld/sbin/repld --config /opt/repld/etc/repld/repld.yaml" in service


def test_configuration_of_the_operator_is_kept(tmp_path):
    mine = tmp_path / "etc/repld/repld.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("memory: 64MiB\n")
    subprocess.run(["cmake", "--install", BUILD], env={**os.environ, "DESTDIR": str(tmp_path)},
                   check=True, capture_output=True)
    assert mine.read_text() == "memory: 64MiB\n"
    assert (tmp_path / "etc/repld/repld.yaml.default").exists()


def settings_of(tree):
    """name → value of the installed sysctl file."""
    found = next(tree.rglob("60-repld.conf"))
    lines = (line.strip() for line in found.read_text().splitlines())
    pairs = (line.lstrip("-").split("=", 1) for line in lines if line and line[0] != "#")
    return {name.strip(): value.strip() for name, value in pairs}


def test_every_kernel_setting_has_its_reason(tree):
    for path in [*tree.rglob("sysctl.d/*.conf"), *tree.rglob("modules-load.d/*.conf")]:
        for paragraph in path.read_text().strip().split("\n\n"):
            assert paragraph.startswith("# "), f"{path}: {paragraph}"


def test_kernel_takes_the_settings(tree):
    """In a network namespace of its own, where all but the list of allowed names can be written."""
    settings = settings_of(tree)
    assert settings.pop("net.ipv4.tcp_allowed_congestion_control").split() == [
        "reno", "cubic", "bbr"]
    assert len(settings) == 3
    words = [f"{name}={value}" for name, value in settings.items()]
    done = subprocess.run([need("unshare"), "--net", need("sysctl"), "-w", *words],
                          capture_output=True, text=True)
    if "unshare failed" in done.stderr:
        pytest.skip("no right to make a network namespace")
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_test_peers_are_not_installed(tree):
    assert not [path for path in installed(tree) if "bucketd" in path or "cmocka" in path]


@pytest.fixture
def service(tree):
    found = list(tree.rglob("repld.service"))
    assert len(found) == 1
    return found[0]


def test_service_is_hardened(service):
    done = subprocess.run([need("systemd-analyze"), "security", "--offline=true", "--threshold=20",
                           "--no-pager", service], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_service_is_well_formed(service, tree):
    """verify wants programs and users where they are said to be; only what it says of the file
    itself counts here."""
    done = subprocess.run([need("systemd-analyze"), "verify", "--man=no", service],
                          capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines()
            if "repld.service" in line and "is not executable" not in line]
    assert said == []


def test_installed_programs_run(tree):
    for path in tree.rglob("*"):
        if path.is_file() and path.parent.name in ("bin", "sbin"):
            done = subprocess.run([path, "--version"], capture_output=True, text=True)
            assert done.returncode == 0 and "0.1.0" in done.stdout

"""Every command and every option that exists is documented, and nothing else is."""

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build"))
MAN = ROOT / "etc/man"


def pages():
    return sorted(MAN.glob("*.[158]"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_man_page_is_well_formed(page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr

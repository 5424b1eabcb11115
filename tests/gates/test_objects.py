"""What the linker sees: no variable of ours outlives its context."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build"))
SYMBOL = re.compile(r"^[0-9a-f]+ .{7} (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$")
MUTABLE = re.compile(r"\.(t?data|t?bss)(\..*)?$|^\*COM\*$")
CONSTANT = re.compile(r"\.data\.rel\.ro(\..*)?$")
# Counters of the rate limit of one log line, which must be as static as the line.
ALLOWED = re.compile(r"log_site_|__func__|__PRETTY_FUNCTION__")


def variables(listing):
    """Names of writable variables in what `objdump --syms` prints."""
    found = []
    for line in listing.splitlines():
        match = SYMBOL.match(line)
        if not match:
            continue
        section, size, name = match.groups()
        if (int(size, 16) > 0 and MUTABLE.search(section) and not CONSTANT.search(section)
                and not ALLOWED.search(name)):
            found.append(name)
    return found


def listing_of(path):
    return subprocess.run(["objdump", "--syms", path], capture_output=True, text=True,
                          check=True).stdout


def archives():
    return sorted(path for folder in ("daemon", "transfer", "journal", "cli")
                  for path in (BUILD / folder).rglob("librepl_*.a"))


def test_no_writable_variable():
    if not archives():
        pytest.skip(f"nothing is built in {BUILD}")
    if b"-fsanitize" in (BUILD / "build.ninja").read_bytes():
        pytest.skip("the sanitizers add variables of their own")
    found = [f"{path.name}: {name}" for path in archives()
             for name in variables(listing_of(path))]
    assert not found, "\n" + "\n".join(found)


PLANTED = """
static int counter; int shared = 3; static _Thread_local int mine; static int log_site_12;
static const int table[] = {1, 2}; extern const char *const names[]; const char *const names[] =
    {"a", "b"};
int use(int i) { return counter++ + shared + mine++ + table[i] + names[i][0] + log_site_12++; }
"""


def test_planted_variable_is_found(tmp_path):
    (tmp_path / "x.c").write_text(PLANTED)
    subprocess.run(["gcc", "-c", "-fPIC", "-o", tmp_path / "x.o", tmp_path / "x.c"], check=True)
    assert sorted(variables(listing_of(tmp_path / "x.o"))) == ["counter", "mine", "shared"]

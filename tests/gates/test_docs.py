"""Man pages are well formed, and every program and option that they should tell of is in them."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAN = ROOT / "etc/man"
OPTION = re.compile(r"^\s*#?\s*([a-z_]+):", re.MULTILINE)


def pages():
    return sorted(MAN.glob("*.[158]"))


def lint(page):
    return subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True,
                          text=True)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_man_page_is_well_formed(page):
    done = lint(page)
    assert done.returncode == 0, done.stdout + done.stderr


def test_malformed_page_would_be_found(tmp_path):
    page = tmp_path / "x.1"
    page.write_text(".Dd today\n.Dt X 1\n.Os\n.Sh NAME\n.Nx broken\n.It\n")
    assert lint(page).returncode != 0


def options(text):
    """Names of the options of the example configuration, the commented ones too; entries of the
    user's own naming are left out."""
    return set(OPTION.findall(text)) - {"overseas", "home", "crawler", "accelerated", "direct", "indexer"}


def test_every_option_is_in_the_man_page():
    page = MAN / "repld.yaml.5"
    if not page.exists():
        pytest.skip("repld.yaml(5) is not there")
    text = page.read_text().replace("\\-", "-")
    missing = {name for name in options((ROOT / "etc/repld.yaml").read_text())
               if not re.search(rf"\b{name}\b", text)}
    assert not missing


def test_options_are_found():
    assert options("a_b: 1\n  #c: 2\n# Prose: no.\nhome:\n") == {"a_b", "c"}


def source_paths(text):
    """What stands in backticks like a path of the source."""
    return re.findall(r"`((?:daemon|transfer|journal|cli|tests)(?:/[\w.]+)*)`", text)


def test_paths_in_the_readme_are_there():
    named = source_paths((ROOT / "README.md").read_text())
    assert named and not [path for path in named if not (ROOT / path).exists()]


def test_paths_are_found():
    assert source_paths("`daemon/a.c`, `journal`, `a/b`, daemon/c, `cli/x --all`") == \
        ["daemon/a.c", "journal"]


LOGGED = re.compile(r'LOG_(?:ERROR|WARNING|NOTICE|INFO|DEBUG|TRACE|AT\([^,]*)[(,]'
                    r'\s*(?:[^,()]|\([^()]*\))+,\s*(?:"([a-z]+)"|([A-Z_]*SUBJECT))\s*,')


def subjects_of(text):
    """Those of the lines that a source writes: as a text, or by the name of one."""
    return {word or name for word, name in LOGGED.findall(text)}


def test_subjects_of_the_log_are_listed():
    """log.levels takes them and no other; the man page and the example name them all."""
    sources = [path.read_text() for folder in ("daemon", "transfer", "journal", "cli")
               for path in (ROOT / folder).rglob("*.[ch]")]
    defined = dict(found for text in sources
                   for found in re.findall(r'#define ([A-Z_]*SUBJECT)\s+"([a-z]+)"', text))
    used = {defined.get(word, word) for text in sources for word in subjects_of(text)}
    header = (ROOT / "daemon/base/log_subject.h").read_text()
    listed = re.findall(r'"([a-z]+)"', header)
    assert listed == sorted(listed) and used == set(listed)
    for page in ("etc/man/repld.yaml.5", "etc/repld.yaml"):
        text = re.search(r"[Tt]he subjects are(.*?)\.Ql pace|single subjects:(.*?)\n  #levels",
                         (ROOT / page).read_text(), re.DOTALL)
        words = re.findall(r"\b[a-z]+\b", re.sub(r"\.Cm|\band\b", "", "".join(filter(None, text.groups()))))
        assert words == listed, page


def test_subjects_are_found():
    assert subjects_of('LOG_INFO(e->log, "net", "x"); LOG_AT(log, LEVEL(a), "copy", "y");'
                       'LOG_DEBUG(\n    log_of(a, b),\n    MY_SUBJECT, "z");') == \
        {"net", "copy", "MY_SUBJECT"}

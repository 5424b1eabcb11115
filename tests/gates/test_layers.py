"""The house keeps its layers, and the test that says so notices when it does not."""

import pathlib

import layers

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = layers.read_table()


def test_table_goes_downwards():
    by_name = {row.name: row for row in ROWS}
    for row in ROWS:
        for name in row.may:
            target = by_name.get(name) or layers.row_of(ROWS, name)
            assert name == "below" or target.layer <= row.layer, f"{row.name} includes {name}"


def test_includes_keep_to_the_table():
    breaches = layers.check(layers.code_files(ROOT), ROWS)
    assert not breaches, "\n" + "\n".join(breaches)


def check_planted(path, header):
    return layers.check({path: f'#include "{header}"\n'}, ROWS)


def test_planted_breaches_are_found():
    assert check_planted("daemon/base/loop.c", "journal/journal.h")
    assert check_planted("journal/journal.c", "transfer/store/store.h")
    assert check_planted("daemon/rules/match.c", "journal/journal.h")
    assert check_planted("cli/status.c", "daemon/core/engine.h")
    assert check_planted("daemon/core/engine.c", "daemon/jobs/migrate.h")
    assert check_planted("daemon/core/engine.c", "engine.h")
    assert check_planted("daemon/nowhere/x.c", "daemon/base/buf.h")


def test_what_the_table_allows_is_let_through():
    assert not check_planted("daemon/rules/match.c", "journal/change.h")
    assert not check_planted("cli/status.c", "daemon/admin/proto.h")
    assert not check_planted("daemon/core/engine.c", "transfer/copy/copy.h")
    assert not check_planted("journal/journal.c", "journal/backend.h")


def test_planted_cycle_is_found():
    files = {
        "daemon/jobs/migrate.c": '#include "daemon/admin/proto.h"\n',
        "daemon/admin/command.c": '#include "daemon/jobs/migrate.h"\n',
    }
    breaches = layers.check(files, ROWS)
    assert "cycle between rows: admin -> jobs -> admin" in breaches

"""Reads layers.txt and checks the includes of a source tree against it."""

import pathlib
import re

TABLE = pathlib.Path(__file__).with_name("layers.txt")
CODE_FOLDERS = ("daemon", "transfer", "journal", "cli")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


class Row:
    def __init__(self, line):
        self.name, layer, paths, *self.may = line.split()
        self.layer = int(layer)
        self.paths = paths.split(",")
        if self.may == ["-"]:
            self.may = []

    def holds(self, path):
        return any(path == own or path.startswith(own + "/") for own in self.paths)

    def may_include(self, header, target):
        return (target.name == self.name or target.name in self.may or header in self.may
                or ("below" in self.may and target.layer < self.layer))


def read_table(path=TABLE):
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [Row(line) for line in lines if line]


def row_of(rows, path):
    return next((row for row in rows if row.holds(path)), None)


def code_files(root):
    """Path from the root → text, of every C file of the product."""
    return {
        str(path.relative_to(root)): path.read_text(errors="replace")
        for folder in CODE_FOLDERS
        for path in sorted((root / folder).rglob("*.[ch]"))
    }


def check(files, rows):
    """All breaches, as sentences."""
    breaches = []
    edges = {row.name: set() for row in rows}
    for path, text in files.items():
        row = row_of(rows, path)
        if row is None:
            breaches.append(f"{path}: is in no row of the layer table")
            continue
        for header in INCLUDE.findall(text):
            target = row_of(rows, header)
            if target is None:
                breaches.append(f'{path}: "{header}" is not a path from the root into a row')
                continue
            if not row.may_include(header, target):
                breaches.append(f'{path}: {row.name} may not include "{header}" ({target.name})')
            if target is not row:
                edges[row.name].add(target.name)
    cycle = find_cycle(edges)
    if cycle:
        breaches.append(f"cycle between rows: {' -> '.join(cycle)}")
    return breaches


def find_cycle(edges):
    """The rows of one cycle, the first one again at the end; None when there is none."""
    done = set()

    def walk(node, way):
        if node in way:
            return way[way.index(node):] + [node]
        if node in done:
            return None
        for target in sorted(edges[node]):
            cycle = walk(target, way + [node])
            if cycle:
                return cycle
        done.add(node)
        return None

    return next(filter(None, (walk(node, []) for node in sorted(edges))), None)

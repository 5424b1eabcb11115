"""What a compiler does not see: who may call what, sizes, names at the top, open ends."""

import pathlib
import re
import subprocess

import layers
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOP_LEVEL = {"CMakeLists.txt", "daemon", "transfer", "journal", "cli", "tests", "etc",
             "README.md", "LICENSE"}
FILE_LIMIT = 500
FUNCTION_LIMIT = 70
OPEN_END = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")

# What only one folder may use, and why the others must go through it.
ONLY_IN = [
    (r'#\s*include\s*[<"]curl/', "transfer/net", "requests go through net"),
    (r'#\s*include\s*[<"]nghttp2/', "transfer/net", "requests go through net"),
    (r'#\s*include\s*[<"]openssl/ssl', "transfer/net", "TLS goes through net"),
    (r'#\s*include\s*[<"]sqlite3\.h', "journal", "the database belongs to the journal"),
    (r"\buv_(now|hrtime|clock_gettime|update_time|timer_\w+|random)\b", "daemon/base",
     "time and chance come from loop.h"),
    (r"(?<![\w.>])(clock_gettime|gettimeofday|time|clock|ftime)\s*\(", "daemon/base",
     "time comes from loop.h"),
    (r"(?<![\w.>])(s?random|s?rand|[dlm]rand48|arc4random\w*|getrandom|getentropy)\s*\(",
     "daemon/base", "random numbers come from loop.h"),
    (r"\bRAND_(priv_)?bytes\b", "daemon/base", "random numbers come from loop.h"),
    (r"(?<![\w.>])(sleep|usleep|nanosleep)\s*\(", "journal", "the loop never sleeps"),
]
# What nobody may use: a fixed size switches the kernel's own sizing of buffers off.
NEVER = re.compile(r"\b(SO_(SND|RCV)BUF(FORCE)?|uv_(send|recv)_buffer_size)\b")
# Their way in: relay serves HTTP/2 with the session code of net; outboxes are read by journal; the
# journal's own thread pauses before it tries a full disk again.
ALSO_IN = {"nghttp2": ("transfer/relay",)}


def strip_comments(text):
    """Comments and strings blanked, line numbers kept."""
    def blank(match):
        found = match.group(0)
        return found if found.startswith(("'", '"')) else "\n" * found.count("\n")
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.DOTALL)


def strip_strings(text):
    """Bodies of strings blanked, except the paths of includes."""
    lines = (line if line.lstrip().startswith("#") else re.sub(r'"(?:\\.|[^"\\])*"', '""', line)
             for line in text.split("\n"))
    return "\n".join(lines)


def misplaced(files):
    found = []
    for path, text in files.items():
        code = strip_strings(strip_comments(text))
        for pattern, home, why in ONLY_IN:
            homes = (home, *ALSO_IN.get("nghttp2" if "nghttp2" in pattern else "", ()))
            if any(path.startswith(folder + "/") for folder in homes):
                continue
            for match in re.finditer(pattern, code):
                line = code.count("\n", 0, match.start()) + 1
                found.append(f"{path}:{line}: {match.group(0).strip()}: {why}")
    return found


def forbidden(files):
    return [f"{path}: {match.group(0)}" for path, text in files.items()
            for match in NEVER.finditer(strip_strings(strip_comments(text)))]


def functions(text):
    """(line, lines, head) of each function: a brace in the first column opens it, one ends it."""
    start, head = None, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            yield start, number - start - 1, head
            start = None
        elif start is None and line and not line[0].isspace():
            head = line


@pytest.fixture(scope="module")
def files():
    return layers.code_files(ROOT)


def test_each_power_has_one_home(files):
    found = misplaced(files)
    assert not found, "\n" + "\n".join(found)


def test_planted_use_is_found():
    assert misplaced({"daemon/core/lag.c": "int64_t t = time(NULL);"})
    assert misplaced({"daemon/core/lag.c": "uv_timer_start(&t, f, 1, 1);"})
    assert misplaced({"transfer/store/s3.c": "#include <curl/curl.h>"})
    assert misplaced({"transfer/relay/relay.c": "#include <openssl/ssl.h>"})
    assert misplaced({"transfer/copy/retry.c": "x = random();"})
    assert misplaced({"daemon/core/engine.c": "usleep(5);"})
    assert not misplaced({"transfer/net/lane.c": "#include <curl/curl.h>"})
    assert not misplaced({"daemon/core/lag.c": '/* time(NULL) */ f("time(NULL)"); x.time(1);'})


def test_buffers_are_sized_by_the_kernel(files):
    assert not forbidden(files)


def test_planted_buffer_size_is_found():
    assert forbidden({"transfer/net/sock.c": "setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, 4);"})
    assert forbidden({"daemon/httpd/x.c": "uv_recv_buffer_size(h, &v);"})
    assert not forbidden({"transfer/net/sock.h": "/* SO_SNDBUF is never set. */"})


def test_files_are_short(files):
    sizes = {path: text.count("\n") for path, text in files.items()}
    too_long = [f"{path}: {lines} lines" for path, lines in sizes.items() if lines > FILE_LIMIT]
    assert not too_long, f"split by verb: {too_long}"


def test_functions_are_short(files):
    too_long = []
    for path, text in files.items():
        for line, lines, head in functions(text):
            if lines > FUNCTION_LIMIT:
                too_long.append(f"{path}:{line}: {lines} lines: {head}")
    assert not too_long, "\n" + "\n".join(too_long)


def test_long_function_would_be_found():
    body = "\n".join(["    x();"] * 121)
    assert [n for _, n, _ in functions(f"void f(void)\n{{\n{body}\n}}\n")] == [121]


def tracked_files():
    """What git tracks, or every file where there is no git (an unpacked release)."""
    done = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT,
                          capture_output=True, check=False)
    if done.returncode == 0 and done.stdout:
        return [name for name in done.stdout.decode().split("\0") if (ROOT / name).is_file()]
    return [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")
            if path.is_file() and not path.relative_to(ROOT).parts[0].startswith("build")]


def test_top_level_is_the_fixed_list():
    top = {name.split("/")[0] for name in tracked_files()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_no_open_ends():
    found = []
    for name in tracked_files():
        try:
            text = (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{name}:{number}: {line.strip()}"
                  for number, line in enumerate(text.splitlines(), 1)
                  if name != "LICENSE" and OPEN_END.search(line)]
    assert not found, "\n" + "\n".join(found)

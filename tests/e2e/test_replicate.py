"""The main job: what is in the source is at the destination, with all that belongs to it."""

import pytest

from lib import compare
from lib.world import MIB, PART

SIZES = {"empty": 0, "one": 1, "page": 16384, "part-1": PART - 1, "part": PART, "part+1": PART + 1,
         "large": 100 * MIB}
TIDY_KEYS = ["a b+c%2B&d=e#g?h.html", "ünï/日本語/𝄞", "quotes'\"<>&;:@$,![]{}()*~`|^", "%", "-",
             "x" * 200 + "/" + "y" * 200, "%41%2f%00", "a=b&c=d", "cafe\u0301/café"]
# Legal, but nothing that a client which thinks in files can name.
ODD_KEYS = ["a//b", "/leading", "//", "trailing/", "tab\tand\nline", "\x01\x1f", "cr\r", " ", "x" * 1024,
            "back\\slash", "del\x7f", "</Key>", "&amp;"]
DOT_KEYS = [".", "..", "./x", "../x", "a/./b", "a/../b"]


def test_every_size(world, noise, rclone):
    world.add_rule("--deletes", "propagate")
    world.put_all({f"size/{name}": noise(size) for name, size in SIZES.items()})
    world.put_all({key: key.encode() for key in TIDY_KEYS})
    world.settle()
    world.compare()
    world.assert_no_uploads()
    compare.rclone_check(rclone, world.source, world.from_bucket, world.destination,
                         world.to_bucket)


@pytest.mark.smoke
def test_sizes_between_local_servers(local, noise):
    local.add_rule()
    local.put_all({name: noise(size) for name, size in SIZES.items() if size < 8 * MIB})
    local.settle()
    local.compare()
    local.assert_no_uploads()


def test_odd_keys(world):
    keys = list(ODD_KEYS)
    if "tls" in world.destination.kind:  # nghttpx folds slashes and dots, which spoils signatures
        keys = [key for key in keys if "//" not in f"/{key}"]
    else:
        keys += DOT_KEYS
    if "minio" in (world.source.kind, world.destination.kind):
        keys = [key for key in keys if "\\" in key or key in (" ", "</Key>", "&amp;")]
    world.add_rule()
    world.put_all({key: f"body of {key!r}".encode() for key in keys})
    world.settle()
    world.compare()


def test_metadata_and_tags(world, noise):
    world.add_rule()
    options = {"ContentType": "text/html; charset=utf-8", "ContentLanguage": "de",
               "CacheControl": "max-age=60", "ContentDisposition": 'attachment; filename="a b"',
               "Metadata": {"url": "http://example.org/?a=b&c=%20", "fetched": "1700000000"},
               "Tagging": "kind=html&lang=d%20e"}
    for key, size in (("small", 10), ("large", PART + 1)):
        world.put(key, noise(size), **options)
    world.put("gzip", b"\x1f\x8b made up", ContentEncoding="gzip", ContentType="text/html")
    world.announce(["small", "large", "gzip"])
    world.settle()
    world.compare()


@pytest.mark.smoke
def test_overwrites_and_deletes(local, noise):
    overwrite_and_delete(local, noise)


def test_overwrites_and_deletes_on_every_server(world, noise):
    overwrite_and_delete(world, noise)


def overwrite_and_delete(world, noise):
    world.add_rule("--deletes", "propagate")
    world.put_all({"small": b"old", "large": noise(PART + 7), "gone": b"x", "back": b"y",
                   "grows": b"1", "shrinks": noise(PART + 1)})
    world.settle()
    world.put("small", b"new and longer")
    world.put("large", noise(PART + 9)[::-1])
    world.put("grows", noise(PART + 3))
    world.put("shrinks", b"little")
    world.announce(["small", "large", "grows", "shrinks"])
    world.announce([world.delete("gone"), world.delete("back")], "delete")
    world.put_all({"back": b"again"})
    world.settle()
    assert sorted(world.destination_keys()) == ["back", "grows", "large", "shrinks", "small"]
    world.compare()
    world.assert_no_uploads()


def test_deletes_are_ignored_by_default(local):
    local.add_rule()
    local.put_all({"kept": b"x"})
    local.settle()
    local.announce([local.delete("kept")], "delete")
    local.settle()
    assert local.at_destination("kept") == b"x"


def test_delete_of_what_is_there_is_no_delete(local):
    """The source is asked: an announced delete of a key that exists removes nothing."""
    local.add_rule("--deletes", "propagate")
    local.put_all({"here": b"x"})
    local.settle()
    local.announce(["here"], "delete")
    local.settle()
    assert local.at_destination("here") == b"x"


def test_announced_key_that_never_was(local):
    local.add_rule("--deletes", "propagate")
    local.announce(["never"])
    local.settle()
    assert local.destination_keys() == []


def test_many_changes_of_one_key_end_with_the_last(local):
    local.add_rule()
    for number in range(50):
        local.put_all({"page": f"version {number}".encode()})
    local.settle()
    assert local.at_destination("page") == b"version 49"

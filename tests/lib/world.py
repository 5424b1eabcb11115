"""One rule between two servers, with the daemon that serves it."""

import contextlib
import io

from . import compare, servers
from .repld import Repld

MIB = 1 << 20
PART = 5 * MIB  # part_max of every daemon of a world: the smallest part that servers take


class World:
    """A source and a destination bucket, and repld with the rule `rule` between them."""

    def __init__(self, source, destination, make_bucket, repld, names=None):
        self.source, self.destination, self.repld = source, destination, repld
        self.source_client = servers.s3_client(source)
        self.destination_client = servers.s3_client(destination)
        self.from_bucket, self.to_bucket = names or (make_bucket(source), make_bucket(destination))

    def add_rule(self, *options, prefix="", to_prefix="", name="rule"):
        return self.repld.add_rule(name, f"src/{self.from_bucket}/{prefix}",
                                   f"dst/{self.to_bucket}/{to_prefix}", *options)

    def put(self, key, body, **options):
        """Puts an object, in parts of 8 MiB when it is large; returns its key."""
        if len(body) <= 64 * MIB:
            self.source_client.put_object(Bucket=self.from_bucket, Key=key, Body=body, **options)
        else:
            self.source_client.upload_fileobj(io.BytesIO(body), self.from_bucket, key,
                                              ExtraArgs=options or None)
        return key

    def delete(self, key):
        self.source_client.delete_object(Bucket=self.from_bucket, Key=key)
        return key

    def put_all(self, objects):
        """Puts and announces key → body."""
        for key, body in objects.items():
            self.put(key, body)
        self.announce(objects)

    def announce(self, keys, kind="put"):
        self.repld.append(self.from_bucket, list(keys), kind)

    def settle(self, timeout_s=120, rule="rule"):
        self.repld.wait(rule, timeout_s)

    def compare(self, **prefixes):
        compare.assert_equal(self.source, self.from_bucket, self.destination, self.to_bucket,
                             **prefixes)

    def at_destination(self, key):
        return self.destination_client.get_object(Bucket=self.to_bucket, Key=key)["Body"].read()

    def destination_keys(self):
        return compare.keys_of(self.destination, self.to_bucket)

    def assert_no_uploads(self):
        assert compare.open_uploads(self.destination, self.to_bucket) == []


@contextlib.contextmanager
def make_world(source, destination, make_bucket, **conf):
    with Repld({"src": source, "dst": destination}, part_max="5MiB", **conf) as repld:
        yield World(source, destination, make_bucket, repld)

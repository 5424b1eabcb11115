"""A bucketd for foreign clients: what it accepts and refuses is what they know of S3.

boto3, awscli and s3cmd each sign, encode and list in their own way; a server that all of them
agree with is fit to judge ours.
"""

import pytest

from lib import servers
from lib.bucketd import Bucketd


@pytest.fixture(scope="module")
def server():
    with Bucketd() as bucketd:
        yield bucketd
        assert bucketd.process.stop() == 0, bucketd.process.log_path


@pytest.fixture
def s3(server):
    server.clear_faults()
    return servers.s3_client(server)


@pytest.fixture
def name(s3):
    bucket_name = servers.new_bucket_name()
    s3.create_bucket(Bucket=bucket_name)
    return bucket_name

"""moto: somebody else's S3, SQS and IAM in one server, which sends notifications of its buckets to its
queues; and a door in front of it that lets requests wait, fail or meet another clock."""

import calendar
import email.utils
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from .process import free_port
from .servers import CACHE, Missing, Server, http_status

ACCOUNT = "123456789012"


def moto_program():
    """From REPL_MOTO, the path, or a virtual environment in the cache, which is made when that is
    allowed (REPL_PIP_INSTALL=1)."""
    place = CACHE / "moto"
    own = place / "bin/moto_server"
    for found in (os.environ.get("REPL_MOTO"), shutil.which("moto_server"), own):
        if found and os.access(found, os.X_OK):
            return str(found)
    if os.environ.get("REPL_PIP_INSTALL") != "1":
        raise Missing(f"no moto_server in REPL_MOTO, the path or {own} (installed with --all)",
                      optional=True)
    for command in ([sys.executable, "-m", "venv", place],
                    [place / "bin/pip", "install", "--quiet", "moto[server]"]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, timeout=600,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Missing(f"moto cannot be installed: {done.stdout.strip().splitlines()[-1:]}",
                          optional=True)
    return str(own)


def client(server, service):
    import boto3
    from botocore.config import Config
    return boto3.client(service, endpoint_url=server.url, region_name=server.region,
                        aws_access_key_id=server.access_key,
                        aws_secret_access_key=server.secret_key,
                        config=Config(retries={"total_max_attempts": 1},
                                      s3={"addressing_style": "path"}))


class Moto(Server):
    kind = "moto"
    region = "eu-west-1"

    def start(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        server = self.spawn("moto", moto_program(), "-H", "127.0.0.1", "-p", port)
        server.wait_ready(lambda: http_status(f"{self.url}/moto-api/") == 200, timeout_s=60)

    def check_signatures(self):
        """From now on every request must be signed, by the user that this makes and has the keys of."""
        iam = client(self, "iam")
        iam.create_user(UserName="repld")
        document = {"Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_user_policy(UserName="repld", PolicyName="all", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName="repld")["AccessKey"]
        self.access_key, self.secret_key = key["AccessKeyId"], key["SecretAccessKey"]
        urllib.request.urlopen(urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}),
            timeout=10)


class Queue:
    """A queue of a moto server."""

    def __init__(self, server, name, **attributes):
        self.sqs = client(server, "sqs")
        self.name = name
        self.at_server = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{server.region}:{ACCOUNT}:{name}"
        self.url = f"{server.url}/{ACCOUNT}/{name}"

    def listen_to(self, s3, bucket):
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [
                {"QueueArn": self.arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]})

    def send(self, *bodies):
        for at in range(0, len(bodies), 10):
            self.sqs.send_message_batch(QueueUrl=self.at_server, Entries=[
                {"Id": str(number), "MessageBody": body if isinstance(body, str) else json.dumps(body)}
                for number, body in enumerate(bodies[at:at + 10])])

    def counts(self):
        """(waiting, hidden)"""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.at_server, AttributeNames=names)
        return tuple(int(found["Attributes"][name]) for name in names)


def record(bucket, key, name="ObjectCreated:Put", **members):
    """As S3 writes it, the key form-encoded."""
    return {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name,
            "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "s3": {"bucket": {"name": bucket},
                   "object": {"key": urllib.parse.quote_plus(key, safe="/"), **members}}}


class Door(Server):
    """In front of a moto server. skew_s: its clock is so much ahead, and requests that were signed
    more than 15 minutes away from it are refused as AWS does. fails: so many of the next requests get
    a 503. seen: (action, status) of every request."""

    def __init__(self, backend, skew_s=0):
        super().__init__()
        self.backend, self.skew_s, self.fails, self.seen = backend, skew_s, 0, []
        self.region, self.access_key, self.secret_key = (
            backend.region, backend.access_key, backend.secret_key)

    def start(self):
        door = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def date_time_string(self, timestamp=None):
                return email.utils.formatdate((timestamp or time.time()) + door.skew_s, usegmt=True)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = door.answer(self.path, dict(self.headers), body)
                action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                door.seen.append((action, status))
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __exit__(self, *args):
        self.http.shutdown()
        self.http.server_close()
        super().__exit__(*args)

    def answer(self, path, headers, body):
        headers = {name.lower(): value for name, value in headers.items()}
        signed = time.strptime(headers.get("x-amz-date", "20000101T000000Z"), "%Y%m%dT%H%M%SZ")
        if abs(calendar.timegm(signed) - time.time() - self.skew_s) > 900:
            return 400, json.dumps({"__type": "com.amazon.coral.service#InvalidSignatureException",
                                    "message": "Signature expired"}).encode()
        if self.fails > 0:
            self.fails -= 1
            return 503, b""
        headers.pop("host")
        request = urllib.request.Request(f"{self.backend.url}{path}", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as done:
                return done.status, done.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

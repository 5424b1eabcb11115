"""The webhook of a repld under test: its configuration, and senders that are ours."""

import http.client
import json
import secrets
import ssl
import threading
import urllib.parse

from .process import free_port


class Hook:
    """conf() goes into the daemon's configuration; then requests can be posted to the source."""

    def __init__(self, folder, endpoint="src", source="sender", **options):
        self.source, self.token = source, secrets.token_hex(16)
        self.token_file = folder / f"{source}.token"
        self.token_file.write_text(self.token + "\n")
        self.port = free_port()
        self.endpoint, self.options, self.tls = endpoint, options, None

    def conf(self, **source_options):
        source = {"endpoint": self.endpoint, "token": {"file": str(self.token_file)},
                  **source_options}
        return {"listen": f"127.0.0.1:{self.port}", "sources": {self.source: source},
                **self.options}

    @property
    def url(self):
        """With the token in its path, for senders that know no header."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/{self.source}/{self.token}"

    def connect(self, timeout=30):
        if self.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout,
                                           context=self.tls)

    def post(self, body, connection=None, path=None, headers=None):
        """(status, headers) of one request; a connection that is handed in is kept."""
        used = connection or self.connect()
        if headers is None:
            headers = {"Authorization": f"Bearer {self.token}"}
        used.request("POST", path or f"/{self.source}", body=body, headers=headers)
        answer = used.getresponse()
        answer.read()
        if connection is None:
            used.close()
        return answer.status, answer.headers


def minio_body(bucket, key, kind="put", size=1, sequencer="17A5B0C3D2E1F000", when=None):
    """A notification as MinIO writes it."""
    name = "s3:ObjectCreated:Put" if kind == "put" else "s3:ObjectRemoved:Delete"
    obj = {"key": urllib.parse.quote_plus(key), "sequencer": sequencer}
    if kind == "put":
        obj.update(size=size, eTag="d41d8cd98f00b204e9800998ecf8427e")
    return json.dumps({"EventName": name, "Key": f"{bucket}/{key}", "Records": [{
        "eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "",
        "eventTime": when or "2026-11-24T10:00:00.000Z", "eventName": name,
        "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config",
               "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": obj}}]})


class Senders:
    """Threads that post notifications of keys, each on one connection, and remember which were
    answered with 2xx. What is not is posted again by nobody."""

    def __init__(self, hook, bucket, keys, threads=8):
        self.hook, self.bucket = hook, bucket
        self.keys, self.lock = iter(keys), threading.Lock()
        self.accepted = []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def join(self):
        for thread in self.threads:
            thread.join()

    def _next(self):
        with self.lock:
            return next(self.keys, None)

    def _run(self):
        connection = None
        while (key := self._next()) is not None:
            try:
                connection = connection or self.hook.connect()
                status, _ = self.hook.post(minio_body(self.bucket, key), connection)
                if 200 <= status < 300:
                    with self.lock:
                        self.accepted.append(key)
            except (OSError, http.client.HTTPException):
                connection = None


def trusting(ca_file, cert=None, key=None):
    context = ssl.create_default_context(cafile=str(ca_file))
    if cert is not None:
        context.load_cert_chain(cert, key)
    return context

"""Real servers for tests: Ceph RGW, nghttpx in front of one, MinIO, Prometheus.

Every class is a context manager. A server listens on loopback, or where at() says, on ports from the
kernel, keeps everything in one temporary folder, and is gone with it at the end. A server whose program is
missing raises Missing, which names the reason of the skip.
"""

import os
import pathlib
import secrets
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid

from .process import HERE, Process, StartError, free_port, port_answers, work_dir

CACHE = pathlib.Path(os.environ.get("REPL_CACHE", pathlib.Path.home() / ".cache/repld-tests"))


class Missing(RuntimeError):
    """The program of a server is not installed; the text is the reason of a skip. Optional are the
    programs that Debian does not have."""

    def __init__(self, reason, optional=False):
        super().__init__(reason)
        self.optional = optional


def need(program):
    path = shutil.which(program)
    if path is None:
        raise Missing(f"{program} is not installed")
    return path


def run(*args, **kwargs):
    """Runs a set-up command; its output is part of the error when it fails."""
    done = subprocess.run([str(arg) for arg in args], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, **kwargs)
    if done.returncode != 0:
        raise StartError(f"{' '.join(str(arg) for arg in args)}: {done.stdout}")
    return done.stdout


def http_status(url):
    """The status an HTTP server answers with, None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def s3_client(server):
    """A boto3 client that never retries: what a server answers is what the test sees."""
    import boto3
    from botocore.config import Config
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=32,
                    s3={"addressing_style": "path"}, signature_version="s3v4")
    return boto3.client(
        "s3", endpoint_url=server.url, region_name=server.region, verify=server.ca_file,
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
        config=config)


def new_bucket_name():
    return f"test-{secrets.token_hex(6)}"


def empty_bucket(server, name):
    """Deletes all objects and open uploads of a bucket that only this run uses, and it."""
    client = s3_client(server)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=name, Key=item["Key"])
    for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
        client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    if client.get_bucket_versioning(Bucket=name).get("Status"):
        # All pages before the first delete: RGW does not find its way behind a version that is gone.
        for page in list(client.get_paginator("list_object_versions").paginate(Bucket=name)):
            for item in page.get("Versions", []) + page.get("DeleteMarkers", []):
                client.delete_object(Bucket=name, Key=item["Key"], VersionId=item["VersionId"])
    client.delete_bucket(Bucket=name)


class Server:
    """What tests know of an object store: where it is and how to sign for it."""

    kind = "s3"
    region = "us-east-1"
    ca_file = None
    place = HERE

    def __init__(self):
        self.access_key = "test" + secrets.token_hex(8)
        self.secret_key = secrets.token_hex(20)
        self.url = None
        self._dir = None
        self._processes = []

    def __enter__(self):
        self._dir = work_dir(type(self).__name__.lower())
        self.dir = pathlib.Path(self._dir.__enter__())
        try:
            self.launch()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            process.kill()
        self._processes.clear()
        self._dir.__exit__(None, None, None)

    def at(self, place):
        """For before it starts: it runs and listens there, and only who has entered it or the
        other end of its WAN reaches it. Returns the server."""
        self.place = place
        return self

    def launch(self):
        with self.place.entered():
            self.start()

    def start(self):
        raise NotImplementedError

    def spawn(self, name, *args, env=None):
        process = Process(args, self.dir / f"{name}.log", env=env, cwd=self.dir)
        self._processes.append(process)
        return process


class Rgw(Server):
    """Ceph's S3 server: one monitor, one OSD in memory and one gateway, without cephx."""

    kind = "rgw"
    memory_bytes = 4 << 30

    def start(self):
        for program in ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph"):
            need(program)
        self.fsid = str(uuid.uuid4())
        self._write_conf(mon_port=free_port())
        self._start_mon()
        self._start_osd()
        self._start_gateway()

    def _write_conf(self, mon_port):
        self.mon_address = f"[v2:127.0.0.1:{mon_port}]"
        self.conf = self.dir / "ceph.conf"
        self.conf.write_text(f"""\
[global]
fsid = {self.fsid}
mon_host = {self.mon_address}
public_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_bind_ipv6 = false
ms_mon_client_mode = crc
ms_client_mode = crc
ms_cluster_mode = crc
ms_service_mode = crc
run_dir = {self.dir}
admin_socket = {self.dir}/$name.asok
log_file = {self.dir}/$name.ceph.log
log_to_stderr = false
mon_cluster_log_file = {self.dir}/cluster.log
crash_dir = {self.dir}
keyring = {self.dir}/keyring
debug_default = 0/0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_max_pg_per_osd = 1000
mon_osd_full_ratio = .99
mon_data_avail_warn = 1
mon_data_avail_crit = 0

[mon.a]
mon_data = {self.dir}/mon
mon_memory_target = 268435456

[osd.0]
osd_data = {self.dir}/osd
osd_objectstore = memstore
memstore_device_bytes = {self.memory_bytes}
osd_memory_target = 1073741824
osd_class_load_list = *
osd_class_default_list = *

[client.rgw]
rgw_enable_apis = s3, admin, notifications
rgw_thread_pool_size = 64
rgw_run_sync_thread = false
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_gc_obj_min_wait = 60
rgw_gc_processor_period = 60
rgw_s3_auth_use_keystone = false
rgw_override_bucket_index_max_shards = 1
rgw_dynamic_resharding = false
""")

    def _ceph(self, *args):
        return run("ceph", "--conf", self.conf, "--connect-timeout", 30, *args)

    def _start_mon(self):
        monmap = self.dir / "monmap"
        (self.dir / "mon").mkdir()
        run("monmaptool", "--create", "--clobber", "--addv", "a", self.mon_address, "--fsid",
            self.fsid, monmap)
        run("ceph-mon", "--conf", self.conf, "--mkfs", "-i", "a", "--monmap", monmap)
        self.spawn("mon", "ceph-mon", "--conf", self.conf, "-f", "-i", "a")

    def _start_osd(self):
        (self.dir / "osd").mkdir()
        osd_uuid = str(uuid.uuid4())
        self._ceph("osd", "new", osd_uuid)
        run("ceph-osd", "--conf", self.conf, "-i", "0", "--mkfs", "--osd-uuid", osd_uuid)
        self.spawn("osd", "ceph-osd", "--conf", self.conf, "-f", "-i", "0")

    def _start_gateway(self):
        run("radosgw-admin", "--conf", self.conf, "-n", "client.rgw", "user", "create", "--uid",
            "tests", "--display-name", "tests", "--access-key", self.access_key, "--secret-key",
            self.secret_key)
        self.url = f"http://{self.place.address}:{free_port()}"
        self._spawn_gateway()

    def _spawn_gateway(self):
        address = self.url.removeprefix("http://")
        self._gateway = self.spawn("radosgw", "radosgw", "--conf", self.conf, "-f", "-n",
                                   "client.rgw", f"--rgw_frontends=beast endpoint={address}")
        self._gateway.wait_ready(lambda: http_status(self.url), timeout_s=90)

    def restart_gateway(self):
        """Where it was; what it has stored stays."""
        self._gateway.stop()
        self._processes.remove(self._gateway)
        with self.place.entered():
            self._spawn_gateway()


def make_certificates(folder, address="127.0.0.1"):
    """A CA and a server certificate for localhost and the address; returns (ca, cert, key)."""
    openssl = need("openssl")
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    cert, key, request = folder / "server.pem", folder / "server.key", folder / "server.csr"
    names = folder / "server.ext"
    names.write_text(f"subjectAltName = DNS:localhost, IP:{address}\n"
                     "basicConstraints = CA:FALSE\nextendedKeyUsage = serverAuth\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(openssl, "req", "-x509", *curve, "-days", "2", "-subj", "/CN=repld test CA",
        "-keyout", ca_key, "-out", ca)
    run(openssl, "req", *curve, "-subj", "/CN=localhost", "-keyout", key, "-out", request)
    run(openssl, "x509", "-req", "-days", "2", "-in", request, "-CA", ca, "-CAkey", ca_key,
        "-CAcreateserial", "-extfile", names, "-out", cert)
    return ca, cert, key


def make_client_certificate(folder):
    """A client's certificate of the CA that make_certificates() made there; returns (cert, key)."""
    openssl = need("openssl")
    cert, key, request = folder / "client.pem", folder / "client.key", folder / "client.csr"
    names = folder / "client.ext"
    names.write_text("basicConstraints = CA:FALSE\nextendedKeyUsage = clientAuth\n")
    run(openssl, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", "/CN=sender", "-keyout", key, "-out", request)
    run(openssl, "x509", "-req", "-days", "2", "-in", request, "-CA", folder / "ca.pem", "-CAkey",
        folder / "ca.key", "-CAcreateserial", "-extfile", names, "-out", cert)
    return cert, key


class Nghttpx(Server):
    """TLS and HTTP/2 (and HTTP/1.1) in front of any plain server. options: further ones of the
    program, which override those here."""

    def __init__(self, backend, *options):
        super().__init__()
        self.backend = backend
        self.options = options
        self.port = None
        self.kind = f"{backend.kind}_tls"
        self.region = backend.region
        self.access_key, self.secret_key = backend.access_key, backend.secret_key

    def start(self):
        program = need("nghttpx")
        if self.ca_file is None:
            ca, self._cert, self._key = make_certificates(self.dir, self.place.address)
            self.ca_file = str(ca)
            self.port = free_port()
        port, self.access_log = self.port, self.dir / "access.log"
        host, backend_port = self.backend.url.removeprefix("http://").split(":")
        empty = self.dir / "nghttpx.conf"
        empty.write_text("")
        front = self.spawn(
            "nghttpx", program, f"--conf={empty}", f"--frontend={self.place.address},{port}",
            f"--backend={host},{backend_port}", "--workers=1", "--single-process", "--no-ocsp", "--no-via",
            "--add-x-forwarded-for", "--log-level=WARN", "--errorlog-file=/dev/stderr",
            f"--accesslog-file={self.access_log}",
            "--accesslog-format=$alpn $tls_session_reused $status $request", "--no-server-rewrite",
            "--frontend-http2-window-size=1M", "--backend-read-timeout=5m",
            "--backend-write-timeout=5m", *self.options, self._key, self._cert)
        front.wait_ready(lambda: port_answers(port, self.place.address))
        self.url = f"https://{self.place.address}:{port}"

    @property
    def process(self):
        return self._processes[-1]

    def accesses(self):
        """(ALPN, "r" when its TLS session was resumed, status, request line) of every request."""
        return [line.split(" ", 3) for line in self.access_log.read_text().splitlines()]


def go_program(name, package, variable):
    """The path of a current Go program: from the variable, from the cache, or built when that is
    allowed (REPL_GO_BUILD=1); raises Missing otherwise."""
    if os.environ.get(variable):
        return need(os.environ[variable])
    path = CACHE / "bin" / name
    if path.exists():
        return str(path)
    if os.environ.get("REPL_GO_BUILD") != "1":
        raise Missing(f"no {name} in {variable} or {path} (built with --all where Go is present)",
                      optional=True)
    go = shutil.which("go")
    if go is None:
        raise Missing(f"no {name}, and no Go to build it with", optional=True)
    env = {**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-trimpath", "CGO_ENABLED": "0"}
    done = subprocess.run([go, "install", package], env=env, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1500)
    if done.returncode != 0 or not path.exists():
        raise Missing(f"go install {package}: {done.stdout.strip().splitlines()[-1:]}",
                      optional=True)
    return str(path)


def minio_program():
    return go_program("minio", "github.com/minio/minio@latest", "REPL_MINIO")


def rclone_program():
    """A current rclone where there is one, Debian's otherwise."""
    try:
        return go_program("rclone", "github.com/rclone/rclone@latest", "REPL_RCLONE")
    except Missing:
        return need("rclone")


def rclone_environment():
    """rclone 1.60 ends when AWS_CA_BUNDLE is set."""
    return {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}


def s5cmd_program():
    return go_program("s5cmd", "github.com/peak/s5cmd/v2@latest", "REPL_S5CMD")


def mc_program():
    """MinIO's client, which sets its replication up."""
    return go_program("mc", "github.com/minio/mc@latest", "REPL_MC")


class Minio(Server):
    kind = "minio"

    def start(self):
        program = minio_program()
        port, console = free_port(), free_port()
        self.url = f"http://{self.place.address}:{port}"
        env = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key,
               "MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "HOME": str(self.dir)}
        server = self.spawn(
            "minio", program, "server", "--quiet", "--address", f"{self.place.address}:{port}",
            "--console-address", f"127.0.0.1:{console}", self.dir / "data", env=env)
        server.wait_ready(lambda: http_status(f"{self.url}/minio/health/ready") == 200)


class Prometheus(Server):
    """Scrapes the given host:port targets once a second."""

    kind = "prometheus"

    def __init__(self, *targets):
        super().__init__()
        self.targets = targets

    def start(self):
        program = need("prometheus")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        targets = ", ".join(f"'{target}'" for target in self.targets)
        conf = self.dir / "prometheus.yml"
        conf.write_text("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                        "scrape_configs:\n- job_name: repld\n"
                        f"  static_configs: [{{targets: [{targets}]}}]\n")
        server = self.spawn(
            "prometheus", program, f"--config.file={conf}",
            f"--storage.tsdb.path={self.dir}/data", f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn")
        server.wait_ready(lambda: http_status(f"{self.url}/-/ready") == 200)


def versions():
    """One line for each outside program that the tests use."""
    asks = {"radosgw": ["radosgw", "--version"], "nghttpx": ["nghttpx", "--version"],
            "prometheus": ["prometheus", "--version"], "aws": ["aws", "--version"],
            "s3cmd": ["s3cmd", "--version"]}
    for name, find, ask in (("rclone", rclone_program, "--version"),
                            ("minio", minio_program, "--version"),
                            ("s5cmd", s5cmd_program, "version")):
        try:
            asks[name] = [find(), ask]
        except Missing as reason:
            yield f"{name}: {reason}"
    for name, command in asks.items():
        try:
            line = run(*command).strip().splitlines()[0]
        except (OSError, StartError, IndexError) as error:
            line = f"missing ({error})"
        yield f"{name}: {line}"

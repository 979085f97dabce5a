"""A server on this machine that speaks S3, and what tests do with it."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class S3Server:
    """A server that can be killed and started again at the same address, empty."""

    def __init__(self):
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [sys.executable, "-c", _SERVER, str(self.port)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.port = int(self._port())

    def _port(self):
        for line in self.process.stdout:
            if line.strip().isdecimal():
                return line
        raise AssertionError("the server did not start")

    def user(self, *actions):
        """The environment of a user of its own who may do just these, such as "s3:*"."""
        import boto3

        iam, name = boto3.client("iam"), f"user-{time.monotonic_ns()}"
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    def enforce(self):
        """From now on look at who asks, and at the signature, and at what the user may."""
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request).close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def environment(**values):
    was = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in was.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@contextmanager
def serving(*buckets):
    """A server of one's own with these buckets, which fsspec and boto ask meanwhile."""
    server = S3Server()
    try:
        with environment(**ENVIRONMENT, AWS_ENDPOINT_URL=server.url):
            for bucket in buckets:
                make_bucket(bucket)
            yield server
    finally:
        server.kill()


def make_bucket(name):
    import fsspec

    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(name)


def put(folder, url):
    """Copy a run's folder to a URL, by fsspec alone."""
    import fsspec

    # An instance that is kept would ask the server of another test.
    filesystem, path = fsspec.core.url_to_fs(url, skip_instance_cache=True)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            filesystem.pipe_file(f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes())


def wait_until(true, timeout_s=60.0):
    """Wait until it is true."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.05)

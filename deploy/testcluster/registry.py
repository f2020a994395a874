"""Debian's docker-registry: one that everybody may use, and one before the same storage that asks for a password."""

import http.client
import json
import socket
from pathlib import Path

from deploy.testcluster.processes import Processes

PRIVATE_USER, PRIVATE_PASSWORD = "berth", "berth-test"
# The password by bcrypt, the only form that the registry takes.
_HTPASSWD = "$2b$05$YLJ5jbuGu/hf1biTrKOskeI2sgZi/4cyZLL3L2s4ttXUR7MOP.d.S"


def start_registry(processes: Processes, storage: Path, *, name: str = "registry", port: int = 0) -> int:
    """Starts a registry on 127.0.0.1 and waits for it. Returns its port. One named "private" wants the password."""
    port = port or _free_port()
    storage.mkdir(parents=True, exist_ok=True)
    settings: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if name == "private":
        passwords = processes.folder / "htpasswd"
        passwords.write_text(f"{PRIVATE_USER}:{_HTPASSWD}\n")
        settings["auth"] = {"htpasswd": {"realm": "testcluster", "path": str(passwords)}}
    file = processes.folder / f"{name}.json"
    file.write_text(json.dumps(settings))
    processes.start(name, ["docker-registry", "serve", file])
    processes.wait_ready(name, lambda: _answers(port), 20)
    return port


def digest_of(port: int, repository: str, tag: str) -> str:
    """The digest of a tag, as `sha256:...`. KeyError when there is none."""
    accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": accept})
        answer = connection.getresponse()
        digest = answer.getheader("Docker-Content-Digest")
    finally:
        connection.close()
    if answer.status != 200 or digest is None:
        raise KeyError(f"{repository}:{tag}")
    return digest


def move_tag(port: int, repository: str, source: str, tag: str) -> str:
    """Makes `tag` the image that `source`, a tag or digest, is. Returns its digest."""
    accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"/v2/{repository}/manifests/{source}", headers={"Accept": accept})
        answer = connection.getresponse()
        manifest, media_type = answer.read(), answer.getheader("Content-Type") or ""
        if answer.status != 200:
            raise KeyError(f"{repository}:{source}")
        connection.request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": media_type})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise OSError(f"the registry answered {answer.status}")
    finally:
        connection.close()
    return digest_of(port, repository, tag)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in (200, 401)
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])

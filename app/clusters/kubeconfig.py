"""A kubeconfig that an admin gave, read by an allow-list: an address and inline credentials, nothing that runs.

A kubeconfig may name commands to run (`exec`, `auth-provider`) and files to read; one that was pasted into a page would
run them on Berth's machine. So what is understood is listed here, and all else is refused by name.
"""

import base64
import binascii
import io
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from app.domain import egress
from app.errors import N_, BadValue

_MOST_BYTES = 256 << 10
_CLUSTER = {"server", "certificate-authority-data", "tls-server-name", "insecure-skip-tls-verify"}
_USER = {"client-certificate-data", "client-key-data", "token"}
_INLINE = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
    "tokenFile": "token",
}


@dataclass(frozen=True)
class Connection:
    """How an API server is reached: its address, the CA that signed its certificate, and who Berth is there.

    PEM as text. Credentials are not shown.
    """

    server: str
    ca: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    server_name: str = ""


def read_kubeconfig(text: str) -> Connection:
    """The connection of the current context. Raises BadValue with what is wrong and what to do."""
    if len(text.encode()) > _MOST_BYTES:
        raise BadValue(N_("is larger than a kubeconfig can be"))
    try:
        document = YAML(typ="safe", pure=True).load(io.StringIO(text))
    except (YAMLError, RecursionError, ValueError) as error:
        raise BadValue(N_("is no YAML")) from error
    if not isinstance(document, dict) or document.get("kind") not in ("Config", None):
        raise BadValue(N_("is no kubeconfig"))
    context = _named(document, "contexts", "context", document.get("current-context"))
    cluster = _named(document, "clusters", "cluster", context.get("cluster"))
    user = _named(document, "users", "user", context.get("user"))
    _only(cluster, _CLUSTER)
    _only(user, _USER)
    if cluster.get("insecure-skip-tls-verify"):
        raise BadValue(N_("leaves the server's certificate unchecked; give certificate-authority-data instead"))
    connection = Connection(
        server=_address(cluster.get("server")),
        ca=_pem(cluster, "certificate-authority-data"),
        token=_text(user, "token"),
        certificate=_pem(user, "client-certificate-data"),
        key=_pem(user, "client-key-data"),
        server_name=_text(cluster, "tls-server-name"),
    )
    if not connection.token and not (connection.certificate and connection.key):
        raise BadValue(N_("names no token and no client certificate with its key"))
    return connection


def runs_in_cluster(folder: Path) -> bool:
    """Whether this process runs in a cluster. Every pod has the variable; not every one of Berth's has the files."""
    return "KUBERNETES_SERVICE_HOST" in os.environ or (folder / "token").exists()


def in_cluster(folder: Path, server: str) -> Connection:
    """The cluster that this process runs in, by the files that every pod with a service account has. They are read
    anew for each connection, because the kubelet replaces the token. Raises BadValue where there are none."""
    try:
        token, ca = (folder / "token").read_text().strip(), (folder / "ca.crt").read_text()
    except OSError as error:
        raise BadValue(
            N_("Berth's controller does not run in a cluster with a service account: {error}"), error=str(error)
        ) from error
    return Connection(server=_address(server), ca=ca, token=token)


def check_resolved(connection: Connection) -> None:
    """Refuses a server whose name leads where no API server is. A name that leads elsewhere a moment later gains
    nothing: Berth says who it is only to a server whose certificate the given CA signed. Raises BadValue, OSError."""
    parts = urlsplit(connection.server)
    for found in socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM):
        address = egress.literal(str(found[4][0]).partition("%")[0])
        if address is None or not egress.may_be_api_server(address):
            raise BadValue(N_("must name its server by an address that an API server can have"))


def _named(document: dict[str, Any], collection: str, part: str, name: object) -> dict[str, Any]:
    """The entry of that name; the only one there is where none is named."""
    entries = document.get(collection)
    found = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    if name is not None or len(found) != 1:
        found = [one for one in found if one.get("name") == name]
    if len(found) != 1 or not isinstance(found[0].get(part), dict):
        raise BadValue(N_("has no {part} {name}"), part=part, name=repr(str(name)[:100]))
    inner: dict[str, Any] = found[0][part]
    return inner


def _only(found: dict[str, Any], known: set[str]) -> None:
    for key in found:
        if key in ("exec", "auth-provider"):
            raise BadValue(
                N_("logs in by running a program ({key}), which Berth does not; give the token of a service account"),
                key=key,
            )
        if key in _INLINE:
            raise BadValue(
                N_("names a file ({key}), which Berth cannot read; `kubectl config view --raw --flatten` puts it in"),
                key=key,
            )
        if key not in known:
            raise BadValue(N_("has {key}, which Berth does not know"), key=str(key)[:100])


def _address(server: object) -> str:
    try:
        parts = urlsplit(str(server or ""))
        is_valid = parts.scheme == "https" and bool(parts.hostname) and not parts.username and not parts.query
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError:
        is_valid = False
    if not is_valid:
        raise BadValue(N_("must name its server as https://host:port"))
    address = egress.literal(parts.hostname or "")
    if address is not None and not egress.may_be_api_server(address):
        raise BadValue(N_("must name its server by an address that an API server can have"))
    return str(server).rstrip("/")


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key, "")
    if not isinstance(value, str) or any(sign in value for sign in "\r\n\x00"):
        raise BadValue(N_("has a {key} that is no line of text"), key=key)
    return value


def _pem(found: dict[str, Any], key: str) -> str:
    value = _text(found, key)
    try:
        text = base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadValue(N_("has a {key} that is not in base64"), key=key) from error
    if text and "-----BEGIN " not in text:
        raise BadValue(N_("has a {key} that holds no PEM"), key=key)
    return text

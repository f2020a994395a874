"""The certificates of one cluster and the kubeconfigs that carry them, made by openssl for 30 days."""

import base64
import json
import subprocess
from pathlib import Path

from deploy.testcluster.places import Places

# Who: the certificate's subject, which is the user and its groups.
IDENTITIES = {
    "server": "/CN=server",
    "admin": "/O=system:masters/CN=admin",
    "kubelet": "/O=system:nodes/CN=system:node:node1",
    "kcm": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
}


def make_certificates(places: Places) -> None:
    """Makes the authority, a certificate for each identity, the key for service accounts' tokens, the kubeconfigs."""
    pki = places.pki
    pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    _openssl(pki, "req", "-x509", *_new_key("ca"), "-days", "30", "-subj", "/CN=berth-testcluster", "-out", "ca.crt")
    first_service = places.services.replace("0.0/16", "0.1")
    names = ["DNS:localhost", "DNS:node1", "DNS:kubernetes.default.svc", "DNS:kubernetes.default.svc.cluster.local"]
    names += [f"IP:{address}" for address in ("127.0.0.1", places.address, first_service)]
    (pki / "names.cnf").write_text(f"subjectAltName={','.join(names)}\n")
    for serial, (name, subject) in enumerate(IDENTITIES.items(), start=1):
        _openssl(pki, "req", *_new_key(name), "-subj", subject, "-out", f"{name}.csr")
        signed_by = ("-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", str(serial), "-days", "30")
        _openssl(pki, "x509", "-req", "-in", f"{name}.csr", *signed_by, "-extfile", "names.cnf", "-out", f"{name}.crt")
        write_kubeconfig(
            places.state / f"{name}.kubeconfig",
            f"https://{places.address}:6443",
            (pki / "ca.crt").read_bytes(),
            {"client-certificate-data": _file(pki / f"{name}.crt"), "client-key-data": _file(pki / f"{name}.key")},
        )
    _openssl(pki, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key")


def write_kubeconfig(path: Path, server: str, authority: bytes, user: dict[str, str]) -> None:
    """Writes a kubeconfig with one context; `user` is its credential, such as {"token": ...}. JSON is YAML."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "testcluster",
        "contexts": [{"name": "testcluster", "context": {"cluster": "testcluster", "user": "user"}}],
        "clusters": [
            {
                "name": "testcluster",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": "user", "user": user}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1))


def _new_key(name: str) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def _file(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()

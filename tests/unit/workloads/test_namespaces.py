"""A project's namespace, as it reaches the API server."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from app.domain.pod_egress import parse_egress
from app.workloads import namespaces
from app.workloads.namespaces import PullSecret, Tenancy, fingerprint

GOLDEN = Path(__file__).parent / "golden" / "namespace.json"
TENANCY = Tenancy(
    install="01a205da-32ce-77fc-b492-014ab50b56d5",
    project_id="0198c0de-0000-7000-8000-000000000001",
    namespace="berth-000000000001-7f3k2m9q",
    url="https://10.1.2.3:8443",
    pull_secret=PullSecret("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "e30="}, "1"),
    egress=parse_egress("10.20.0.0/16:443 0.0.0.0/0:5000-5010/udp 10.30.0.0/16"),
)


def test_golden() -> None:
    made = {"": namespaces.build_namespace(TENANCY), **namespaces.build_contents(TENANCY)}
    assert json.dumps(made, indent=1) + "\n" == GOLDEN.read_text()


def test_each_object_lies_in_the_namespace_and_is_known_as_berths() -> None:
    for path, manifest in namespaces.build_contents(TENANCY).items():
        metadata = manifest["metadata"]
        assert path.endswith(
            f"/namespaces/{TENANCY.namespace}/{manifest['kind'].lower()}s/{metadata['name']}".replace(
                "policys", "policies"
            )
        )
        assert metadata["namespace"] == TENANCY.namespace
        assert metadata["labels"] == TENANCY.labels


def test_without_registry_credentials_there_is_no_secret() -> None:
    made = namespaces.build_contents(dataclasses.replace(TENANCY, pull_secret=None))
    assert "Secret" not in {manifest["kind"] for manifest in made.values()}
    accounts = [manifest for manifest in made.values() if manifest["kind"] == "ServiceAccount"]
    assert not any(account["imagePullSecrets"] for account in accounts)


def test_the_fingerprint_changes_with_what_is_wanted_and_holds_no_credentials() -> None:
    other = dataclasses.replace(TENANCY, pull_secret=PullSecret(TENANCY.pull_secret.type, {"x": "y"}, "1"))  # type: ignore[union-attr]
    assert fingerprint(other) == fingerprint(TENANCY)
    changed = [
        dataclasses.replace(TENANCY, pull_secret=dataclasses.replace(TENANCY.pull_secret, stamp="2")),  # type: ignore[type-var]
        dataclasses.replace(TENANCY, pull_secret=None),
        dataclasses.replace(TENANCY, url="https://10.1.2.4"),
        dataclasses.replace(TENANCY, egress=()),
    ]
    assert len({fingerprint(one) for one in (TENANCY, *changed)}) == 5


def _of_namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


@pytest.mark.parametrize(
    ("url", "to", "ports"),
    [
        ("http://192.0.2.3:8800", [{"ipBlock": {"cidr": "192.0.2.3/32"}}], [8800]),
        ("https://[2001:db8::1]", [{"ipBlock": {"cidr": "2001:db8::1/128"}}], [443]),
        ("http://berth.example.com", [namespaces._block("0.0.0.0/0"), namespaces._block("::/0")], [80]),
        (
            "http://berth-web.platform.svc.cluster.local",
            [_of_namespace("platform") | {"podSelector": {"matchLabels": namespaces.WEB_LABELS}}],
            [8800],
        ),
        ("https://gateway.edge.svc", [_of_namespace("edge")], [443, 8800]),
    ],
)
def test_the_way_to_berth(url: str, to: list[Any], ports: list[int]) -> None:
    path = f"/apis/networking.k8s.io/v1/namespaces/{TENANCY.namespace}/networkpolicies/berth"
    policy = namespaces.build_contents(dataclasses.replace(TENANCY, url=url))[path]["spec"]
    assert policy["ingress"] == []
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    _, berth, *_ = policy["egress"]
    assert berth == {"to": to, "ports": [{"protocol": "TCP", "port": port} for port in ports]}

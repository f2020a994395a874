"""What hostile specs become: 10,000 of them, and the Jobs of those that are accepted as the API server took them."""

import copy
import functools
import json
import types
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.clusters.base import SecretValues
from app.clusters.kubeconfig import read_kubeconfig
from app.clusters.kubernetes import KubernetesCluster
from app.clusters.kubernetes_api import Api, Raw
from app.services.convergence import plan_of
from app.workloads.pods import Place
from app.workloads.registry import read_spec
from tests.clusters.kubernetes.hostile_specs import FORBIDDEN, generate
from tests.clusters.kubernetes.judge import forbidden
from tests.clusters.kubernetes.world import Namespace

pytestmark = pytest.mark.cluster
COUNT = 10_000
SEED = 20261123
GOLDEN = Path(__file__).parents[2] / "unit/workloads/golden/least.json"
POD = "spec.template.spec"


class DryRun(Api):
    """Whatever is made is checked and completed by the API server, and then forgotten."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.jobs: list[Raw] = []

    def create(self, path: str, body: Raw, **query: object) -> Raw:
        if body["kind"] != "Job":
            return body  # the token and values of the secrets, which no field is in
        self.jobs.append(super().create(path, body, **query, dryRun="All"))
        return self.jobs[-1]


@pytest.mark.timeout(1200)
def test_no_forbidden_field_ever(namespace: Namespace) -> None:
    connection = read_kubeconfig(namespace.cluster.places.kubeconfig.read_text())
    api = DryRun("test", connection)
    place = Place(
        install="i-test",
        namespace=namespace.name,
        url="http://berth.example.org",
        runtime_image="registry.example.org/berth-runtime@sha256:" + "1" * 64,
        default_image="registry.example.org/python:3.11",
    )
    cluster = KubernetesCluster("test", api, "i-test", lambda _: place)
    tried, accepted, found = Counter[str](), 0, []
    for number, (name, document) in enumerate(generate(SEED, COUNT)):
        tried[name] += 1
        try:
            spec = read_spec(document)
        except ValidationError:
            continue
        accepted += 1
        run: Any = types.SimpleNamespace(
            public_id=f"r-{number:010}", project_id="0198c0de-0000-7000-8000-000000000001", spec=document
        )
        plan = plan_of(run, spec, 1)
        cluster.start(plan, SecretValues({secret.name: "value" for secret in spec.secrets}))
        found += [f"{name}: {one}" for one in forbidden(api.jobs.pop(), namespace.name)]
    cluster.close()
    assert found[:20] == []
    assert accepted >= COUNT / 2
    assert tried.keys() == FORBIDDEN.keys()
    assert min(tried.values()) >= 100
    print(f"{COUNT} specs, {accepted} accepted, each of {len(FORBIDDEN)} fields in at least {min(tried.values())}")


@pytest.mark.parametrize("name", FORBIDDEN)
def test_the_judge_finds_each(name: str) -> None:
    """Beside the pod, in it, in its containers and their security, and in its volumes."""
    (good, *_) = json.loads(GOLDEN.read_text())
    assert forbidden(good, good["metadata"]["namespace"]) == []
    for path in ("metadata", "spec", POD, f"{POD}.securityContext", f"{POD}.containers.0", f"{POD}.volumes.0"):
        bad = copy.deepcopy(good)
        place = functools.reduce(lambda at, key: at[int(key) if key.isdigit() else key], path.split("."), bad)
        place[name] = FORBIDDEN[name]
        assert forbidden(bad, good["metadata"]["namespace"]), path

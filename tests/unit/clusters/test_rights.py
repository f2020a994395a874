"""The platform's own rights in a cluster: the one file of them, as it is applied."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from app.domain.preflight_facts import NEEDED, permission
from app.workloads.namespaces import Tenancy, build_contents

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"


def _manifests() -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted(FOLDER.glob("*.yaml"))]
    return [one for text in texts for one in YAML(typ="safe", pure=True).load_all(text)]


def _granted(rules: list[dict[str, Any]]) -> set[str]:
    return {
        permission(verb, f"{resource}.{group}" if group else resource + name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in (f":{name}" for name in rule["resourceNames"])
        for verb in rule["verbs"]
    }


def _rules() -> list[dict[str, Any]]:
    (role,) = (one for one in _manifests() if one["kind"] == "ClusterRole")
    return [{"resourceNames": [""], **rule} for rule in role["rules"]]


def test_the_role_grants_what_is_needed_and_nothing_else() -> None:
    granted = {one.removesuffix(":") for one in _granted(_rules())}
    assert granted == {permission(*one) for one in NEEDED}


def test_the_chart_grants_the_same() -> None:
    copy = FOLDER.parent / "helm/berth/files/cluster-role.yaml"
    assert copy.read_text() == (FOLDER / "cluster-role.yaml").read_text(), "copy it: a chart reads no other folder"


def test_nothing_that_is_applied_holds_a_wildcard() -> None:
    def look(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                assert "*" not in str(key)
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)
        else:
            assert "*" not in str(value)

    look(_manifests())
    assert {one["kind"] for one in _manifests()} == {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"}


def test_berth_holds_what_it_grants_to_read_only_kubeconfigs() -> None:
    contents = build_contents(Tenancy("install", "project", "space", "https://berth.example.com"))
    (role,) = (one for one in contents.values() if one["kind"] == "Role")
    rules = [{"resourceNames": [""], **rule} for rule in role["rules"]]
    assert _granted(rules) <= _granted(_rules())
    assert {one.removesuffix(":") for one in _granted(rules)} == {
        "get pods",
        "list pods",
        "watch pods",
        "get pods/log",
    }

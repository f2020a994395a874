"""The sample as a program and as a spec. That it runs in Berth is tested in tests/trial/test_guides.py."""

import ast

from app.workloads import sample


def test_it_is_plain_python_for_old_interpreters() -> None:
    tree = ast.parse(sample.PROGRAM, feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"json", "math", "random", "time", "berth"}
    assert "END" not in sample.PROGRAM.splitlines(), "the shell would stop reading there"


def test_it_is_known_by_what_it_does() -> None:
    stored = sample.make_sample().model_dump(mode="json", exclude_defaults=True)
    assert sample.is_sample(stored | {"name": "renamed", "tags": []})
    assert not sample.is_sample({"name": "sample", "tags": ["sample"], "script": "true"})
    assert not sample.is_sample({"command": ["true"]})

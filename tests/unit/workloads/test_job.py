"""What a job's spec accepts, and what it refuses before anything changes."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.domain.quota import Resources
from app.domain.states import Cause
from app.workloads.kinds import job
from app.workloads.registry import KINDS, read_spec

LEAST = {"kind": "job", "name": "train", "command": ["python", "train.py"]}


def test_defaults_are_small() -> None:
    spec = read_spec(LEAST)
    assert spec.resources == Resources(1000, 1 << 30, 0)
    assert spec.retries == {Cause.LOST: 2}


def test_a_script_runs_in_a_shell_that_stops_at_the_first_failure() -> None:
    spec = job.JobSpec.model_validate({"name": "x", "script": "false\ntrue"})
    assert job.command(spec) == ["/bin/sh", "-e", "-c", "false\ntrue"]


def test_every_kind_reads_its_own_spec_back() -> None:
    for name, kind in KINDS.items():
        assert kind.spec.model_fields["kind"].default == name


@pytest.mark.parametrize(
    "change",
    [
        {"command": None},
        {"script": "true"},
        {"command": []},
        {"command": [" "]},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "two\nlines"},
        {"name": "nul\x00"},
        {"privileged": True},
        {"volumes": ["/etc"]},
        {"cpu": "0"},
        {"cpu": "1e18"},
        {"memory": "16G"},
        {"memory": -1},
        {"gpus": -1},
        {"gpus": 0.5},
        {"gpus": 10**9},
        {"replicas": 10**9},
        {"priority": "urgent"},
        {"timeout": "soon"},
        {"retry": {"boredom": 3}},
        {"retry": {"lost": 10**6}},
        {"env": {"PATH": "/tmp"}},
        {"env": {"LD_PRELOAD": "x.so"}},
        {"env": {"PYTHONPATH": "."}},
        {"env": {"BERTH_TOKEN": "x"}},
        {"env": {"A=B": "x"}},
        {"env": {"A\nB": "x"}},
        {"env": {"A": "x\x00"}},
        {"parameters": {"bad name": 1}},
        {"parameters": {"lr": float("nan")}},
        {"parameters": {"lr": [1]}},
        {"tags": ["<script>"]},
        {"snapshot": "../../etc/passwd"},
        {"python": "python3"},
        {"requirements": "requirements.txt"},
        {"snapshot": "a" * 64, "requirements": "../requirements.txt"},
        {"snapshot": "a" * 64, "requirements": "r.txt", "python": "/usr/bin/python3"},
    ],
)
def test_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_spec({**LEAST, **change})


def test_a_tag_stands_once() -> None:
    assert job.JobSpec(name="x", command=["true"], tags=["b", "a", "b"]).tags == ["b", "a"]


def test_an_image_that_cannot_be_one_is_refused_unless_it_was_taken_before() -> None:
    stored = {**LEAST, "image": "A//b"}
    with pytest.raises(ValidationError, match="must be the name of an image"):
        KINDS["job"].spec.model_validate(stored)
    assert read_spec(stored).image == "A//b"

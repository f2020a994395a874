"""The spec of a debug run, and how long it may last."""

import pytest

from app.errors import BadValue
from app.workloads.debugging import MOST_TTL, USUAL_TTL, check_ttl, debug_spec, exec_command
from app.workloads.kinds.job import JobSpec


@pytest.mark.parametrize("text", ["1s", "90s", USUAL_TTL, "11h59m60s", MOST_TTL])
def test_durations_that_may_be(text: str) -> None:
    assert check_ttl(text) == text


@pytest.mark.parametrize(("text", "fix"), [("0s", "1s"), ("43201s", MOST_TTL), ("2d", MOST_TTL), ("0h0m", "1s")])
def test_durations_that_may_not(text: str, fix: str) -> None:
    with pytest.raises(BadValue) as caught:
        check_ttl(text)
    assert caught.value.fix == fix


def test_a_script_gives_way_and_long_names_fit() -> None:
    made = debug_spec({"kind": "job", "name": "n" * 200, "script": "true", "timeout": "1s", "gpus": 1}, "1m")
    assert made == {"kind": "job", "name": "debug " + "n" * 194, "command": ["sleep", "60"], "retry": {}, "gpus": 1}
    assert JobSpec.model_validate(made).retries == {}


def test_the_line_for_the_shell() -> None:
    assert exec_command("space", "pod") == "kubectl exec -it -n space pod -c main -- sh"

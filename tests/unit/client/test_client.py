"""The client: what it sends, what it repeats, and what it makes of the answers."""

import math
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import berth
from berth.errors import BerthError, InvalidInput, RunFailed, Unreachable, WaitTimeout
from berth.records import Artifact
from berth.results import Named, read_run
from berth.transport import Response
from tests.unit.client.fakes import Asked, FakeStream, FakeTransport, client_of, ok, problem

RUN = {"id": "r-7f3k2m9qwa", "state": "running", "name": "train", "project": "vision"}


def test_the_package_offers_what_the_documentation_says() -> None:
    assert berth.Client.__name__ == "Client"
    assert issubclass(berth.RunFailed, berth.BerthError)
    with pytest.raises(AttributeError):
        berth.no_such_thing  # noqa: B018 - the access is the test


def test_every_request_carries_the_token_and_a_post_carries_a_key() -> None:
    transport = FakeTransport(ok(RUN, 202))
    client_of(transport).runs.stop("r-7f3k2m9qwa")
    asked = transport.asked[0]
    assert (asked.method, asked.target) == ("POST", "/api/v1/runs/r-7f3k2m9qwa:stop")
    assert asked.headers["Authorization"] == "Bearer berth_secret"
    assert len(asked.headers["Idempotency-Key"]) == 32


@pytest.mark.parametrize(
    ("asked", "environment", "sent"),
    [
        (None, None, "en"),
        (None, "zh", "zh"),
        ("en", "zh", "en"),
        ("zh_CN.UTF-8", None, "zh-CN"),
        (None, "C.UTF-8", "en"),
    ],
)
def test_the_language_is_english_unless_asked(
    asked: str | None, environment: str | None, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BERTH_LANG", raising=False)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")  # of the machine, not of this program
    if environment is not None:
        monkeypatch.setenv("BERTH_LANG", environment)
    transport = FakeTransport(ok(RUN))
    berth.Client("http://localhost:9", "t", "p", language=asked, transport=transport).runs.get("r-7f3k2m9qwa")
    assert transport.asked[0].headers["Accept-Language"] == sent


def test_a_submit_that_breaks_off_is_repeated_with_the_same_key() -> None:
    transport = FakeTransport(Unreachable("gone"), problem(503, "UNAVAILABLE"), ok(RUN, 202))
    run = client_of(transport).runs.submit(["python", "train.py"], cpu="2")
    assert run.id == "r-7f3k2m9qwa"
    keys = {asked.headers["Idempotency-Key"] for asked in transport.asked}
    assert len(keys) == 1
    assert len(transport.asked) == 3
    assert transport.asked[-1].json["spec"] == {"cpu": "2", "command": ["python", "train.py"], "name": "train"}


def test_a_patch_is_never_repeated() -> None:
    transport = FakeTransport(Unreachable("gone"))
    with pytest.raises(Unreachable):
        client_of(transport).users.update("ana", disabled=True)
    assert len(transport.asked) == 1


def test_refusals_are_not_repeated() -> None:
    transport = FakeTransport(problem(422, "NEVER_FITS", hint="ask for less", asked="64 CPU"))
    with pytest.raises(BerthError) as caught:
        client_of(transport).runs.create({"name": "x"})
    assert (caught.value.code, caught.value.hint, caught.value.fields) == (
        "NEVER_FITS",
        "ask for less",
        {"asked": "64 CPU"},
    )
    assert len(transport.asked) == 1


@pytest.mark.parametrize(("retry_after", "requests"), [(1, 4), (60, 1)])
def test_a_short_retry_after_is_waited_for_and_a_long_one_is_told(retry_after: int, requests: int) -> None:
    transport = FakeTransport(*[problem(429, "TOO_MANY", retry_after=retry_after)] * 4)
    pauses: list[float] = []
    client = berth.Client("http://berth.test", "t", "vision", transport=transport, sleep=pauses.append)
    with pytest.raises(BerthError) as caught:
        client.runs.get("r-7f3k2m9qwa")
    assert caught.value.retry_after == retry_after
    assert len(transport.asked) == requests
    assert all(pause >= retry_after for pause in pauses)


def test_an_answer_that_is_not_berths_is_said_to_be_so() -> None:
    page = Response(200, {}, b"<html>welcome to nginx</html>")
    with pytest.raises(Unreachable, match="not as Berth does"):
        client_of(FakeTransport(page)).projects.get("vision")
    with pytest.raises(BerthError) as caught:
        client_of(FakeTransport(Response(404, {}, b"nope"))).projects.get("vision")
    assert (caught.value.code, caught.value.status) == ("HTTP_404", 404)


def test_a_list_follows_its_cursors_and_stops_at_the_limit() -> None:
    def answer(asked: Asked) -> Response:
        start = int(asked.target.split("after=")[1].split("&")[0]) if "after=" in asked.target else 0
        limit = int(asked.target.split("limit=")[1].split("&")[0])
        items = [{"id": f"r-{number}"} for number in range(start, min(start + limit, 450))]
        following = start + limit if start + limit < 450 else None
        return ok({"items": items, "next": following and str(following), "has_more": following is not None})

    transport = FakeTransport(answer=answer)
    assert [run.id for run in client_of(transport).runs.list()] == [f"r-{number}" for number in range(450)]
    assert len(transport.asked) == 3
    transport.asked.clear()
    assert len(list(client_of(transport).runs.list(q="status:running", limit=250))) == 250
    assert ["limit=200" in transport.asked[0].target, "limit=50" in transport.asked[1].target] == [True, True]
    assert "q=status%3Arunning" in transport.asked[0].target


def test_names_cannot_change_the_path() -> None:
    transport = FakeTransport(ok({}), ok({}))
    client = client_of(transport)
    client.projects.get("../users?x=1#y")
    assert transport.asked[0].target == "/api/v1/projects/..%2Fusers%3Fx%3D1%23y"


def test_the_only_project_is_taken_and_among_several_one_must_be_named() -> None:
    one: dict[str, Any] = {"user": {"name": "ana"}, "projects": [{"name": "sandbox"}]}
    assert client_of(FakeTransport(ok(one)), project=None).project == "sandbox"
    two = {"projects": [{"name": "sandbox"}, {"name": "vision"}]}
    with pytest.raises(InvalidInput) as caught:
        client_of(FakeTransport(ok(two)), project=None).project  # noqa: B018 - the access is the test
    assert "sandbox, vision" in caught.value.hint


def test_waiting_ends_with_the_run_and_survives_an_absent_server() -> None:
    gone = [Unreachable("gone")] * 5
    transport = FakeTransport(ok(RUN), *gone, ok(RUN | {"state": "failed", "exit_code": 3, "first_error": "boom"}))
    with pytest.raises(RunFailed) as caught:
        client_of(transport).runs.wait("r-7f3k2m9qwa", raise_on_failure=True)
    assert (caught.value.exit_code, caught.value.first_error) == (3, "boom")
    assert caught.value.rank is None


def test_a_failure_names_the_process() -> None:
    replicas = [{"index": 0, "exit_code": 143}, {"index": 1, "exit_code": 0}, {"index": 2, "exit_code": 3}]
    attempts = [{"number": 1, "replicas": [{"index": 5, "exit_code": 3}]}, {"number": 2, "replicas": replicas}]
    assert RunFailed(read_run({"id": "r-1", "exit_code": 3, "attempts": attempts})).rank == 2
    assert RunFailed(read_run({"id": "r-1", "exit_code": 9, "attempts": attempts})).rank == 0


def test_params_are_parameters_and_not_both() -> None:
    transport = FakeTransport(ok(RUN))
    client_of(transport).runs.submit("train.py", params={"lr": 0.1})
    assert transport.asked[0].json["spec"]["parameters"] == {"lr": 0.1}
    with pytest.raises(InvalidInput):
        client_of(FakeTransport()).runs.submit("train.py", params={}, parameters={})


def test_the_plan_of_a_run_says_how_its_start_stands() -> None:
    def plan(state: str, code: str | None) -> str:
        return read_run({"id": "r-1", "state": state, "reason": {"code": code} if code else None}).plan.start

    assert plan("queued", None) == plan("queued", "JUST_SUBMITTED") == "unknown"
    assert (plan("queued", "CPU_BUSY"), plan("running", None)) == ("later", "now")


def test_the_text_of_an_error_names_the_fields() -> None:
    errors = [{"pointer": f"/spec/f{number}", "message": "is wrong"} for number in range(5)]
    assert str(BerthError("Not valid.", code="INVALID", errors=errors)) == (
        "Not valid. (INVALID): /spec/f0 is wrong; /spec/f1 is wrong; /spec/f2 is wrong; and 2 more"
    )
    assert str(BerthError("Gone.", code="NOT_FOUND")) == "Gone. (NOT_FOUND)"


def test_waiting_no_longer_than_asked() -> None:
    with pytest.raises(WaitTimeout) as caught:
        client_of(FakeTransport(answer=lambda _asked: ok(RUN))).runs.wait("r-7f3k2m9qwa", timeout=0)
    assert caught.value.run.state == "running"


def test_results_are_lenient() -> None:
    run = read_run(
        {"id": "r-1", "new_field": 1, "reason": {"code": "CPU_BUSY", "text": "waits", "later": 1}, "tags": None}
    )
    assert (run.why, run.tags, run.raw["new_field"]) == ("waits", (), 1)
    created = read_run({"created_at": "2026-11-22T10:00:00Z"}).created_at
    assert created is not None
    assert created.utcoffset() is not None


def test_metrics_in_short() -> None:
    columns = {
        "name": "loss",
        "is_exact": False,
        "points": 90,
        "step": [89],
        "at_ms": [5],
        "last": ["nan"],
        "min": [0.5],
        "max": ["inf"],
        "better": "lower",
    }
    transport = FakeTransport(ok(RUN), ok({"series": [columns]}))
    metric = client_of(transport).runs.get("r-7f3k2m9qwa").metrics["loss"]
    assert math.isnan(metric.last)
    assert (metric.min, metric.max, metric.step) == (0.5, math.inf, 89)
    assert "buckets=1" in transport.asked[1].target
    assert (metric.better, metric.best) == ("lower", 0.5)
    assert replace(metric, better="higher").best == math.inf
    assert math.isnan(replace(metric, better="").best)


def test_an_artifact_that_arrives_damaged_is_refused() -> None:
    files = listed("model.pt", sha256=sha256(b"abc").hexdigest())
    answers = [Response(200, {"etag": f'"{sha256(b"abc").hexdigest()}"'}, content) for content in (b"abc", b"abd")]
    artifacts = client_of(FakeTransport(ok(RUN), files, *answers)).runs.get("r-7f3k2m9qwa").artifacts
    assert artifacts["model.pt"].read_text() == "abc"
    with pytest.raises(Unreachable, match="damaged"):
        artifacts["model.pt"].read_bytes()
    with pytest.raises(RuntimeError, match="client"):
        Artifact("model.pt").read_bytes()


def listed(*paths: str, sha256: str = "") -> Response:
    return ok({"items": [{"path": path, "bytes": 3, "sha256": sha256} for path in paths], "next": None})


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "a\x00b", ""])
def test_an_output_cannot_be_written_outside_of_the_folder(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "to"
    with pytest.raises(BerthError) as caught:
        client_of(FakeTransport(listed(path), FakeStream([b"abc"]))).runs.download("r-7f3k2m9qwa", to=folder)
    assert caught.value.code == "UNSAFE_PATH"
    assert not list(tmp_path.rglob("evil"))


def test_an_output_does_not_follow_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "to" / "link").symlink_to(tmp_path / "out")
    with pytest.raises(BerthError):
        client_of(FakeTransport(listed("link/file"))).runs.download("r-7f3k2m9qwa", to=tmp_path / "to")
    assert not list((tmp_path / "out").iterdir())


def test_a_damaged_output_leaves_nothing(tmp_path: Path) -> None:
    transport = FakeTransport(listed("model", sha256="0" * 64), FakeStream([b"abc"]))
    with pytest.raises(Unreachable, match="damaged"):
        client_of(transport).runs.download("r-7f3k2m9qwa", to=tmp_path / "to")
    assert not list((tmp_path / "to").iterdir())


@pytest.mark.parametrize("wrong", [5, b"zh", ["zh"], "z\nh", "中文"])
def test_what_is_no_language_is_refused_in_words(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="is no language"):
        berth.Client("http://localhost:9", "t", "p", language=wrong)


def test_a_name_that_is_not_there_comes_with_those_that_are() -> None:
    def said(names: list[str], name: str) -> str:
        with pytest.raises(KeyError) as refused:
            Named("r-1 has no metric", dict.fromkeys(names, 1))[name]
        return str(refused.value)

    assert said([], "x") == "r-1 has no metric 'x': there are none"
    assert said(["loss"], "acc") == "r-1 has no metric 'acc': there is 'loss'"
    assert said(["loss", "lr"], "accuracy") == "r-1 has no metric 'accuracy': there are 'loss', 'lr'"
    assert said(["val_loss", "lr"], "val-loss") == "r-1 has no metric 'val-loss': did you mean 'val_loss'?"
    assert said(["plots/a.png", "x"], "plots") == "r-1 has no metric 'plots': did you mean 'plots/a.png'?"
    assert said([f"{n}{n}" for n in range(9)], "m").endswith("'44' and 4 more")
    held = Named("r-1 has no metric", {"loss": 1})
    assert (held.get("x"), held, "x" in held, held["loss"]) == (None, {"loss": 1}, False, 1)


def test_the_metrics_of_a_run_say_which_there_are() -> None:
    series = {"name": "loss", "points": 1, "step": [1], "at_ms": [1], "last": [0.5]}
    run = client_of(FakeTransport(ok(RUN), ok({"series": [series]}))).runs.get("r-7f3k2m9qwa")
    with pytest.raises(KeyError, match="r-7f3k2m9qwa has no metric 'nope': there is 'loss'"):
        run.metrics["nope"]

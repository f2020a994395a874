"""What a Job and its pod are read as."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from app.clusters import gangs
from app.clusters.base import ClusterUnavailable
from app.clusters.job_status import End, end_of, mask, read_status, why_no_pod
from app.clusters.pod_events import PodEvents, is_stuck
from app.domain.states import Cause
from app.workloads.gangs import INDEX
from app.workloads.pods import END, LIMITS

NOW = 1795390000.0
BEGUN, FINISHED = "2026-11-22T20:00:00Z", "2026-11-22T20:00:30Z"


def job(end: End | None = None, *, conditions: tuple[str, ...] = (), at: str = BEGUN, **status: Any) -> dict[str, Any]:
    limits = json.dumps({"timeout": 60, "grace": 5, "secrets": 1})
    annotations = {LIMITS: limits} | ({END: end.text()} if end else {})
    found = [{"type": one, "status": "True", "lastTransitionTime": at} for one in conditions]
    return {"metadata": {"annotations": annotations}, "spec": {}, "status": {"conditions": found, **status}}


def pod(phase: str, state: dict[str, Any] | None = None, created: str = BEGUN, **metadata: Any) -> dict[str, Any]:
    containers = [{"name": "main", "state": state}] if state else []
    return {
        "metadata": {"creationTimestamp": created, **metadata},
        "spec": {"nodeName": "node1"},
        "status": {"phase": phase, "containerStatuses": containers},
    }


def terminated(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    times = {"startedAt": BEGUN, "finishedAt": FINISHED}
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, **times}}


RUNNING = {"running": {"startedAt": BEGUN}}
STOP = End(Cause.STOPPED, NOW, 5)


def read(job: dict[str, Any], *pods: dict[str, Any], now: float = NOW) -> tuple[Any, ...]:
    status = read_status("r-1", 1, job, pods, now)
    (replica,) = status.replicas
    return status.gone, replica.phase, replica.exit_code, replica.cause


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ((job(),), (False, "starting", None, None)),
        ((job(), pod("Pending")), (False, "starting", None, None)),
        ((job(), pod("Running", RUNNING)), (False, "running", None, None)),
        # The program has ended and the keeper still sends.
        ((job(), pod("Running", terminated(3))), (False, "running", None, None)),
        ((job(), pod("Succeeded", terminated(0, reason="Completed"))), (True, "ended", 0, None)),
        ((job(), pod("Failed", terminated(3))), (True, "ended", 3, "failed")),
        ((job(), pod("Failed", terminated(137, reason="OOMKilled"))), (True, "ended", 137, "oom_killed")),
        ((job(STOP), pod("Failed", terminated(143))), (True, "ended", 143, "stopped")),
        ((job(STOP), pod("Succeeded", terminated(0))), (True, "ended", 0, "stopped")),
        ((job(End(Cause.TIMED_OUT, NOW)), pod("Failed", terminated(137))), (True, "ended", 137, "timed_out")),
        # Stopped before there was a pod: gone when the Job controller has said that it makes none.
        ((job(STOP),), (False, "starting", None, None)),
        ((job(STOP, conditions=("Suspended",)),), (True, "ended", None, "stopped")),
        ((job(STOP, conditions=("Suspended",), active=1),), (False, "starting", None, None)),
        ((job(STOP, conditions=("Suspended",), terminating=1),), (False, "starting", None, None)),
        # Somebody else's suspension is no end.
        ((job(conditions=("Suspended",)),), (False, "starting", None, None)),
        # The pod is gone behind our back; that is believed when it cannot be a matter of which watch was quicker.
        ((job(conditions=("Failed",)),), (True, "lost", None, "lost")),
        # Of several pods the newest counts, and all must have ended.
        (
            (job(), pod("Failed", terminated(1)), pod("Running", RUNNING, created=FINISHED)),
            (False, "running", None, None),
        ),
    ],
)
def test_status(seen: tuple[dict[str, Any], ...], expected: tuple[Any, ...]) -> None:
    assert read(*seen) == expected


GANG_END = End(Cause.FAILED, 1795377631.0, 5, "EXIT_CODE", {"exit_code": 3}, 1)
LATER = "2026-11-22T20:01:00Z"


def gang_job(end: End | None = None, **status: Any) -> dict[str, Any]:
    found = job(end, **status)
    found["spec"]["completions"] = 2
    return found


def one(index: int, phase: str, state: dict[str, Any] | None = None, noted: float | None = None, **more: Any) -> Any:
    found = pod(phase, state, annotations={INDEX: str(index)}, **more)
    if noted is not None:
        message = json.dumps({"program_ended_at": noted})
        found["status"]["initContainerStatuses"] = [{"name": "keeper", "state": {"terminated": {"message": message}}}]
    return found


DELETED: dict[str, Any] = {"deletionTimestamp": LATER, "deletionGracePeriodSeconds": 5}  # asked for at 20:00:55
KILLED = {"terminated": {"exitCode": 137, "reason": "Error", "startedAt": BEGUN, "finishedAt": LATER}}
OK = terminated(0, reason="Completed")
ENDED_AT = 1795377630.0


@pytest.mark.parametrize(
    ("seen", "gone", "expected"),
    [
        ((gang_job(),), False, ["starting", "starting"]),
        ((gang_job(), one(0, "Running", RUNNING)), False, ["running", "starting"]),
        ((gang_job(), one(1, "Running", RUNNING), one(0, "Pending")), False, ["starting", "running"]),
        # One that is done waits for the other.
        ((gang_job(), one(0, "Succeeded", OK), one(1, "Running", RUNNING)), False, ["ended 0", "running"]),
        ((gang_job(), one(0, "Succeeded", OK), one(1, "Succeeded", OK)), True, ["ended 0", "ended 0"]),
        (
            (gang_job(), one(0, "Running", RUNNING), one(1, "Failed", terminated(3))),
            False,
            ["running", "ended 3 failed"],
        ),
        # Berth has ended the other one.
        (
            (gang_job(GANG_END), one(0, "Failed", KILLED, **DELETED), one(1, "Failed", terminated(3))),
            True,
            ["ended 137 stopped", "ended 3 failed"],
        ),
        # Berth was away, and the Job controller did.
        (
            (gang_job(), one(0, "Failed", KILLED, **DELETED), one(1, "Failed", terminated(3))),
            True,
            ["ended 137 stopped", "ended 3 failed"],
        ),
        (
            (gang_job(conditions=("Failed",)), one(1, "Failed", terminated(3))),
            True,
            ["ended stopped", "ended 3 failed"],
        ),
        # The other one had failed by itself, too.
        (
            (gang_job(GANG_END), one(0, "Failed", terminated(1), **DELETED), one(1, "Failed", terminated(3))),
            True,
            ["ended 1 failed", "ended 3 failed"],
        ),
        # What failed is not there any more, but Berth has written it down.
        (
            (gang_job(GANG_END, conditions=("Failed",)), one(0, "Failed", KILLED, **DELETED)),
            True,
            ["ended 137 stopped", "ended failed"],
        ),
        # Somebody deleted a pod, and Berth or the Job controller the other one.
        (
            (
                gang_job(End(Cause.LOST, 1795377670.0, 5, "POD_DELETED", {}, 1)),
                one(0, "Failed", KILLED, deletionTimestamp="2026-11-22T20:01:16Z", deletionGracePeriodSeconds=5),
                one(1, "Failed", KILLED, **DELETED),
            ),
            True,
            ["ended 137 failed", "lost 137 lost"],
        ),
        # Given up, as one of them has no image.
        (
            (
                gang_job(
                    End(Cause.START_FAILED, 1795377655.0, 5, "IMAGE_NOT_FOUND", {"image": "x"}, 1),
                    conditions=("Suspended",),
                ),
                one(0, "Failed", KILLED, **DELETED),
            ),
            True,
            ["ended 137 stopped", "ended start_failed"],
        ),
        # Stopped: all of them are, but for what was done before.
        (
            (
                gang_job(End(Cause.STOPPED, 1795377655.0, 5)),
                one(0, "Succeeded", OK),
                one(1, "Failed", KILLED, **DELETED),
            ),
            True,
            ["ended 0", "ended 137 stopped"],
        ),
        ((gang_job(STOP, conditions=("Suspended",)),), True, ["ended stopped", "ended stopped"]),
        ((gang_job(STOP, conditions=("Suspended",), terminating=1), one(0, "Failed", KILLED)), False, None),
    ],
)
def test_status_of_several(seen: tuple[dict[str, Any], ...], gone: bool, expected: list[str] | None) -> None:
    status = read_status("r-1", 1, seen[0], seen[1:], NOW)
    parts = [(each.phase, each.exit_code, each.cause) for each in status.replicas]
    found = [" ".join(str(part) for part in each if part is not None) for each in parts]
    assert status.gone is gone
    assert expected is None or found == expected
    assert [each.index for each in status.replicas] == [0, 1]


def test_who_failed_first_of_several() -> None:
    """By the keeper's note within one second; what was taken by the cluster comes before what failed of it."""
    pods = {
        0: one(0, "Failed", terminated(1), noted=ENDED_AT + 0.7),
        1: one(1, "Failed", terminated(3), noted=ENDED_AT + 0.2),
    }
    index, finding = gangs.first_failure(pods) or (None, None)
    assert (index, finding and finding.args) == (1, {"exit_code": 3})
    status = read_status("r-1", 1, gang_job(), list(pods.values()), NOW)
    assert [each.finished_at for each in status.replicas] == [ENDED_AT + 0.7, ENDED_AT + 0.2]
    # A note that cannot be of this end is left alone.
    odd = read_status("r-1", 1, gang_job(), [one(0, "Failed", terminated(1), noted=7.0), pods[1]], NOW)
    assert odd.replicas[0].finished_at == ENDED_AT
    evicted = one(1, "Failed", KILLED)
    evicted["status"]["conditions"] = [
        {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    ]
    index, finding = gangs.first_failure({0: pods[0], 1: evicted}) or (None, None)
    assert (index, finding and finding.code) == (1, "EVICTED")
    assert gangs.first_failure({0: one(0, "Succeeded", OK), 1: one(1, "Running", RUNNING)}) is None


def test_absence_is_believed_only_after_a_while() -> None:
    found = job(conditions=("Failed",), at="2026-11-22T20:00:00Z")
    at = 1795377600.0
    assert read(found, now=at + 1)[0] is False
    assert read(found, now=at + 6)[0] is True


def test_words() -> None:
    failed = read_status("r-1", 1, job(), [pod("Failed", terminated(3, "a\nValueError: no\nb"))], NOW).replicas[0]
    assert (failed.message, failed.first_error) == ("It ended with exit code 3.", "ValueError: no")
    assert failed.finding == {"code": "EXIT_CODE", "exit_code": 3}
    killed = read_status("r-1", 1, job(STOP), [pod("Failed", terminated(137))], NOW).replicas[0]
    assert killed.message == "It was stopped. It did not end within its grace and was killed."
    late = pod("Failed", terminated(143))
    late["status"]["reason"] = "DeadlineExceeded"
    replica = read_status("r-1", 1, job(), [late], NOW).replicas[0]
    assert (replica.cause, replica.message) == ("timed_out", "It ran longer than its limit of 60 s.")


def test_masking_leaves_what_berth_says() -> None:
    found = read_status("r-1", 1, job(), [pod("Failed", terminated(3, "ValueError: s3cret"))], NOW)
    (replica,) = mask(found, lambda text: text.replace("s3cret", "***").replace("EXIT", "?")).replicas
    assert (replica.first_error, (replica.finding or {})["code"]) == ("ValueError: ***", "EXIT_CODE")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cause": 1, "more": 2}', "null", "{"])
def test_what_others_wrote_there_is_no_end(text: str) -> None:
    assert end_of({"metadata": {"annotations": {END: text}}}) is None


def event(reason: str, message: str = "", uid: str = "u", at: str = BEGUN) -> dict[str, Any]:
    return {"reason": reason, "message": message, "involvedObject": {"uid": uid}, "lastTimestamp": at, "metadata": {}}


def test_why_a_job_has_no_pod() -> None:
    quota = (
        'Error creating: pods "r-1-1-x" is forbidden: exceeded quota: q, requested: cpu=2, used: cpu=1, limited: cpu=2'
    )
    told = {"": [event("Other"), event("FailedCreate", quota)]}
    (replica,) = read_status("r-1", 1, job(), (), NOW, told).replicas
    assert (replica.phase, (replica.finding or {})["code"]) == ("starting", "NAMESPACE_QUOTA")
    assert "asked cpu=2, used cpu=1 of cpu=2" in replica.message
    for one in (job(STOP), {**job(), "spec": {"suspend": True}}, job(active=1), job(terminating=1)):
        assert why_no_pod(one, [event("FailedCreate", quota)]) is None
    assert why_no_pod(job(), [event("Other")]) is None


def test_the_name_of_a_pod_that_runs() -> None:
    found = pod("Running", RUNNING, name="r-1-1-x5k2p")
    assert [one.pod for one in read_status("r-1", 1, job(), [found], NOW).replicas] == ["r-1-1-x5k2p"]


def test_a_silent_node_is_told_of_a_pod_that_ran() -> None:
    found = pod("Running", RUNNING)
    found["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}]
    status = read_status("r-1", 1, job(), [found], NOW)
    (replica,) = status.replicas
    assert (status.gone, replica.phase, replica.finding) == (False, "running", {"code": "NODE_SILENT", "node": "node1"})


@pytest.mark.parametrize(
    ("found_job", "found_pod", "expected"),
    [
        (job(), None, True),
        (job(conditions=("Failed",)), None, False),
        ({**job(), "spec": {"suspend": True}}, None, False),
        (job(), pod("Pending"), True),
        (job(), pod("Pending", {"waiting": {"reason": "ImagePullBackOff"}}), True),
        (job(), pod("Running", RUNNING), False),
        (job(), pod("Failed", terminated(1)), False),
        (job(), pod("Pending") | {"spec": {}}, False),  # the scheduler says why itself
    ],
)
def test_where_only_events_can_tell(
    found_job: dict[str, Any], found_pod: dict[str, Any] | None, expected: bool
) -> None:
    found_job = {**found_job, "metadata": {**found_job["metadata"], "creationTimestamp": BEGUN}}
    begun = datetime.fromisoformat(BEGUN).timestamp()
    found = [] if found_pod is None else [found_pod]
    assert is_stuck(found_job, found, begun + 6) is expected
    assert not is_stuck(found_job, found, begun + 4)


def test_events_are_read_once_for_a_namespace_and_not_too_often() -> None:
    calls, now = [], [0.0]

    class Server:
        name = "test"

        def list_pages(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
            calls.append((path, query))
            if "away" in path:
                raise ClusterUnavailable("away")
            yield {"items": [event("Old", at="2026-11-22T20:00:00Z"), event("New", at="2026-11-22T20:01:00Z")]}

    events = PodEvents(Server(), lambda: now[0])  # type: ignore[arg-type]
    assert [one["reason"] for one in events.of({"a"})["u"]] == ["New", "Old"]
    assert events.of({"a", "away"})["u"]
    assert calls == [
        ("/api/v1/namespaces/a/events", {"fieldSelector": "type=Warning"}),
        ("/api/v1/namespaces/away/events", {"fieldSelector": "type=Warning"}),
    ]
    now[0] = 11.0
    events.of({"a"})
    assert len(calls) == 3
    assert events.of(set()) == {}


def test_the_image_of_a_pod() -> None:
    digest = f"sha256:{'a' * 64}"
    found = pod("Running", RUNNING)
    found["spec"]["containers"] = [{"name": "main", "image": "r.test/train:1"}]
    assert read_status("r-1", 1, job(), [found], NOW).image is None
    found["status"]["containerStatuses"][0]["imageID"] = f"r.test/train@{digest}"
    assert read_status("r-1", 1, job(), [found], NOW).image == f"r.test/train@{digest}"

"""A run's whole life through the real tasks and a real Postgres, with a cluster in memory."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app import db
from app.clusters.base import ClusterRejected, ClusterUnavailable, ObjectStatus, ReplicaStatus, SecretValues
from app.domain.access import Actor, Role
from app.services import convergence, leases
from app.services.runs import stop_run, submit_run
from app.workers import admission, housekeeping, logs, runs, watch
from app.workloads.kinds.job import JobSpec
from app.workloads.plans import RunPlan
from tests import factories
from tests.fakes import FakeCluster


class World:
    """The controller's loops by hand, one round at a time."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.terms = {}
        for name in ("admission", "watch", "housekeeping"):
            with db.unit_of_work() as session:
                term = leases.acquire(session, name, "test", 600)
                assert term is not None
                self.terms[name] = term
        self.watcher = watch.Watcher(cluster)
        self.watcher.work(self.terms["watch"])

    def turn(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            while admission.work(self.terms["admission"]):
                pass
            self.converge_due()
            self.watcher.work(self.terms["watch"])
            self.converge_due()
            logs.ship_logs(self.cluster)
            self.converge_due()

    def converge_due(self) -> None:
        with db.read_session() as session:
            due = session.scalars(text("select id from run where due_at <= now()")).all()
        for run_id in due:
            runs.converge_run(run_id)

    def run(self, public_id: str) -> dict[str, Any]:
        with db.read_session() as session:
            row = session.execute(text("select * from run where public_id = :id"), {"id": public_id}).one()
        return dict(row._mapping)

    def column(self, query: str, **values: object) -> list[Any]:
        with db.read_session() as session:
            return list(session.scalars(text(query), values).all())


@pytest.fixture
def world(clean_database: Engine, monkeypatch: pytest.MonkeyPatch) -> World:
    cluster = FakeCluster()
    monkeypatch.setattr(runs, "cluster_of", lambda _: cluster)
    return World(cluster)


@pytest.fixture
def actor(world: World) -> Actor:
    """An editor of the one project."""
    with db.unit_of_work() as session:
        project = factories.make_project(session)
        user = factories.make_member(session, project, Role.EDITOR)
        return Actor(user.id, user.name, roles={project.id: Role.EDITOR})


@pytest.fixture
def submit(actor: Actor) -> Callable[..., str]:
    def make(**spec: object) -> str:
        asked = JobSpec.model_validate({"name": "test", "command": ["true"], **spec})
        with db.unit_of_work() as session:
            return submit_run(session, actor, next(iter(actor.roles)), asked, {}).public_id

    return make


@pytest.fixture
def stop(actor: Actor) -> Callable[[str], None]:
    def ask(public_id: str) -> None:
        with db.unit_of_work() as session:
            stop_run(session, actor, public_id)

    return ask


def test_a_run_goes_from_queued_to_succeeded_and_leaves_nothing(world: World, submit: Callable[..., str]) -> None:
    public_id = submit()
    world.turn()
    assert world.run(public_id)["state"] == "running"
    world.cluster.end(public_id, 1)
    world.turn(2)
    run = world.run(public_id)
    assert (run["state"], run["exit_code"], run["due_at"], run["lease_token"]) == ("succeeded", 0, None, None)
    assert world.cluster.objects == {}
    assert world.column("select count(*) from reservation where released_at is null") == [0]
    assert world.column("select count(*) from observation") == [0]
    codes = world.column("select code from run_event order by id")
    assert codes == ["submitted", "admitted", "started", "ended"]


def test_every_move_has_exactly_one_event_and_one_audit_entry(world: World, submit: Callable[..., str]) -> None:
    public_id = submit(retry={"failed": 1})
    for attempt in (1, 2):
        world.turn()
        world.cluster.end(public_id, attempt, cause="failed", exit_code=3)
        world.turn(2)
    moves = world.column("select new_state from run_event where new_state is not null order by id")
    assert moves == ["queued", "starting", "running", "queued", "starting", "running", "failed"]
    audited = world.column("select after ->> 'state' from audit_entry where object_type = 'run' order by id")
    assert audited == moves


def test_a_failed_run_names_its_cause(world: World, submit: Callable[..., str]) -> None:
    public_id = submit()
    world.turn()
    world.cluster.end(public_id, 1, cause="failed", exit_code=3)
    world.turn(2)
    run = world.run(public_id)
    assert (run["state"], run["reason_code"], run["reason"], run["first_error"], run["exit_code"]) == (
        "failed",
        "EXIT_CODE",
        {"exit_code": 3},
        "boom",
        3,
    )


def test_what_holds_up_a_start_and_what_ended_it_are_told_by_code(world: World, submit: Callable[..., str]) -> None:
    def see(phase: str, gone: bool = False, **more: Any) -> tuple[str, str | None, dict[str, Any] | None]:
        replica = ReplicaStatus(0, phase, **more)
        world.cluster.objects[public_id, 1] = ObjectStatus(public_id, 1, [replica], gone=gone)
        world.turn(2)
        run = world.run(public_id)
        return run["state"], run["reason_code"], run["reason"]

    public_id = submit(retry={"lost": 0})
    slots = {"affected": 2, "nodes": 3, "message": "2 Insufficient cpu"}
    finding = {"code": "NODES_SHORT_OF_CPU", **slots}
    assert see("starting", finding=finding) == ("starting", "NODES_SHORT_OF_CPU", slots)
    version = world.run(public_id)["version"]
    assert see("starting", finding=finding)[0] == "starting"
    assert world.run(public_id)["version"] == version, "what stands still costs nothing"
    assert see("starting") == ("starting", None, {})
    assert see("running") == ("running", None, {})
    lost = {"finding": {"code": "EVICTED", "message": "low on memory"}, "cause": "lost"}
    assert see("lost", gone=True, **lost) == ("failed", "EVICTED", {"message": "low on memory"})
    assert world.column("select reason_code from attempt") == ["EVICTED"]


def test_several_replicas_run_when_all_do_and_fail_by_the_one_that_failed(
    world: World, submit: Callable[..., str]
) -> None:
    def see(*replicas: ReplicaStatus, gone: bool = False) -> tuple[str, str | None, dict[str, Any] | None]:
        world.cluster.objects[public_id, 1] = ObjectStatus(public_id, 1, list(replicas), gone=gone)
        world.turn(2)
        run = world.run(public_id)
        return run["state"], run["reason_code"], run["reason"]

    public_id = submit()  # what its cluster tells of is what counts
    runs_on, slots = ReplicaStatus(0, "running", started_at=100.0), {"affected": 2, "nodes": 3, "message": "m"}
    waiting = ReplicaStatus(1, "starting", finding={"code": "NODES_SHORT_OF_CPU", **slots})
    told = {**slots, "replica": 1, "replicas": 3}
    assert see(runs_on, waiting, ReplicaStatus(2, "starting")) == ("starting", "NODES_SHORT_OF_CPU", told)
    assert see(*(ReplicaStatus(index, "running") for index in range(3)))[:2] == ("running", None)
    # The first error counts, though its program took longer to end; the last one was ended for its sake.
    first: dict[str, Any] = {"cause": "failed", "first_error": "no data", "failed_at": 200.5, "finished_at": 210.0}
    assert see(
        ReplicaStatus(0, "ended", 1, "failed", first_error="peer is gone", failed_at=201.0, finished_at=202.0),
        ReplicaStatus(1, "ended", 3, finding={"code": "EXIT_CODE", "exit_code": 3}, **first),
        ReplicaStatus(2, "ended", 137, "stopped", finished_at=190.0),
        gone=True,
    ) == ("failed", "EXIT_CODE", {"exit_code": 3, "replica": 1, "replicas": 3})
    run = world.run(public_id)
    assert (run["exit_code"], run["first_error"], run["finished_at"].timestamp()) == (3, "no data", 210.0)
    assert world.column("select state from replica order by index") == ["failed", "failed", "stopped"]


@pytest.mark.parametrize(("cause", "retry", "attempts"), [("lost", {"lost": 2}, 3), ("oom_killed", {}, 1)])
def test_retries_follow_the_policy_of_the_cause(
    world: World, submit: Callable[..., str], cause: str, retry: dict[str, int], attempts: int
) -> None:
    public_id = submit(retry=retry)
    for attempt in range(1, attempts + 1):
        world.turn()
        assert world.run(public_id)["attempt"] == attempt
        world.cluster.end(public_id, attempt, cause=cause, exit_code=None)
        world.turn(2)
    assert world.run(public_id)["state"] == "failed"
    assert world.column("select number from attempt order by number") == list(range(1, attempts + 1))


def test_a_queued_run_is_stopped_without_the_cluster(
    world: World, submit: Callable[..., str], stop: Callable[[str], None]
) -> None:
    public_id = submit()
    stop(public_id)
    world.turn()
    assert world.run(public_id)["state"] == "stopped"
    assert world.cluster.calls["start"] == 0


def test_a_running_run_is_stopped_and_says_by_whom(
    world: World, submit: Callable[..., str], stop: Callable[[str], None]
) -> None:
    public_id = submit()
    world.turn()
    stop(public_id)
    world.turn(2)
    run = world.run(public_id)
    assert (run["state"], run["reason_code"]) == ("stopped", "STOPPED")
    assert run["reason"]["by"]


def test_what_the_cluster_refuses_fails_with_its_message(
    world: World, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(plan: RunPlan, secrets: SecretValues) -> dict[str, Any]:
        raise ClusterRejected("no such interpreter")

    monkeypatch.setattr(world.cluster, "start", refuse)
    public_id = submit()
    world.turn(2)
    run = world.run(public_id)
    assert (run["state"], run["reason_code"], run["reason"]) == (
        "failed",
        "START_FAILED",
        {"message": "no such interpreter"},
    )


def test_an_error_of_ours_is_tried_again_later_and_later(
    world: World, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(plan: RunPlan) -> dict[str, Any]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(world.cluster, "start", fail)
    public_id = submit()
    world.turn()
    run = world.run(public_id)
    assert (run["state"], run["failures"]) == ("starting", 1)
    assert run["due_at"] is not None


def test_the_head_of_the_line_says_what_is_missing_and_the_rest_that_it_waits(
    world: World, submit: Callable[..., str]
) -> None:
    first, second, third = submit(cpu="3"), submit(cpu="2"), submit(cpu="1")
    world.turn()
    assert world.run(first)["state"] == "running"
    head, behind = world.run(second), world.run(third)
    assert head["reason_code"] == "CPU_BUSY"
    assert head["reason"] == {"asked": "2", "free": "1", "capacity": "4", "pool": "local", "holders": first}
    assert behind["reason_code"] == "BEHIND_IN_LINE"
    world.cluster.end(first, 1)
    world.turn(2)
    assert {world.run(public_id)["state"] for public_id in (second, third)} == {"running"}


def test_many_workers_at_once_start_each_run_once(world: World, submit: Callable[..., str]) -> None:
    public_ids = [submit(cpu="100m", memory="16Mi") for _ in range(20)]
    while admission.work(world.terms["admission"]):
        pass
    ids = world.column("select id from run")

    def work() -> None:
        for run_id in ids:
            runs.converge_run(run_id)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.cluster.calls["start"] == len(public_ids)


def test_a_zombie_with_a_lost_lease_changes_nothing(world: World, submit: Callable[..., str]) -> None:
    public_id = submit()
    admission.work(world.terms["admission"])
    run_id: uuid.UUID = world.run(public_id)["id"]
    with db.unit_of_work() as session:
        held = convergence.claim(session, run_id)
        assert held is not None
    with db.unit_of_work() as session:
        session.execute(text("update run set lease_until = now() - interval '1 s'"))
    runs.converge_run(run_id)
    before = world.run(public_id)
    with pytest.raises(convergence.LeaseLostError), db.unit_of_work() as session:
        convergence.record_started(session, held, 1, {"name": "stale"})
    assert world.run(public_id) == before


def test_a_leader_that_lost_its_term_cannot_admit(world: World, submit: Callable[..., str]) -> None:
    public_id = submit()
    with db.unit_of_work() as session:
        session.execute(text("update lease set until = now() - interval '1 s'"))
        assert leases.acquire(session, "admission", "another", 60) is not None
    with pytest.raises(leases.FenceLost):
        admission.work(world.terms["admission"])
    assert world.run(public_id)["state"] == "queued"


def test_what_vanished_is_lost_only_after_two_looks(world: World, submit: Callable[..., str]) -> None:
    public_id = submit(retry={"lost": 0})
    world.turn()
    world.cluster.objects.clear()
    world.watcher._check_absent(world.terms["watch"], [])
    world.converge_due()
    assert world.run(public_id)["state"] == "running"
    with db.unit_of_work() as session:
        session.execute(text("update observation set missing_since = now() - interval '31 s'"))
    world.watcher._check_absent(world.terms["watch"], [])
    world.turn(2)
    run = world.run(public_id)
    assert (run["state"], run["reason_code"]) == ("failed", "LOST")


def test_what_a_silent_watch_does_not_tell_of_is_not_missing(
    world: World, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be started again beside itself."""
    submit()
    world.turn()
    told: list[ObjectStatus] = []  # by a watch that has been silent since before the start

    def look() -> None:
        world.watcher._check_absent(world.terms["watch"], told)
        with db.read_session() as session:
            assert session.execute(text("select missing_since from observation")).scalars().all() == [None]

    look()

    def refuse() -> None:
        raise ClusterUnavailable("no list now")

    monkeypatch.setattr(world.cluster, "refresh", refuse)
    world.cluster.objects.clear()
    look()


def test_a_start_after_the_end_is_ended_again(world: World, submit: Callable[..., str]) -> None:
    public_id = submit()
    world.turn()
    plan = world.cluster.plans[public_id, 1]
    world.cluster.end(public_id, 1)
    world.turn(2)
    world.cluster.start(plan)
    world.watcher._check_absent(world.terms["watch"], world.cluster.statuses())
    world.watcher._check_absent(world.terms["watch"], world.cluster.statuses())
    assert world.cluster.objects == {}


def test_housekeeping_runs(world: World) -> None:
    assert housekeeping.tidy(world.terms["housekeeping"]) is False

"""Retention: the query says what the pure rule says, and what is freed is what was announced, whatever happens."""

import datetime
import hashlib
import threading
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text, update

from app import db
from app.domain.access import Actor, Role
from app.domain.retention import Candidate, Rules, is_kept
from app.errors import Invalid
from app.models import Output, Project, RetentionPlan, Run, User
from app.repositories import outputs, retention
from app.services import retention as service
from app.settings import get_settings
from app.stores import objects
from tests import factories

NOW = datetime.datetime.now(datetime.UTC)
TAGS = ["best", "prod", "old"]
EXPERIMENTS = ["digits", "resnet", "手写"]


class House:
    """A project with its owner, and runs that are made as asked."""

    def __init__(self) -> None:
        with db.unit_of_work() as session:
            self.project: Project = factories.make_project(session)
            self.user: User = factories.make_member(session, self.project, Role.OWNER)
        self.actor = Actor(self.user.id, self.user.name)

    def run(
        self,
        days: float,
        sizes: list[int],
        *,
        tags: tuple[str, ...] = (),
        state: str = "succeeded",
        experiment: str | None = None,
    ) -> Run:
        finished = NOW - datetime.timedelta(days=days) if state in ("succeeded", "failed", "stopped") else None
        with db.unit_of_work() as session:
            made = factories.make_run(
                session,
                self.project,
                self.user,
                state=state,
                finished_at=finished,
                tags=list(tags),
                experiment=experiment,
            )
            stored = None if finished is None else NOW
            factories.make_attempt(session, made, state=state, outputs_stored_at=stored)
            self.files(session, made, sizes)
        return made

    def files(self, session: Any, run: Run, sizes: list[int], attempt: int = 1) -> None:
        for number, size in enumerate(sizes):
            path = f"out/{attempt}-{number}"
            key = objects.output_key(self.project.id, run.id, attempt, path)
            objects.of(self.project.id).put(key, b"x" * size)
            digest = hashlib.sha256(b"x" * size).hexdigest()
            row = Output(run_id=run.id, path=path, attempt=attempt, bytes=size, sha256=digest, object_key=key)
            session.add(row)

    def set(self, rules: Rules, notice: int = 0) -> None:
        with db.unit_of_work() as session:
            service.set_rules(session, self.actor, self.project.id, rules, notice)

    def plans(self) -> list[Any]:
        with db.read_session() as session:
            return list(retention.list_plans(session, self.project.id, limit=100))

    def bytes_held(self) -> int:
        """What the store really has of the project."""
        folder = get_settings().home / "objects" / objects.project_prefix(self.project.id)
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def announce() -> None:
    with db.unit_of_work() as session:
        while service.announce_next(session) is not None:
            pass


def carry_out() -> None:
    """As the loop does, until there is nothing to do."""
    while True:
        with db.unit_of_work() as session:
            did = service.carry_out_next(session)
        more = service.free()
        if not did and not more:
            return


@pytest.fixture
def house(clean_database: Engine) -> House:
    return House()


def outputs_of(run: Run) -> list[outputs.OutputRow]:
    with db.read_session() as session:
        return outputs.list_outputs(session, run.id, limit=100)


# Each example commits rows and files; shrinking a failure would take minutes.
EXPLICIT = (Phase.reuse, Phase.generate)
RULES = st.builds(
    Rules,
    st.none() | st.integers(1, 40),
    st.none() | st.integers(1, 6),
    st.lists(st.sampled_from(TAGS), max_size=2, unique=True).map(tuple),
    st.lists(st.sampled_from(EXPERIMENTS), max_size=2, unique=True).map(tuple),
)
RUNS = st.lists(
    st.tuples(
        st.floats(0.5, 50),
        st.lists(st.integers(0, 3000), max_size=3),
        st.lists(st.sampled_from(TAGS), max_size=2, unique=True).map(tuple),
        st.sampled_from(["succeeded", "failed", "stopped", "running", "queued"]),
        st.none() | st.sampled_from(EXPERIMENTS),
    ),
    max_size=8,
)


@settings(max_examples=15, deadline=None, phases=EXPLICIT, suppress_health_check=list(HealthCheck))
@given(rules=RULES, runs=RUNS)
def test_the_query_keeps_what_the_pure_rule_keeps(clean_database: Engine, rules: Rules, runs: list[Any]) -> None:
    house = House()
    made = [house.run(days, sizes, tags=tags, state=state, experiment=one) for days, sizes, tags, state, one in runs]
    with db.read_session() as session:
        found = {row.id: row for row in retention.list_removable(session, house.project.id, rules, limit=100)}
        totals = retention.total_removable(session, house.project.id, rules, limit=100)
    expected = set()
    for place, (run, (_, sizes, tags, _, experiment)) in enumerate(zip(reversed(made), reversed(runs), strict=True), 1):
        candidate = Candidate(run.finished_at, tags, place, experiment)
        if sizes and not is_kept(rules, candidate, datetime.datetime.now(datetime.UTC)):
            expected.add(run.id)
            assert (found[run.id].files, found[run.id].bytes) == (len(sizes), sum(sizes))
    assert set(found) == expected
    assert totals == (len(found), sum(row.files for row in found.values()), sum(row.bytes for row in found.values()))


@settings(max_examples=12, deadline=None, phases=EXPLICIT, suppress_health_check=list(HealthCheck))
@given(rules=RULES, runs=RUNS, later=RUNS, tagged=st.integers(0, 7), grown=st.integers(0, 7))
def test_what_is_freed_is_what_was_announced(
    clean_database: Engine, rules: Rules, runs: list[Any], later: list[Any], tagged: int, grown: int
) -> None:
    """While new runs leave outputs, a run gets a tag that keeps it, and another gets a file that nobody announced."""
    house = House()
    made = [house.run(days, sizes, tags=tags, state=state, experiment=one) for days, sizes, tags, state, one in runs]
    house.set(rules)
    announce()
    plans = house.plans()
    with db.read_session() as session:
        named = {row.id: row for plan in plans for row in retention.list_plan_runs(session, plan.id, limit=100)}
    assert sum(plan.bytes for plan in plans) == sum(row.bytes for row in named.values())

    def meanwhile() -> None:
        for days, sizes, tags, state, one in later:
            house.run(days, sizes, tags=tags, state=state, experiment=one)

    if tagged < len(made) and rules.keep_tags:
        with db.unit_of_work() as session:
            session.execute(update(Run).where(Run.id == made[tagged].id).values(tags=list(rules.keep_tags)))
    if grown < len(made):
        with db.unit_of_work() as session:
            house.files(session, made[grown], [77], attempt=2)
    others = threading.Thread(target=meanwhile)
    before = house.bytes_held()
    others.start()
    carry_out()
    others.join()
    carry_out()
    announced = house.bytes_held()
    added = sum(sum(sizes) for _, sizes, *_ in later)
    freed = 0
    spared = {made[grown].id} if grown < len(made) else set()
    if tagged < len(made) and rules.keep_tags:
        spared.add(made[tagged].id)
    with db.read_session() as session:
        for plan in house.plans():
            assert plan.state == "done"
            rows = retention.list_plan_runs(session, plan.id, limit=100)
            # The newest runs may have moved on, never into the plan; what is spared is only what something keeps.
            assert {row.id for row in rows if row.outcome == "spared"} == spared & set(named)
            assert plan.freed_bytes == sum(row.bytes for row in rows if row.outcome == "freed")
            freed += plan.freed_bytes
        gone = {
            row.run_id: row.bytes
            for row in session.execute(
                text(
                    "select run_id, sum(bytes)::bigint as bytes from output join run r on r.id = run_id"
                    " where removed_at is not null and r.project_id = :project group by run_id"
                ),
                {"project": house.project.id},
            )
        }
        assert (
            session.scalar(text("select count(*) from output where removed_at is not null and freed_at is null")) == 0
        )
    assert gone == {run: named[run].bytes for run in set(named) - spared}
    assert before + added - announced == freed


def test_a_removed_file_stays_readable_as_such(house: House) -> None:
    old, new = house.run(40, [10, 20]), house.run(1, [5])
    house.set(Rules(30, None, ("best",)))
    announce()
    (plan,) = house.plans()
    assert (plan.state, plan.runs, plan.files, plan.bytes) == ("announced", 1, 2, 30)
    carry_out()
    (plan,) = house.plans()
    assert (plan.state, plan.freed_runs, plan.freed_files, plan.freed_bytes) == ("done", 1, 2, 30)
    for row in outputs_of(old):
        assert row.removed_at is not None
        assert row.removed_by == Rules(30, None, ("best",)).as_dict()
        assert len(row.sha256) == 64
        assert not objects.of(house.project.id).exists(row.object_key)
    assert [row.removed_at for row in outputs_of(new)] == [None]
    with db.read_session() as session:
        verbs = session.scalars(text("select verb from audit_entry order by id")).all()
        assert verbs == ["retention.set", "retention.announce", "retention.free"]
        assert session.scalar(text("select code from run_event")) == "outputs_removed"
        assert session.scalar(text("select version from run where id = :id"), {"id": old.id}) == 2


def test_nothing_goes_before_the_notice_has_passed(house: House) -> None:
    old = house.run(40, [10])
    house.set(Rules(30), notice=24)
    announce()
    carry_out()
    assert [row.removed_at for row in outputs_of(old)] == [None]
    with db.unit_of_work() as session:
        assert retention.find_due(session, old.id) is not None
        session.execute(update(RetentionPlan).values(due_at=NOW - datetime.timedelta(hours=1)))
    carry_out()
    assert outputs_of(old)[0].removed_at is not None


def test_other_rules_withdraw_what_was_announced(house: House) -> None:
    old = house.run(40, [10])
    house.set(Rules(30), notice=24)
    announce()
    house.set(Rules())
    assert [plan.state for plan in house.plans()] == ["withdrawn"]
    announce()
    carry_out()
    assert [row.removed_at for row in outputs_of(old)] == [None]
    assert len(house.plans()) == 1


def test_a_process_that_died_between_mark_and_deletion_is_made_good(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = house.run(40, [10, 20])
    house.set(Rules(30))
    announce()

    def die(_: Any, keys: Any) -> None:
        raise OSError("the store is away")

    with db.unit_of_work() as session:
        assert service.carry_out_next(session)
    with monkeypatch.context() as patch:
        patch.setattr(objects.ProjectObjects, "delete", die)
        with pytest.raises(OSError, match="away"):
            service.free()
    with db.unit_of_work() as session:
        service.carry_out_next(session)
    assert [plan.state for plan in house.plans()] == ["working"]
    carry_out()
    assert [plan.state for plan in house.plans()] == ["done"]
    assert not any(objects.of(house.project.id).exists(row.object_key) for row in outputs_of(old))


def test_two_controllers_at_once_free_once(house: House) -> None:
    for _ in range(5):
        house.run(40, [10])
    house.set(Rules(30))
    errors: list[Exception] = []

    def work() -> None:
        try:
            announce()
            carry_out()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    carry_out()
    assert errors == []
    assert [(plan.state, plan.freed_bytes) for plan in house.plans()] == [("done", 50)]


def test_other_projects_are_left_alone(house: House) -> None:
    other = House()
    theirs = other.run(40, [10])
    house.run(40, [10])
    house.set(Rules(30))
    announce()
    carry_out()
    assert [row.removed_at for row in outputs_of(theirs)] == [None]
    with db.read_session() as session:
        assert retention.find_plan(session, other.project.id, house.plans()[0].id) is None


@pytest.mark.parametrize(
    ("rules", "notice", "pointer"),
    [
        (Rules(0), 24, "/keep_days"),
        (Rules(10**9), 24, "/keep_days"),
        (Rules(None, -1), 24, "/keep_last"),
        (Rules(1), 10_000, "/notice_hours"),
        (Rules(1, None, ("",)), 24, "/keep_tags"),
        (Rules(1, None, ("a\nb",)), 24, "/keep_tags"),
        (Rules(1, None, tuple(map(str, range(51)))), 24, "/keep_tags"),
        (Rules(1, None, (), ("a\nb",)), 24, "/keep_experiments"),
        (Rules(1, None, (), tuple(map(str, range(51)))), 24, "/keep_experiments"),
    ],
)
def test_rules_that_cannot_be(house: House, rules: Rules, notice: int, pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        house.set(rules, notice)
    assert [error.pointer for error in caught.value.errors] == [pointer]
    with db.read_session() as session:
        assert retention.find_rules(session, house.project.id) is None


def test_the_same_rules_again_change_nothing(house: House) -> None:
    house.set(Rules(30), 24)
    house.set(Rules(30), 24)
    with db.read_session() as session:
        assert session.scalar(text("select count(*) from audit_entry")) == 1
        assert retention.list_removable(session, uuid.uuid4(), Rules(1), limit=5) == []

"""Admission never gives out more than there is, keeps the order, and gives every waiting run a reason."""

import string
import uuid

from hypothesis import given
from hypothesis import strategies as st

from app.domain.admission import PoolState, Waiting, behind, decide
from app.domain.quota import Resources
from app.domain.reasons import REASONS

resources = st.builds(Resources, st.integers(1, 8000), st.integers(1, 64).map(lambda n: n << 28), st.integers(0, 4))
waiting = st.builds(Waiting, st.uuids(), st.text(string.ascii_lowercase, min_size=3, max_size=8), resources)
pools = st.builds(
    PoolState,
    name=st.just("local"),
    cluster=st.just("local"),
    capacity=resources,
    held=resources,
    line=st.lists(waiting, max_size=12, unique_by=lambda run: run.id),
    holders=st.lists(st.just("r-2222222222"), max_size=5),
)


@given(pools)
def test_never_more_than_is_free(pool: PoolState) -> None:
    total = pool.held
    for run in decide(pool).admitted:
        total += run.asked
        assert total.fits(pool.capacity)


@given(pools)
def test_what_is_admitted_is_the_head_of_the_line(pool: PoolState) -> None:
    admitted = decide(pool).admitted
    assert admitted == list(pool.line[: len(admitted)])


@given(pools)
def test_every_other_run_has_a_known_reason_whose_slots_are_filled(pool: PoolState) -> None:
    decision = decide(pool)
    admitted = {run.id for run in decision.admitted}
    assert set(decision.reasons) == {run.id for run in pool.line} - admitted
    for reason in decision.reasons.values():
        sentence = REASONS[reason.code].sentence.format(**reason.args)
        assert "{" not in sentence


@given(pools)
def test_the_first_that_waits_really_does_not_fit(pool: PoolState) -> None:
    decision = decide(pool)
    if decision.reasons:
        head = pool.line[len(decision.admitted)]
        held = sum((run.asked for run in decision.admitted), pool.held)
        assert not (held + head.asked).fits(pool.capacity)


@given(pools)
def test_the_same_line_gives_the_same_decision(pool: PoolState) -> None:
    assert decide(pool) == decide(pool)


def _pool(line: list[Waiting], **values: object) -> PoolState:
    base = {"name": "local", "cluster": "local", "capacity": Resources(4000, 8 << 30), "held": Resources(3000, 1 << 30)}
    return PoolState(**{**base, "line": line, **values})  # type: ignore[arg-type]


def _run(**asked: int) -> Waiting:
    return Waiting(uuid.uuid4(), "r-2345678923", Resources(**{"cpu_millis": 1, "memory_bytes": 1, **asked}))


def test_the_arithmetic_of_the_head() -> None:
    run = _run(cpu_millis=2000)
    reason = decide(_pool([run], holders=["r-a", "r-b", "r-c", "r-d", "r-e"])).reasons[run.id]
    assert reason.code == "CPU_BUSY"
    assert reason.args == {
        "asked": "2",
        "free": "1",
        "capacity": "4",
        "pool": "local",
        "holders": "r-a, r-b, r-c + 2",
    }


def test_memory_and_gpus_have_reasons_of_their_own() -> None:
    memory, gpu = _run(memory_bytes=8 << 30), _run(gpus=1)
    assert decide(_pool([memory])).reasons[memory.id].code == "MEMORY_BUSY"
    assert decide(_pool([gpu])).reasons[gpu.id].code == "GPU_BUSY"


def test_nothing_starts_on_a_cluster_that_does_not_answer() -> None:
    run = _run()
    decision = decide(_pool([run], away_since="2026-11-22T05:00:00+00:00"))
    assert decision.admitted == []
    assert decision.reasons[run.id].code == "CLUSTER_AWAY"


def test_runs_further_back_wait_behind_the_others() -> None:
    run = _run()
    assert behind(_pool([]), [run])[run.id].code == "BEHIND_IN_LINE"


def test_nothing_starts_on_a_cluster_that_is_drained_and_all_are_told_so() -> None:
    run, further = (Waiting(uuid.uuid4(), name, Resources(1, 1, 0)) for name in ("r-a", "r-b"))
    pool = _pool([run], is_draining=True)
    assert decide(pool).admitted == []
    reasons = decide(pool).reasons | behind(pool, [further])
    assert [reasons[one.id].code for one in (run, further)] == ["CLUSTER_DRAINING"] * 2


def test_nothing_starts_on_a_cluster_that_has_not_passed_its_check() -> None:
    run = _run()
    decision = decide(_pool([run], is_unchecked=True))
    assert decision.admitted == []
    assert decision.reasons[run.id].code == "CLUSTER_UNCHECKED"

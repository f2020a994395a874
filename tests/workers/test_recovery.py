"""Faults that the experiments of tests/chaos found, each as small as it can be made."""

from collections.abc import Callable

from sqlalchemy import Engine, text

from app import db
from app.services import observations
from tests.workers.test_convergence import World, actor, stop, submit, world

__all__ = ["actor", "stop", "submit", "world"]


def test_what_was_seen_of_a_cleaned_attempt_is_forgotten(
    world: World, submit: Callable[..., str], clean_database: Engine
) -> None:
    """A watcher that read its list before the clean-up, and wrote it after."""
    public_id = submit()
    world.turn()
    world.cluster.end(public_id, 1)
    listed = world.cluster.statuses()
    world.turn(2)
    with db.unit_of_work() as session:
        session.execute(
            text("insert into observation (run_id, attempt, status) select id, 1, '{}' from run where public_id = :id"),
            {"id": public_id},
        )
    with db.unit_of_work() as session:
        observations.record_missing(session, world.terms["watch"], "local", listed)
    assert world.column("select count(*) from observation") == [0]

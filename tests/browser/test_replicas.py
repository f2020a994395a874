"""The log of a run with several replicas: the one that failed first, the others by a choice."""

from typing import Any

from app import db
from app.models import LogChunk, Run
from tests.browser.conftest import Site
from tests.browser.seed_gang import LOGS, seed_gang


def test_another_replica_is_chosen(visitor: Any, site: Site) -> None:
    with db.unit_of_work() as session:
        run = seed_gang(session, site.seed)
        run_id, public_id = run.id, run.public_id
    page = visitor.new_page()
    try:
        page.goto(f"{site.url}/projects/vision/runs/{public_id}/logs")
        page.locator("#lines", has_text=LOGS[1][1]).wait_for()
        choice = page.get_by_label("Replica")
        assert choice.input_value() == "1"
        choice.select_option("0")
        page.locator("#lines", has_text=LOGS[0][1]).wait_for()
        assert "replica=0" in page.url
        page.locator(".l").first.click(position={"x": 5, "y": 5})
        page.wait_for_url("**replica=0*#L1")
    finally:
        page.close()
        with db.unit_of_work() as session:
            session.query(LogChunk).where(LogChunk.run_id == run_id).delete()
            session.delete(session.get_one(Run, run_id))

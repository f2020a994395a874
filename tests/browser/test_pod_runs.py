"""What only runs in pods have, accessible and within the width: replicas, debug runs, the form that asks for one."""

from pathlib import Path
from typing import Any

import pytest

from app import db
from app.models import Observation, Project, User
from app.services.runs import forget_what_was_seen
from tests import factories
from tests.browser.conftest import Site
from tests.browser.seed import Seed
from tests.browser.seed_gang import seed_gang
from tests.browser.test_pages import _AXE, _FOUND, _OVERFLOW, CORNERS, RULES
from tests.browser.wording import CHINESE, TEXTS, foreign

POOL = "gpu-east"


def seed_pod_runs(seed: Seed) -> dict[str, str]:
    """Paths of pages by name."""
    with db.unit_of_work() as session:
        project = session.query(Project).where(Project.name == "vision").one()
        alice = session.get_one(User, seed.ids["alice"])
        gang = seed_gang(session, seed, pool=POOL)
        asked: dict[str, Any] = {"pool": POOL, "state": "running", "attempt": 1, "is_debug": True}
        debug = factories.make_run(session, project, alice, name="debug two-replicas", **asked)
        factories.make_attempt(session, debug, state="running", handle={"namespace": "berth-0a1b2c3d4e5f-9c8b7a6d"})
        pod = {"index": 0, "phase": "running", "pod": f"{debug.public_id}-1-x7k2p"}
        session.add(Observation(run_id=debug.id, attempt=1, status={"gone": False, "replicas": [pod]}))
        at = f"/projects/vision/runs/{gang.public_id}"
        made = {"gang": at, "gang-logs": f"{at}/logs", "debug": f"/projects/vision/runs/{debug.public_id}"}
    forget_what_was_seen()
    return made


@pytest.mark.parametrize("corner", sorted(CORNERS))
def test_pages_of_runs_in_pods(
    chromium: Any, own_site: Site, axe: str, corner: tuple[int, str, str], screenshots: Path | None
) -> None:
    width, theme, language = corner
    pages = seed_pod_runs(own_site.seed)
    context = chromium.new_context(viewport={"width": width, "height": 900})
    context.add_cookies(own_site.cookies("alice", language=language, theme=theme, zone="UTC"))
    page, found = context.new_page(), []
    for name, path in [*pages.items(), ("ask-debug", pages["gang"])]:
        page.goto(own_site.url + path, wait_until="load")
        if name == "ask-debug":
            page.locator("#debug").click()
            page.locator("dialog[open]").wait_for()
        page.evaluate(axe)
        found += [f"{name}: {one}" for one in page.evaluate(_AXE + _FOUND, RULES)]
        if (over := page.evaluate(_OVERFLOW)) > 0:
            found.append(f"{name}: {over} px too wide")
        if language == "zh_CN":
            texts = foreign(page.evaluate(TEXTS), CHINESE, own_site.run_names())
            found += [f"{name}: not translated: {one}" for one in texts]
        if screenshots:
            page.screenshot(path=screenshots / f"{name}-{theme}-{language}-{width}.png")
    context.close()
    assert found == []

"""Debug runs on pages: the form that asks how long, the label, and the line for the shell."""

from sqlalchemy import update

from app import db
from app.models import Observation, Run
from app.services.runs import forget_what_was_seen
from tests import factories
from tests.web.conftest import Console


def _on_cluster(console: Console, key: str) -> str:
    """The page of a seeded run, which is now of a cluster's pool."""
    with db.unit_of_work() as session:
        factories.make_pool(session, "east", cpu_millis=64_000, memory_bytes=64 << 30)
        session.execute(update(Run).where(Run.public_id == console.seed.runs[key]).values(pool="east"))
    forget_what_was_seen()
    return f"/projects/vision/runs/{console.seed.runs[key]}"


def test_from_the_button_to_the_shell(console: Console) -> None:
    url = _on_cluster(console, "failed")
    page = console.get(url, "alice").text
    assert 'data-ask="ask-debug"' in page
    assert '<option value="1h" selected>' in page
    assert 'value="12h"' in page
    answer = console.post(f"{url}/debug", {"ttl": "2h"}, "alice")
    assert answer.status_code == 303
    made = answer.headers["location"]
    page = console.get(made, "alice").text
    assert '<span class="tag">debug</span>' in page
    assert "to debug" in page
    assert "sleep 7200" in page
    assert "kubectl" not in page
    listed = console.get("/projects/vision/runs?q=is:debug", "alice").text
    assert made in listed
    assert '<span class="tag">debug</span>' in listed
    assert url not in listed
    with db.unit_of_work() as session:
        run = session.query(Run).where(Run.is_debug).one()
        run.state = "running"
        factories.make_attempt(session, run, state="running", handle={"namespace": "berth-abc"})
        status = {"gone": False, "replicas": [{"index": 0, "phase": "running", "pod": "p-0"}]}
        session.add(Observation(run_id=run.id, attempt=1, status=status))
    for path in (made, f"{made}/live"):
        assert "kubectl exec -it -n berth-abc p-0 -c main -- sh" in console.get(path, "bob").text
    chinese = console.get(made, "bob", accept_language="zh").text
    assert "在其中打开 shell" in chinese


def test_where_there_is_none(console: Console) -> None:
    """Not on this machine, not for readers, and not for ever; without scripts the button alone takes an hour."""
    local = f"/projects/vision/runs/{console.seed.runs['succeeded']}"
    assert "ask-debug" not in console.get(local, "alice").text
    refused = console.post(f"{local}/debug", {"ttl": "1h"}, "alice")
    assert refused.status_code == 409
    assert "DEBUG_NEEDS_CLUSTER" in refused.text
    url = _on_cluster(console, "failed")
    assert "ask-debug" not in console.get(url, "bob").text
    assert console.post(f"{url}/debug", {}, "bob").status_code == 403
    assert console.post(f"{url}/debug", {"ttl": "13h"}, "alice").status_code == 422
    made = console.post(f"{url}/debug", {}, "alice").headers["location"]
    assert "sleep 3600" in console.get(made, "alice").text

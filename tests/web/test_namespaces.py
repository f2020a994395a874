"""Forms of registries, of what pods may reach, and of read-only kubeconfigs: what they do and what they refuse."""

from sqlalchemy import text

from app import db
from app.services import project_kubeconfigs
from tests.api.test_clusters import _term
from tests.web.conftest import Console
from tests.web.test_settings import wrong_field

EAST, KEY = "/admin/clusters/gpu-east", "/projects/vision/settings/kubeconfig"


def test_registries_are_given_refused_and_forgotten(console: Console) -> None:
    given = {"server": "new.example.com", "username": "puller", "password": "canary-password"}
    refused = console.post(f"{EAST}/registries", given | {"server": "No Name"}, "alice")
    assert refused.status_code == 422
    assert "must be a registry's host alone" in wrong_field(refused.text, "server")
    assert "canary-password" not in refused.text
    assert console.post(f"{EAST}/registries", given, "alice").status_code == 303
    page = console.get(EAST, "alice").text
    assert "new.example.com" in page
    assert "canary-password" not in page
    assert console.post(f"{EAST}/registries/remove", {"server": "new.example.com"}, "alice").status_code == 303
    assert "new.example.com" not in console.get(EAST, "alice").text


def test_what_pods_may_reach_is_checked(console: Console) -> None:
    refused = console.post(f"{EAST}/settings", {"egress": "10.20.0.1/16"}, "alice")
    assert refused.status_code == 422
    assert "the bits behind its mask must be 0" in wrong_field(refused.text, "egress")
    assert console.post(f"{EAST}/settings", {"egress": "10.20.0.0/16:443"}, "alice").status_code == 303
    assert 'value="10.20.0.0/16:443"' in console.get(EAST, "alice").text


def test_a_kubeconfig_is_asked_for_and_downloaded_once(console: Console) -> None:
    assert "hours" in console.post(KEY, {"cluster": "gpu-east", "hours": "x"}, "alice").text
    asked = console.post(KEY, {"cluster": "gpu-east", "hours": "2"}, "alice")
    assert asked.status_code == 303
    place = asked.headers["location"]
    key = place.rpartition("=")[2]
    assert "Being made" in console.get(place, "alice").text
    early = console.post(f"{KEY}/download", {"key": key}, "alice")
    assert early.status_code == 409
    with db.unit_of_work() as session:
        cluster = session.execute(text("select id from cluster where name = 'gpu-east'")).scalar_one()
        made = next(one for one in project_kubeconfigs.list_asked(session, cluster) if str(one.id) == key)
        project_kubeconfigs.record_made(session, _term(session), made.id, "{}", "2031-01-01T00:00:00Z")
    assert "Download it" in console.get(place, "alice").text
    file = console.post(f"{KEY}/download", {"key": key}, "alice")
    assert (file.status_code, file.text) == (200, "{}")
    assert file.headers["content-disposition"] == 'attachment; filename="vision-gpu-east.kubeconfig"'
    assert "no-store" in file.headers["cache-control"]
    assert console.post(f"{KEY}/download", {"key": key}, "alice").status_code == 409
    assert console.get(f"{KEY}?key=nonsense", "alice").status_code == 404
    assert console.get(KEY, "bob").status_code == 403, "viewers may not"

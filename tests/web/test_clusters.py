"""Forms of clusters: what they do, what they refuse and where they say so, and who may."""

import pytest
from sqlalchemy import select, text

from app import db
from app.api.schemas.clusters import EXAMPLE_KUBECONFIG
from app.models import Cluster
from tests.web.conftest import Console
from tests.web.test_settings import count, scalar, wrong_field

ALL, EAST = "/admin/clusters", "/admin/clusters/gpu-east"
TOKEN = "eyJhbGciOi"


def _names() -> list[str]:
    with db.read_session() as session:
        return list(session.scalars(select(Cluster.name).order_by(Cluster.name)))


def test_a_cluster_is_added_and_its_page_follows_the_check(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    form = {"name": " west ", "kubeconfig": EXAMPLE_KUBECONFIG, "berth_url": "https://berth.example.com"}
    sent = console.post(ALL, form, "alice")
    assert (sent.status_code, sent.headers["location"]) == (303, f"{ALL}/west?done=added")
    page = console.get(f"{ALL}/west?done=added", "alice").text
    assert "The first check is under way" in page
    assert 'hx-trigger="every 2s"' in page
    assert TOKEN not in page
    here = {"name": "here", "in_cluster": "yes"}
    refused = console.post(ALL, here, "alice")
    assert "runs in no cluster" in wrong_field(refused.text, "kubeconfig")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")  # as every pod has it
    assert console.post(ALL, here, "alice").status_code == 303
    assert "the cluster that Berth runs in" in console.get(ALL, "alice").text


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"name": "gpu-east"}, "name", "exists already"),
        ({"name": "No"}, "name", "small letters"),
        ({"kubeconfig": ""}, "kubeconfig", "give a kubeconfig"),
        ({"in_cluster": "yes"}, "kubeconfig", "give a kubeconfig"),
        ({"kubeconfig": "x: ["}, "kubeconfig", "is no YAML"),
        ({"berth_url": "berth"}, "berth_url", "must be an address"),
    ],
)
def test_what_is_wrong_stands_at_its_field(console: Console, changes: dict[str, str], field: str, said: str) -> None:
    sent = console.post(ALL, {"name": "west", "kubeconfig": EXAMPLE_KUBECONFIG} | changes, "alice")
    assert sent.status_code in (409, 422)
    text = sent.text
    if field == "kubeconfig":
        assert said in text[text.index('id="d-kubeconfig"') :][:300]
    else:
        assert said in wrong_field(text, field)
    assert TOKEN not in text, "credentials are not sent back"
    assert _names() == ["gpu-east", "gpu-west", "local"]


def test_settings_are_saved_unless_somebody_else_did(console: Console) -> None:
    version = str(scalar(select(Cluster.version).where(Cluster.name == "gpu-east")))
    saved = console.post(f"{EAST}/settings", {"version": version, "gpu_resource": "amd.com/gpu"}, "alice")
    assert saved.status_code == 303
    late = console.post(f"{EAST}/settings", {"version": version, "gpu_resource": "x.com/gpu"}, "alice")
    assert late.status_code == 422
    assert "somebody else changed it meanwhile" in late.text
    wrong = console.post(f"{EAST}/settings", {"pull_secret": "no"}, "alice")
    assert "namespace and the name" in wrong_field(wrong.text, "pull_secret")
    assert scalar(select(Cluster.settings["gpu_resource"].astext).where(Cluster.name == "gpu-east")) == "amd.com/gpu"


def test_it_is_drained_used_again_checked_and_given_new_credentials(console: Console) -> None:
    state = select(Cluster.state).where(Cluster.name == "gpu-east")
    for draining, expected in (("no", "active"), ("yes", "draining")):
        assert console.post(f"{EAST}/drain", {"draining": draining}, "alice").status_code == 303
        assert scalar(state) == expected
    assert console.post(f"{EAST}/check", {}, "alice").status_code == 303
    assert count(select(Cluster.id).where(Cluster.check_due_at.is_not(None))) == 1
    assert console.post(f"{EAST}/credentials", {"kubeconfig": EXAMPLE_KUBECONFIG}, "alice").status_code == 303
    assert scalar(select(Cluster.credentials_version).where(Cluster.name == "gpu-east")) == 3
    refused = console.post(f"{EAST}/credentials", {"kubeconfig": "x"}, "alice")
    assert (refused.status_code, "is no kubeconfig" in refused.text) == (422, True)


def test_it_is_removed_by_typing_its_name_once_nothing_is_on_it(console: Console) -> None:
    refused = console.post(f"{EAST}/remove", {"name": "east"}, "alice")
    assert "must be the name of this cluster" in wrong_field(refused.text, "name")
    with db.unit_of_work() as session:
        session.execute(text("update pool set cluster_id = (select id from cluster where name = 'gpu-east')"))
    in_use = console.post(f"{EAST}/remove", {"name": "gpu-east"}, "alice")
    assert (in_use.status_code, "The cluster is in use" in in_use.text or "Nothing was removed" in in_use.text) == (
        409,
        True,
    )
    assert 'id="f-remove-name"' not in in_use.text
    with db.unit_of_work() as session:
        session.execute(text("update pool set cluster_id = (select id from cluster where name = 'local')"))
    assert console.post(f"{EAST}/remove", {"name": " gpu-east "}, "alice").headers["location"] == f"{ALL}?done=removed"
    assert _names() == ["gpu-west", "local"]


def test_a_cluster_that_does_not_answer_says_since_when_and_why(console: Console) -> None:
    with db.unit_of_work() as session:
        session.execute(
            text(
                "update cluster set seen_at = now() - interval '1 hour', trouble = '<b>refused</b>'"
                " where name = 'gpu-east'"
            )
        )
    page = console.get(EAST, "alice").text
    assert "Not answering since" in page
    assert "&lt;b&gt;refused&lt;/b&gt;" in page
    assert "Not answering since" in console.get(ALL, "alice").text

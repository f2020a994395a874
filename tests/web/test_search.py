"""The palette: what it finds, for whom, and that it finds nothing of others."""

import re

from tests.browser.seed import NASTY
from tests.web.conftest import Console


def hits(console: Console, path: str, user: str = "alice") -> list[str]:
    answer = console.get(path, user, hx_request="true")
    assert answer.status_code == 200
    assert "<html" not in answer.text
    return re.findall(r'<li><a href="([^"]*)"', answer.text)


def test_without_letters_it_shows_the_places(console: Console) -> None:
    assert "/admin/users" in hits(console, "/search?project=vision")
    found = hits(console, "/search?project=vision", "bob")
    assert "/projects/vision/runs" in found
    assert "/me" in found
    assert not any(url.startswith("/admin") for url in found)
    assert "/projects/vision/runs" not in hits(console, "/search")


def test_runs_by_name_in_any_case_and_by_id_everywhere(console: Console) -> None:
    by_name = hits(console, "/search?project=vision&q=RESNET50")
    assert by_name[0].startswith("/projects/vision/runs/r-")
    run = by_name[0].rpartition("/")[2]
    assert hits(console, f"/search?q={run[:6].upper()}")[0] == by_name[0]
    assert hits(console, f"/search?q={run}") == [by_name[0]]


def test_nothing_of_a_project_that_one_is_not_in(console: Console) -> None:
    run = hits(console, "/search?project=vision&q=resnet50")[0].rpartition("/")[2]
    assert hits(console, f"/search?q={run}", "nobody") == []
    assert hits(console, "/search?project=vision&q=resnet50", "nobody") == []
    assert hits(console, "/search?q=vision", "nobody") == []


def test_odd_letters_are_text(console: Console) -> None:
    for odd in ("%25", "_", "\\", "%00", "r-%27%20or%201=1", "a" * 500):
        assert console.get(f"/search?project=vision&q={odd}", "alice").status_code == 200
    assert NASTY not in console.get("/search?q=<script>", "alice").text


def test_as_a_page_and_only_signed_in(console: Console) -> None:
    page = console.get("/search?project=vision&q=resnet50", "alice")
    assert 'value="resnet50"' in page.text
    assert console.get("/search?q=x").status_code == 303


def test_what_one_may_do_in_a_project_and_its_settings(console: Console) -> None:
    assert "/projects/vision/runs/new" in hits(console, "/search?q=new+run")
    assert "/projects/vision/settings/secrets" in hits(console, "/search?project=vision&q=settings")
    assert "/projects/vision/runs/new" not in hits(console, "/search?q=new+run", "bob"), "bob only reads"

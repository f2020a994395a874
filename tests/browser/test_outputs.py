"""What runs wrote is looked at in a real browser and never runs there (A16, A17, A19)."""

import io
import tarfile
import zipfile
from typing import Any

import pytest

from tests.browser.conftest import Site
from tests.browser.seed_outputs import FILES, HOSTILE

VISION = "/projects/vision/runs"


def watched(visitor: Any) -> tuple[Any, list[str], list[str]]:
    """A page, and what it asks for and complains of."""
    page = visitor.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    return page, asked, said


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_file_is_shown_and_does_not_run(visitor: Any, site: Site, path: str) -> None:
    page, asked, said = watched(visitor)
    page.goto(f"{site.url}{VISION}/{site.seed.runs['outputs']}/outputs/{path}", wait_until="load")
    page.wait_for_timeout(300)
    assert page.title().startswith("○") or "owned" not in page.title()
    assert not [url for url in asked if "owned" in url]
    assert not [text for text in said if "Content Security Policy" in text], said
    assert "owned" in page.inner_text("#main")  # its source is there to be read


@pytest.mark.parametrize("path", [*HOSTILE, "plots/curve.png"])
def test_the_address_of_a_file_is_a_download(visitor: Any, site: Site, path: str) -> None:
    run = site.seed.runs["outputs"]
    page, asked, _ = watched(visitor)
    page.goto(f"{site.url}{VISION}", wait_until="load")
    addresses = [f"/api/v1/runs/{run}/outputs/{path}"]
    if path.endswith("curve.png"):
        addresses.append(f"{VISION}/{run}/output-image/{path}")
    for address in addresses:
        with page.expect_download() as started:
            page.evaluate("address => { location.href = address }", address)
        assert started.value.suggested_filename == path.rpartition("/")[2]
    assert not [url for url in asked if url.endswith("/owned")]
    answer = page.request.get(f"{site.url}/api/v1/runs/{run}/outputs/{path}")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_what_is_named_a_picture_is_no_picture(visitor: Any, site: Site) -> None:
    page = visitor.new_page()
    base = f"{site.url}{VISION}/{site.seed.runs['outputs']}/output-image"
    assert page.request.get(f"{base}/plots/curve.png").headers["content-type"] == "image/png"
    for path in ("hostile/named.png", "hostile/drawing.svg", "hostile/page.html", "nothing.png", "old.ckpt", "empty"):
        assert page.request.get(f"{base}/{path}").status == 404, path


def test_a_picture_is_drawn(visitor: Any, site: Site) -> None:
    page = visitor.new_page()
    page.goto(f"{site.url}{VISION}/{site.seed.runs['outputs']}/outputs/plots/curve.png", wait_until="load")
    assert page.evaluate("document.querySelector('.picture img').naturalWidth") == 480


def test_browse_load_more_and_download_a_folder(visitor: Any, site: Site) -> None:
    page = visitor.new_page()
    page.goto(f"{site.url}{VISION}/{site.seed.runs['outputs']}", wait_until="load")
    page.get_by_role("link", name="Browse").click()
    page.get_by_role("link", name="checkpoints/").click()
    assert page.locator("#entries tr").count() == 100
    page.get_by_role("link", name="Load more").click()
    page.locator("#entries tr").nth(119).wait_for()
    assert page.locator("#entries tr").count() == 120
    with page.expect_download() as started:
        page.get_by_role("link", name="Download as zip").click()
    with zipfile.ZipFile(started.value.path()) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 120
    page.get_by_role("navigation", name="Folders").get_by_role("link", name="Outputs").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download as tar").click()
    with open(started.value.path(), "rb") as file, tarfile.open(fileobj=io.BytesIO(file.read())) as bundle:  # noqa: PTH123
        found = {member.name: bundle.extractfile(member) for member in bundle}
        assert {name: data.read() for name, data in found.items() if data} == FILES


def test_rules_are_tried_refused_and_set(visitor: Any, site: Site) -> None:
    page = visitor.new_page()
    page.goto(f"{site.url}/projects/speech/settings/retention", wait_until="load")
    page.get_by_label("Keep for days after the run ended").fill("soon")
    page.get_by_role("button", name="Save rules").click()
    assert "must be a whole number" in page.inner_text("#d-keep_days")
    page.get_by_label("Keep for days after the run ended").fill("30")
    page.get_by_role("button", name="Show what would go").click()
    page.get_by_role("heading", name="Would be removed now").wait_for()
    page.get_by_role("button", name="Save rules").click()
    page.wait_for_url("**/settings/retention")
    assert "keep 30 days" in page.inner_text("#main")

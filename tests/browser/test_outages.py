"""What does not answer, on pages that are open: told without a reload, and gone again; spans stand still meanwhile."""

from typing import Any

from tests.browser.conftest import Site
from tests.browser.test_tasks import VISION, open_page, run_url, until

RUNNING = "document.querySelector('.phases .p-running b').textContent"
STATE = "document.querySelector('#log-state').textContent"


def test_notes_come_and_go(visitor: Any, site: Site) -> None:
    pages = [open_page(visitor, site, path) for path in (run_url(site, "running"), VISION)]
    assert not pages[0].is_visible("#outage")
    try:
        site.end_leases(True)
        for page in pages:
            page.locator("#outage .note").wait_for()
        until(pages[0], f"{STATE}.includes('as of')")
        assert pages[0].locator("#log-state.on").count() == 0
    finally:
        site.end_leases(False)
    for page in pages:
        page.locator("#outage .note").wait_for(state="detached")
    pages[0].locator("#log-state.on").wait_for()


def test_a_server_that_hangs_is_noticed(visitor: Any, site: Site) -> None:
    held: list[Any] = []
    page = open_page(visitor, site, run_url(site, "running"))
    page.locator("#log-state.on").wait_for()
    page.route("**/runs/*/live?*", lambda route: held.append(route))
    page.route("**/runs/*/after?*", lambda route: held.append(route))
    until(page, f"{STATE}.includes('as of')")
    assert page.is_visible("#toasts .toast")
    shown = page.evaluate(RUNNING)
    page.wait_for_timeout(1200)
    assert page.evaluate(RUNNING) == shown, "it is not known to go on"
    for route in held:
        route.continue_()
    page.unroute_all()
    page.locator("#log-state.on").wait_for()
    page.locator("#toasts .toast").wait_for(state="detached")


def test_a_log_without_lines_waits(visitor: Any, site: Site) -> None:
    page = open_page(visitor, site, run_url(site, "queued"))
    assert page.inner_text("#log-state") == "waiting for the first line"
    assert page.locator("#log-state.on").count() == 0

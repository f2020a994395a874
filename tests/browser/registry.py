"""Every page in every state it can have. A route of the web router that is not here fails a test."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.browser.seed import LONG, NASTY, Seed

VISION = "/projects/vision/runs"


@dataclass(frozen=True)
class Page:
    """One state of one page: its route, its address, who looks, and what is to be found on it."""

    name: str
    route: str
    url: Callable[[Seed], str]
    user: str | None = "alice"
    status: int = 200
    mark: str = "○"
    shows: str = ""  # a text that is there in every language
    is_variant: bool = False  # other data in the same elements: two corners of the matrix are enough for axe


def _run(key: str, query: str = "") -> Callable[[Seed], str]:
    return lambda seed: f"{VISION}/{seed.runs[key]}{query}"


def _at(path: str) -> Callable[[Seed], str]:
    return lambda _: path


RUN = "/projects/{project}/runs/{run}"
SETTINGS = "/projects/{project}/settings/"
LIST = "/projects/{project}/runs"

PAGES = [
    Page("login", "/login", _at("/login"), user=None),
    Page("login-next", "/login", _at(f"/login?next={VISION}"), user=None, is_variant=True),
    Page("setup", "/setup", lambda seed: f"/setup?k={seed.keys['setup']}", user=None),
    Page("setup-used", "/setup", _at("/setup?k=nothing"), user=None, status=404, mark="✕", is_variant=True),
    Page("invitation", "/invitation", lambda seed: f"/invitation?k={seed.keys['invitation']}", user=None, shows="bob"),
    Page("sign-in-link", "/", lambda seed: f"/?k={seed.keys['sign_in']}", user=None),
    Page("terminal-ask", "/terminal", _at("/terminal")),
    Page("terminal-unknown", "/terminal", _at("/terminal?code=ZZZZ-ZZZZ"), shows="ZZZZ", is_variant=True),
    Page("terminal", "/terminal", lambda seed: f"/terminal?code={seed.keys['terminal']}", shows="laptop"),
    Page("home-empty", "/", _at("/"), user="nobody"),
    Page("projects", "/projects", _at("/projects"), shows=NASTY),
    Page("projects-none", "/projects", _at("/projects"), user="nobody", is_variant=True),
    Page("runs", LIST, _at(VISION), mark="●", shows="resnet50-imagenet-b512"),
    Page("runs-oldest", LIST, _at(f"{VISION}?sort=created&q=sweep-trial-00"), shows="sweep-trial-000", is_variant=True),
    Page("runs-viewer", LIST, _at(f"{VISION}?q=-tag:sweep"), user="bob", mark="●", is_variant=True),
    Page("runs-filtered", LIST, _at(f"{VISION}?q=status:failed"), shows="digits-lr-10", is_variant=True),
    Page("runs-no-match", LIST, _at(f"{VISION}?q=tag:nothing-has-this"), shows=""),
    Page("runs-bad-filter", LIST, _at(f"{VISION}?q=stats:failed"), mark="●", shows="stats"),
    Page("runs-empty", LIST, _at("/projects/empty-project/runs"), shows="berth run submit"),
    Page("run-queued", RUN, _run("queued"), mark="◌", shows="r-7f3k2m9qwa"),
    Page("run-starting", RUN, _run("starting"), mark="◔", is_variant=True),
    Page("run-running", RUN, _run("running"), mark="●", shows="batch_size"),
    Page("run-running-viewer", RUN, _run("running"), user="bob", mark="●", is_variant=True),
    Page("run-succeeded", RUN, _run("succeeded"), mark="✓", shows="model.pkl"),
    Page("run-failed", RUN, _run("failed"), mark="✕", shows="ValueError: loss is not finite"),
    Page("run-out-of-memory", RUN, _run("oom"), mark="✕", shows="OOM_KILLED", is_variant=True),
    Page("run-first-attempt", RUN, _run("failed", "?attempt=1"), mark="✕", is_variant=True),
    Page("run-stopped-long", RUN, _run("long"), mark="■", shows=LONG, is_variant=True),
    Page("run-nasty", RUN, _run("nasty"), mark="✓", shows=NASTY, is_variant=True),
    Page("run-at-a-line", RUN, _run("running", "?line=120#L120"), mark="●", shows="epoch", is_variant=True),
    Page("run-log-search", RUN, _run("running", "?q=slow+batch"), mark="●", shows="slow", is_variant=True),
    Page("notifications", SETTINGS + "notifications", _at("/projects/vision/settings/notifications"), shows=NASTY),
    Page(
        "notifications-log",
        SETTINGS + "notifications",
        lambda seed: f"/projects/vision/settings/notifications?show={seed.ids['notification']}",
        shows="503",
    ),
    Page("notifications-none", SETTINGS + "notifications", _at("/projects/speech/settings/notifications")),
    Page(
        "notifications-viewer",
        SETTINGS + "notifications",
        _at("/projects/vision/settings/notifications"),
        user="bob",
        status=403,
        mark="✕",
        is_variant=True,
    ),
    Page("my-notifications", "/me/notifications", _at("/me/notifications"), user="bob", shows="hooks.example.org"),
    Page("problems", "/problems", _at("/problems"), shows="OOM_KILLED"),
    Page("problem-reason", "/problems/{code}", _at("/problems/OOM_KILLED"), shows="OOM_KILLED"),
    Page("problem-error", "/problems/{code}", _at("/problems/NOT_FOUND"), user=None, shows="NOT_FOUND"),
    Page("not-found", LIST, _at("/projects/nothing-here/runs"), status=404, mark="✕", shows="404"),
    Page("no-such-page", "", _at("/nothing/here"), user=None, status=404, mark="✕", shows="404", is_variant=True),
]

# Routes that are no page of their own, and why.
NO_PAGES = {
    "GET /static/{asked}/{name:path}": "files",
    "GET /r/{run}": "redirects to the run",
    "GET /projects/{project}/runs/changes": "partial of the list",
    "GET /projects/{project}/runs/{run}/live": "partial of the run's page",
    "GET /projects/{project}/runs/{run}/after": "partial of the run's page",
    "POST /login": "form of the page",
    "POST /logout": "form of every page",
    "POST /preferences": "form of every page",
    "POST /setup": "form of the page",
    "POST /invitation": "form of the page",
    "POST /terminal": "form of the page",
    "POST /projects/{project}/settings/notifications": "forms of the page",
    "POST /me/notifications": "forms of the page",
    "POST /sign-in": "form of the start page with a link",
    "POST /projects/{project}/runs/{run}/stop": "form of the run's page",
    "POST /projects/{project}/runs/{run}/rerun": "form of the run's page",
}

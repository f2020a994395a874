"""All pages. `app/main.py` includes this; tests/browser has a row for each of its routes."""

from functools import lru_cache
from re import Pattern

from fastapi import APIRouter
from fastapi.routing import APIRoute

from app.web import assets
from app.web.pages import (
    admin_clusters,
    admin_projects,
    admin_users,
    api_docs,
    audit,
    bulk_runs,
    compare,
    definition,
    definitions,
    experiments,
    health,
    home,
    invitation,
    login,
    me,
    new_run,
    notifications,
    outputs,
    problems,
    project_accounts,
    project_kubeconfig,
    project_members,
    project_settings,
    retention,
    run,
    run_columns,
    run_events,
    run_logs,
    run_menu,
    run_metrics,
    run_mute,
    run_spec,
    run_state,
    run_system,
    runs,
    sample,
    search,
    secrets,
    setup,
    terminal,
    views,
)

router = APIRouter(include_in_schema=False)
# The list before the page of one run: "changes", "columns" and "new" are no run's id, and "new" no definition's name.
for part in (
    assets,
    home,
    login,
    setup,
    invitation,
    terminal,
    runs,
    bulk_runs,
    run_columns,
    new_run,
    sample,
    outputs,
    run_logs,
    run_metrics,
    run_events,
    run_system,
    run_state,
    run_menu,
    run_mute,
    run_spec,
    run,
    compare,
    experiments,
    views,
    definitions,
    definition,
    secrets,
    retention,
    notifications,
    project_settings,
    project_kubeconfig,
    project_members,
    project_accounts,
    me,
    admin_users,
    admin_clusters,
    admin_projects,
    audit,
    health,
    problems,
    api_docs,
    search,
):
    router.include_router(part.router)


def page_behind(path: str) -> str:
    """The page to which the form at an address belongs that takes forms only; "" for every other address.

    A refused form leaves its address in the browser, which asks for it with GET on a reload and when the language is
    changed. The page is the nearest one above it, and its project's runs where that is none of the project's own.
    """
    for pattern, steps in _form_addresses():
        if pattern.fullmatch(path):
            parts = path.split("/")
            above = "/".join(parts[: len(parts) - steps]) or "/"
            return f"{above}/runs" if above.startswith("/projects/") and above.count("/") == 2 else above
    return ""


@lru_cache
def _form_addresses() -> list[tuple[Pattern[str], int]]:
    """Of each address without a page of its own: its pattern, and how many steps above it the page is."""
    routes = [route for part in router.routes for route in part.original_router.routes]  # type: ignore[attr-defined]
    pages = {route.path for route in routes if "GET" in route.methods} | {"", "/projects/{project}"}
    found = []
    for route in routes:
        if isinstance(route, APIRoute) and route.path not in pages:
            parts = route.path.split("/")
            steps = next(step for step in range(1, len(parts)) if "/".join(parts[:-step]) in pages)
            found.append((route.path_regex, steps))
    return found

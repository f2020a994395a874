"""All pages. `app/main.py` includes this; tests/browser has a row for each of its routes."""

from fastapi import APIRouter

from app.web import assets
from app.web.pages import (
    admin_projects,
    admin_users,
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
    notifications,
    outputs,
    problems,
    project_accounts,
    project_members,
    project_settings,
    retention,
    run,
    runs,
    search,
    secrets,
    setup,
    terminal,
    views,
)

router = APIRouter(include_in_schema=False)
# The list before the page of one run: "changes" is no run's id, and "new" no definition's name.
for part in (
    assets,
    home,
    login,
    setup,
    invitation,
    terminal,
    runs,
    bulk_runs,
    outputs,
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
    project_members,
    project_accounts,
    me,
    admin_users,
    admin_projects,
    audit,
    health,
    problems,
    search,
):
    router.include_router(part.router)

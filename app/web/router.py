"""All pages. `app/main.py` includes this; tests/browser has a row for each of its routes."""

from fastapi import APIRouter

from app.web import assets
from app.web.pages import home, invitation, login, notifications, problems, run, runs, setup, terminal

router = APIRouter(include_in_schema=False)
# The list before the page of one run: "changes" is no run's id.
for part in (assets, home, login, setup, invitation, terminal, runs, run, notifications, problems):
    router.include_router(part.router)

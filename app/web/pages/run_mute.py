"""The forms of a run's page that silence the notifications about it, for oneself or for the project."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.domain.access import Action
from app.errors import NotFound
from app.repositories.notifications import Owner
from app.services import notifications
from app.services.identity import require
from app.web import run_frame
from app.web.deps import check_form, see_other, visit

router = APIRouter(include_in_schema=False)


@router.post("/projects/{project}/runs/{run}/mute")
def mute(
    request: Request,
    project: str,
    run: str,
    do: Annotated[str, Form(max_length=20)] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """`do` is mute or unmute, for oneself, or mute-all or unmute-all, for the project."""
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        row = run_frame.find_run(visitor, project, run)
        verb, _, whom = do.partition("-")
        if verb not in ("mute", "unmute") or whom not in ("", "all"):
            raise NotFound
        if whom:
            require(visitor.actor, Action.NOTIFICATION_WRITE, row.project_id)
            owner = Owner(project_id=row.project_id)
        else:
            require(visitor.actor, Action.OWN_NOTIFICATION_WRITE)
            owner = Owner(user_id=visitor.actor.user_id)
        notifications.set_run_mute(visitor.session, visitor.actor, owner, row.id, row.public_id, on=verb == "mute")
    return see_other(f"{run_frame.run_url(row)}#notifications")

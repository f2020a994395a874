"""Saved views: a filter and an order under a name, kept for oneself or shown to all of the project; and the columns
that somebody wants to see."""

import uuid
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain import filters, run_columns
from app.domain.access import Action, Actor
from app.domain.filters import FilterError
from app.domain.run_columns import Choice
from app.errors import N_, Conflict, FieldError, Invalid
from app.models import RunColumns, SavedView
from app.repositories import views as repository
from app.services import audit
from app.services.identity import require

SORTS = ("-created", "created", "name", "-name")
LONGEST_NAME = 60


class ViewExists(Conflict):
    """Names are unique among one's own views of a project."""

    code = "VIEW_EXISTS"
    title = N_("There is a view by that name")
    detail = N_("You have a view named {name} in this project already.")
    hint = N_("Choose another name, or delete that one first.")


class TooManyViews(Conflict):
    """A bound, so that the list of views stays a list that people read."""

    code = "TOO_MANY_VIEWS"
    title = N_("There are too many saved views")
    detail = N_("At most {limit} views of a project may be yours.")
    hint = N_("Delete those that are not used.")


def save_view(
    session: Session,
    actor: Actor,
    project_id: uuid.UUID,
    name: str,
    q: str,
    sort: str,
    *,
    is_shared: bool,
    choice: Choice | None = None,
    replaces: bool = False,
) -> uuid.UUID:
    """Keeps a view and returns its key; to share it takes the right to change runs. `choice` are columns that go
    with it, None those that its reader wants to see. With `replaces` one's own view of that name becomes this one.

    Raises Invalid, Forbidden, ViewExists, TooManyViews.
    """
    require(actor, Action.VIEW_WRITE, project_id)
    if is_shared:
        require(actor, Action.RUN_WRITE, project_id)
    name = check_view(name, q, sort)
    kept: dict[str, Any] = {"q": q.strip(), "sort": sort, "is_shared": is_shared, "columns": None, "metric": None}
    kept |= _told(choice) if choice else {}
    if replaces and (known := repository.find_own(session, project_id, actor.user_id, name)) is not None:
        session.execute(update(SavedView).where(SavedView.id == known.id).values(**kept))
        before = {key: getattr(known, key) for key in kept}
        audit.record(session, actor, "view.update", "view", str(known.id), project_id, before=before, after=kept)
        return known.id
    count = session.scalar(
        select(func.count()).where(SavedView.project_id == project_id, SavedView.user_id == actor.user_id)
    )
    if (count or 0) >= repository.MOST:
        raise TooManyViews(limit=repository.MOST)
    values = {"project_id": project_id, "user_id": actor.user_id, "name": name, **kept}
    try:
        with session.begin_nested():
            key: uuid.UUID | None = session.scalar(insert(SavedView).values(**values).returning(SavedView.id))
    except IntegrityError:
        raise ViewExists(name=name) from None
    assert key is not None
    audit.record(session, actor, "view.create", "view", str(key), project_id, after={"name": name, **kept})
    return key


def check_view(name: str, q: str, sort: str) -> str:
    """The name without blanks around it. Raises Invalid for what is no name, filter or order."""
    found = name.strip()
    errors = []
    if not found or len(found) > LONGEST_NAME or not found.isprintable():
        errors.append(FieldError("/name", N_("must have 1 to 60 characters, in one line")))
    if sort not in SORTS:
        errors.append(FieldError("/sort", N_("is no order; there are {names}"), slots={"names": ", ".join(SORTS)}))
    try:
        filters.parse(q)
    except FilterError as error:
        errors.append(FieldError("/q", error.message, error.fix, slots=error.slots))
    if errors:
        raise Invalid(errors)
    return found


def share_view(session: Session, actor: Actor, project_id: uuid.UUID, view_id: uuid.UUID, *, is_shared: bool) -> None:
    """Shows one's own view to the project, or to nobody else any more. Raises NotFound, Forbidden."""
    view = _own(session, actor, project_id, view_id)
    require(actor, Action.RUN_WRITE, project_id)
    if view.is_shared == is_shared:
        return
    session.execute(update(SavedView).where(SavedView.id == view_id).values(is_shared=is_shared))
    before, after = {"is_shared": view.is_shared}, {"is_shared": is_shared}
    audit.record(session, actor, "view.update", "view", str(view_id), project_id, before=before, after=after)


def delete_view(session: Session, actor: Actor, project_id: uuid.UUID, view_id: uuid.UUID) -> None:
    """Removes a view: its maker may, and owners of the project may for a shared one. Raises NotFound, Forbidden."""
    view = _own(session, actor, project_id, view_id)
    session.execute(delete(SavedView).where(SavedView.id == view_id))
    before = {"name": view.name, "q": view.q, "sort": view.sort, "is_shared": view.is_shared}
    audit.record(session, actor, "view.delete", "view", str(view_id), project_id, before=before)


def keep_columns(session: Session, actor: Actor, project_id: uuid.UUID, choice: Choice) -> None:
    """From now on the actor sees these columns in the project's list of runs. Raises Forbidden."""
    require(actor, Action.VIEW_WRITE, project_id)
    before = repository.get_columns(session, project_id, actor.user_id)
    if before == choice:
        return
    key = {"user_id": actor.user_id, "project_id": project_id}
    if choice == run_columns.DEFAULT:
        session.execute(delete(RunColumns).filter_by(**key))
    else:
        values = _told(choice)
        made = upsert(RunColumns).values(**key, **values)
        session.execute(made.on_conflict_do_update(index_elements=[*key], set_=values))
    told = {"before": _told(before), "after": _told(choice)}
    audit.record(session, actor, "view.columns", "user", actor.name, project_id, **told)


def _told(choice: Choice) -> dict[str, Any]:
    return {"columns": [*choice.columns], "metric": choice.metric}


def _own(session: Session, actor: Actor, project_id: uuid.UUID, view_id: uuid.UUID) -> repository.ViewRow:
    require(actor, Action.VIEW_WRITE, project_id)
    view = repository.get_view(session, project_id, actor.user_id, view_id)
    if not view.is_own:
        require(actor, Action.PROJECT_WRITE, project_id)
    return view

"""The permission table: complete, monotonic, and closed to what it does not name."""

import itertools
import uuid

import pytest

from app.domain.access import RULES, Action, Actor, Role, Scope, Verdict, can

OURS, THEIRS, RUN, OTHER_RUN = (uuid.uuid4() for _ in range(4))


def actor(role: Role | None = None, **values: object) -> Actor:
    roles = {OURS: role} if role else {}
    return Actor(uuid.uuid4(), "somebody", roles=roles, **values)  # type: ignore[arg-type]


def test_every_action_has_a_rule() -> None:
    assert set(RULES) == set(Action)


@pytest.mark.parametrize("action", [action for action, rule in RULES.items() if rule.role is not None])
def test_a_project_is_hidden_from_who_is_not_in_it(action: Action) -> None:
    for role in (None, *Role):
        assert can(actor(role), action, THEIRS) == Verdict.HIDDEN
    assert can(actor(Role.OWNER), action, None) == Verdict.HIDDEN


@pytest.mark.parametrize("action", list(Action))
def test_more_rights_never_allow_less(action: Action) -> None:
    order = [Verdict.HIDDEN, Verdict.FORBIDDEN, Verdict.ALLOWED]
    for scope in (Scope.READ, Scope.WRITE, Scope.ADMIN):
        verdicts = [order.index(can(actor(role, scope=scope), action, OURS)) for role in (None, *Role)]
        assert verdicts == sorted(verdicts)
        assert order.index(can(actor(is_admin=True, scope=scope), action, OURS)) >= verdicts[-1]
    for role in (None, *Role):
        verdicts = [order.index(can(actor(role, scope=scope), action, OURS)) for scope in list(Scope)[1:]]
        assert verdicts == sorted(verdicts)


@pytest.mark.parametrize("action", list(Action))
def test_a_runs_token_may_log_to_its_own_run_and_nothing_else(action: Action) -> None:
    job = actor(Role.OWNER, scope=Scope.RUN, run=RUN, is_admin=True)
    for project, run in itertools.product((None, OURS, THEIRS), (None, RUN, OTHER_RUN)):
        expected = Verdict.ALLOWED if (action, run) == (Action.RUN_LOG, RUN) else Verdict.HIDDEN
        assert can(job, action, project, run) == expected


def test_a_token_for_one_project_narrows_even_an_administrator() -> None:
    narrow = actor(is_admin=True, only_project=OURS)
    assert can(narrow, Action.RUN_WRITE, OURS) == Verdict.ALLOWED
    assert can(narrow, Action.RUN_READ, THEIRS) == Verdict.HIDDEN
    for action in (Action.USER_WRITE, Action.AUDIT_READ, Action.TOKEN_CREATE, Action.ACCOUNT_WRITE):
        assert can(narrow, action) == Verdict.FORBIDDEN
    assert can(narrow, Action.ACCOUNT_READ) == Verdict.ALLOWED


@pytest.mark.parametrize("action", [action for action, rule in RULES.items() if rule.admin])
def test_only_administrators_administer(action: Action) -> None:
    assert can(actor(Role.OWNER), action) == Verdict.FORBIDDEN
    assert can(actor(is_admin=True), action) == Verdict.ALLOWED
    assert can(actor(is_admin=True, scope=Scope(RULES[action].scope - 1)), action) != Verdict.ALLOWED


def test_what_changes_something_needs_more_than_a_reading_token() -> None:
    for action in Action:
        if not action.endswith((".read", ".audit")):
            assert can(actor(Role.OWNER, is_admin=True, scope=Scope.READ), action, OURS) == Verdict.FORBIDDEN

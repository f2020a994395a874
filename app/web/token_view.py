"""Tokens as pages show them, and the form that makes one."""

from dataclasses import dataclass
from typing import Any

from app.errors import N_
from app.i18n import translate
from app.services.tokens import NewToken
from app.web import tabs
from app.web.deps import Visitor
from app.web.forms import EXPIRIES, SCOPES, Secret, check_choice, check_line

FIELDS = ("name", "scope", "project", "expires_in")


@dataclass(frozen=True)
class TokenRow:
    """A token that works. `owner` is whose it is where several people's are listed, with the kind in words."""

    name: str
    hint: str
    scope: str
    project: str
    created: tabs.Stamp
    expires: tabs.Stamp
    used: tabs.Stamp
    revoke_url: str
    owner: str = ""
    owner_kind: str = ""


def build(visitor: Visitor, row: Any, url: str) -> TokenRow:
    """A row of a list of tokens; revoking is a form below `url`."""
    say = visitor.language
    kind = ""
    if "kind" in row:
        kind = translate(say, N_("service account") if row["kind"] == "service_account" else N_("person"))
    return TokenRow(
        row["name"],
        row["hint"],
        row["scope"],
        row.get("project") or "",
        tabs.stamp(visitor, row["created_at"]),
        tabs.stamp(visitor, row["expires_at"], translate(say, N_("never"))),
        tabs.stamp(visitor, row["used_at"], translate(say, N_("not yet"))),
        f"{url}/{row['id']}/revoke",
        row.get("user", ""),
        kind,
    )


def read(values: dict[str, str]) -> tuple[str, str, str | None]:
    """(name, scope, expires in) of the form. Raises Invalid."""
    name = check_line("name", values["name"], longest=100, required=True)
    scope = check_choice("scope", values["scope"], SCOPES)
    return name, scope, check_choice("expires_in", values["expires_in"], EXPIRIES) or None


def shown(language: str, made: NewToken) -> Secret:
    """The token, this one time."""
    return Secret(
        translate(language, "This is your new token."),
        translate(language, "Copy it now: it is not stored and is never shown again."),
        made.token,
    )

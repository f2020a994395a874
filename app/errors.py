"""Every error that a user can meet: 7 categories, each concrete one with a stable code and its own page.

Texts are templates with named slots, marked for translation by `N_`; the edge fills and translates them.
No framework is imported here, and a status number appears nowhere else.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

PROBLEMS: dict[str, type["AppError"]] = {}


def N_(text: str) -> str:  # noqa: N802 - the customary name for gettext's "mark only"
    """Marks a text for extraction; it is translated where it is shown."""
    return text


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of the input: RFC 6901 pointer, the line in a YAML source, and a fix.

    `message` is a template for translation that `slots` fill; `fix` is a replacement value.
    """

    pointer: str
    message: str
    fix: str | None = None
    line: int | None = None
    slots: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What is sent, in English."""
        message = self.message.format_map(_Lenient(self.slots)) if self.slots else self.message
        made = {"pointer": self.pointer, "message": message, "fix": self.fix, "line": self.line}
        return {key: value for key, value in made.items() if value is not None}


class BadValue(ValueError):
    """A single value that cannot be read, said by pure code that knows no pointer. `fix` is one that can be.

    `place` is a pointer below what was being read, where a rule about several fields is best mended in one of them.
    """

    place = ""

    def __init__(self, message: str, fix: str | None = None, **slots: Any) -> None:
        super().__init__(message.format_map(slots))
        self.message = message
        self.fix = fix
        self.slots = slots

    def at(self, place: str) -> "BadValue":
        """The same, said of the field at `place`."""
        self.place = place
        return self


class AppError(Exception):
    """Base of all. `fields` fill the slots of `detail` and `hint` and are part of the answer."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = ""
    title: ClassVar[str] = ""
    detail: ClassVar[str] = ""
    hint: ClassVar[str] = ""
    retry_after: int | None = None

    def __init__(self, errors: list[FieldError] | None = None, **fields: Any) -> None:
        self.errors = errors or []
        self.fields = fields
        super().__init__(self.detail.format_map(_Lenient(fields)))

    def __init_subclass__(cls) -> None:
        if cls.code:
            if cls.code in PROBLEMS:
                raise TypeError(f"two errors have the code {cls.code}")
            PROBLEMS[cls.code] = cls


class _Lenient(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


class Invalid(AppError):
    """The input cannot be accepted."""

    status = 422
    code = "INVALID"
    title = N_("The input is not valid")
    detail = N_("Some of what was sent cannot be accepted. Nothing was changed.")
    hint = N_("Correct the fields listed under errors and send it again.")


class Unauthenticated(AppError):
    """Nobody, or nobody any more."""

    status = 401
    code = "UNAUTHENTICATED"
    title = N_("Not signed in")
    detail = N_("This needs a session or a token, and none that is valid was sent.")
    hint = N_("Sign in, or run `berth login`. Tokens may have expired or been revoked.")


class Forbidden(AppError):
    """Known, but not allowed."""

    status = 403
    code = "FORBIDDEN"
    title = N_("Not allowed")
    detail = N_("You may see this, but your role does not let you do that.")
    hint = N_("Ask an owner of the project for a role that may.")


class NotFound(AppError):
    """Not there, or not for you: the answer is the same, so that nobody learns of others' things."""

    status = 404
    code = "NOT_FOUND"
    title = N_("Not found")
    detail = N_("There is nothing here by that name, or it is not shared with you.")
    hint = N_("Check the name, and the project you are in.")


class Conflict(AppError):
    """The state of the world does not allow it now."""

    status = 409
    code = "CONFLICT"
    title = N_("Conflict")
    detail = N_("The request does not fit the present state.")
    hint = N_("Load it again and see what changed.")


class TooMany(AppError):
    """Too much, or too often."""

    status = 429
    code = "TOO_MANY"
    title = N_("Too many requests")
    detail = N_("This was asked too often in a short time.")
    hint = N_("Wait a moment and try again.")
    retry_after = 60


class Unavailable(AppError):
    """Something that Berth needs does not answer. Nothing is wrong with the request."""

    status = 503
    code = "UNAVAILABLE"
    title = N_("Not available just now")
    detail = N_("Something that Berth needs does not answer. Nothing was changed.")
    hint = N_("Try again in a few seconds; administrators see the cause under health.")
    retry_after = 2

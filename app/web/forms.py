"""Forms of pages: what was typed, what is wrong with it and where, and what is shown once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.names import NOT_IN_A_LINE
from app.errors import N_, AppError, Conflict, FieldError, Invalid
from app.i18n import translate
from app.services.members import UnknownUser

# What a form shows again, with the reason; everything else is a page of its own.
REFUSALS = (Invalid, Conflict, UnknownUser)

ROLES = {"owner": N_("owner"), "editor": N_("editor"), "viewer": N_("viewer")}
SCOPES = {
    "read": N_("read: look at everything"),
    "write": N_("write: submit and stop runs"),
    "admin": N_("admin: everything that its owner may do"),
}
EXPIRIES = {"7d": N_("7 days"), "30d": N_("30 days"), "90d": N_("90 days"), "365d": N_("a year"), "": N_("never")}


@dataclass
class Form:
    """A form to show: values as they were typed, and errors by the field's name or of the whole."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    error: str = ""
    error_text: str = ""
    name: str = ""  # which form of the page it is, where there are several

    def value(self, name: str, default: str = "") -> str:
        """What stands in a field."""
        return self.values.get(name, default)

    def wrong(self, name: str) -> str:
        """What is wrong with a field, or ""."""
        return self.errors.get(name, "")


def refused(
    problem: AppError,
    language: str,
    values: Mapping[str, str],
    fields: tuple[str, ...],
    *,
    at: str = "",
    name: str = "",
) -> Form:
    """The form again. What the problem says of one of `fields` stands there; what is of none of them, or of the
    state of things, stands at the field `at`, or above the form."""
    made = Form(values, name=name)
    for one in problem.errors:
        field_name, said = one.pointer.strip("/"), translate(language, one.message, **one.slots)
        if field_name in fields:
            made.errors[field_name] = said
        else:
            made.error = f"{field_name}: {said}"
    if not problem.errors:
        detail = translate(language, problem.detail, **problem.fields)
        hint = translate(language, problem.hint, **problem.fields)
        if at:
            made.errors[at] = f"{detail} {hint}"
        else:
            made.error, made.error_text = detail, hint
    return made


def check_line(name: str, text: str, *, longest: int = 200, required: bool = False) -> str:
    """A text of one line without blanks around it. Raises Invalid at the field."""
    text = text.strip()
    if required and not text:
        raise Invalid([FieldError(f"/{name}", N_("must not be empty"))])
    if len(text) > longest:
        raise Invalid([FieldError(f"/{name}", N_("must have at most {max} characters"), slots={"max": longest})])
    if NOT_IN_A_LINE.search(text):
        raise Invalid([FieldError(f"/{name}", N_("must be one line without control characters"))])
    return text


def check_choice(name: str, value: str, known: Mapping[str, str]) -> str:
    """One of the values offered. Raises Invalid at the field."""
    if value not in known:
        raise Invalid([FieldError(f"/{name}", N_("is not one of those offered"))])
    return value


def options(language: str, known: Mapping[str, str]) -> list[tuple[str, str]]:
    """Values with their words, for a list to choose from."""
    return [(value, translate(language, text)) for value, text in known.items()]


@dataclass(frozen=True)
class Secret:
    """A token or a link that is shown on this one page and nowhere again."""

    title: str
    text: str
    value: str

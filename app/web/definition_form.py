"""The form of a job definition: a field for each parameter, what is said beside it, and how it is read again. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import N_, FieldError
from app.i18n import translate
from app.web import formats
from app.workloads import parameters, patterns
from app.workloads.parameters import Parameter

PREFIX = "p."  # of the fields' names, so that none is taken for the form's own


@dataclass(frozen=True)
class Option:
    """A choice. `value` is what the form sends."""

    value: str
    text: str
    is_on: bool


@dataclass
class Field:
    """One parameter as a form shows it. `kind` is text, select, check or lines."""

    name: str
    key: str
    kind: str
    label: str
    help: str
    limits: str
    value: str
    is_required: bool
    options: list[Option] = field(default_factory=list)
    keyboard: str = ""
    rows: int = 3
    is_on: bool = False
    error: str = ""
    fix: str = ""


def build_fields(
    declared: Mapping[str, Parameter],
    language: str,
    typed: Mapping[str, str] | None = None,
    errors: Sequence[FieldError] = (),
    secrets: Sequence[str] = (),
) -> list[Field]:
    """A field for each parameter, with what was typed before (else the default) and what is wrong with it.

    `secrets` are the names that a parameter which takes a secret offers.
    """
    wrong = {error.pointer.split("/")[2]: error for error in reversed(errors) if error.pointer.count("/") >= 2}
    made = []
    for name, one in declared.items():
        shown = _field(one, language, typed, secrets)
        if (error := wrong.get(name)) is not None:
            shown.error = translate(language, error.message, **error.slots)
            shown.fix = error.fix or ""
        made.append(shown)
    return made


def _field(one: Parameter, language: str, typed: Mapping[str, str] | None, secrets: Sequence[str]) -> Field:
    key = f"{PREFIX}{one.name}"
    default = parameters.typed(one.default) if one.has_default else ""
    value = default if typed is None else typed.get(key, "")
    made = Field(
        one.name,
        key,
        "text",
        one.label,
        one.description,
        limits_of(one, language),
        value,
        one.required,
    )
    if one.type == "boolean" and one.has_default:
        made.kind, made.is_on = "check", value == "true"
    elif one.type == parameters.SECRET:
        names = [name for name in secrets if not one.enum or name in one.enum]
        made.kind = "select"
        made.value = value if value in names else ""  # else the browser would take the first one
        made.options = [Option(name, name, name == value) for name in names]
        if not names:
            made.limits = translate(language, N_("The project has no such secret yet."))
    elif one.enum or one.type == "boolean":
        made.kind = "select"
        words = {"true": translate(language, "Yes"), "false": translate(language, "No")}
        values = [parameters.as_text(choice) for choice in one.enum] or ["true", "false"]
        made.options = [
            Option(choice, words.get(choice, choice) if one.type == "boolean" else choice, choice == value)
            for choice in values
        ]
    elif one.type == "array" or "\n" in value:
        made.kind, made.rows = "lines", min(max(3, value.count("\n") + 2), 12)
    elif one.type in ("integer", "number"):
        made.keyboard = "numeric" if one.type == "integer" else "decimal"
    return made


def limits_of(one: Parameter, language: str) -> str:
    """What values it takes, in words: "A whole number from 1 to 100.", and the default where there is one."""
    parts = []
    words = _TYPES[one.type] if not one.enum else ""
    if words:
        parts.append(translate(language, words))
    inner = one.items
    if inner is not None and inner.enum:
        choices = ", ".join(map(parameters.as_text, inner.enum))
        parts.append(translate(language, N_("Each is one of {choices}."), choices=choices))
    parts += [
        translate(language, text, **{name: _shown(one.limits[name]) for name in names})
        for names, text in _LIMITS
        if all(name in one.limits for name in names)
        and not any(set(names) < set(more) and all(name in one.limits for name in more) for more, _ in _LIMITS)
    ]
    if said := _form_of(one, language):
        parts.append(said)
    if one.has_default:
        default = ", ".join(map(parameters.as_text, one.default)) if isinstance(one.default, list) else ""
        default = default or parameters.as_text(one.default)
        if one.type == "boolean":
            default = translate(language, N_("Yes") if one.default else N_("No"))
        if default:
            parts.append(translate(language, N_("Usually {default}."), default=default[:100]))
    return (" " if language == "en" else "").join(parts)


_TYPES = {
    "string": "",
    "integer": N_("A whole number."),
    "number": N_("A number."),
    "boolean": "",
    "array": N_("One value on each line."),
    parameters.SECRET: N_("A secret of this project."),
}
_LIMITS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("minimum", "maximum"), N_("From {minimum} to {maximum}.")),
    (("minimum",), N_("{minimum} or more.")),
    (("maximum",), N_("{maximum} or less.")),
    (("exclusiveMinimum",), N_("More than {exclusiveMinimum}.")),
    (("exclusiveMaximum",), N_("Less than {exclusiveMaximum}.")),
    (("minLength", "maxLength"), N_("{minLength} to {maxLength} characters.")),
    (("minLength",), N_("At least {minLength} characters.")),
    (("maxLength",), N_("At most {maxLength} characters.")),
    (("minItems",), N_("At least {minItems} values.")),
    (("maxItems",), N_("At most {maxItems} values.")),
)


def _form_of(one: Parameter, language: str) -> str:
    """What a pattern asks for: in words, by an example, by the help above it or the default; else as it is."""
    pattern = one.limits.get("pattern")
    if pattern is None:
        return ""
    if (words := patterns.IN_WORDS.get(pattern)) is not None:
        said = translate(language, words.text, example=one.example or words.example)
        return translate(language, N_("{said}."), said=said[0].upper() + said[1:])
    if one.examples:
        return translate(language, N_("Such as {example}."), example=one.example[:100])
    if one.description or one.has_default:
        return ""
    return translate(language, N_("Has to match the regular expression {pattern}."), pattern=pattern)


def _shown(value: Any) -> str:
    return formats.grouped(value) if isinstance(value, int) and value >= 10_000 else str(value)


def missing(declared: Mapping[str, Parameter], given: Mapping[str, Any]) -> list[FieldError]:
    """What has to be given and is not."""
    errors = parameters.check_values(declared, given)[1]
    return [one for one in errors if one.pointer.removeprefix("/parameters/") not in given]


def read_fields(declared: Mapping[str, Parameter], sent: Mapping[str, str]) -> dict[str, Any]:
    """Values of what was sent. An empty field is not given, but where an empty text is a value like others."""
    values: dict[str, Any] = {}
    for name, one in declared.items():
        text = sent.get(f"{PREFIX}{name}", "")
        if one.type == "boolean" and one.has_default:
            values[name] = text == "true"
        elif text.strip() or (one.type in ("string", "array") and not one.required and not one.enum):
            values[name] = _chosen(one, text)
    return values


def _chosen(one: Parameter, text: str) -> Any:
    by_text = {parameters.as_text(choice): choice for choice in one.enum}
    return by_text[text] if text in by_text else parameters.from_text(one, text)

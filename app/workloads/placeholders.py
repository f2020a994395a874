"""Placeholders of a definition's spec: `${{ params.NAME }}`, and nothing else.

One form, no expressions: whatever begins with `${{` must be one, `$${{` is the two characters `${{` themselves. They
stand in values, never in keys, and never in `script`, where a value would become code. What a placeholder leaves
is text, but for `gpus`, `replicas`, `retry` and `parameters`, where one that stands alone keeps its type. A list
that stands alone in a list becomes its values; elsewhere it is joined by commas.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.errors import N_, FieldError
from app.workloads.findings import escaped
from app.workloads.parameters import as_text

_OPEN = re.compile(r"\$?\$\{\{")
_WHOLE = re.compile(r"\$\{\{[ \t]*params\.([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]*\}\}")
_TYPED = frozenset({"gpus", "replicas", "retry", "parameters"})
MOST = 500
_LONGEST_FIX = 200


class _NotOne(ValueError):
    """`${{` that begins no placeholder."""


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """("", text) and (name, "") in turn. Raises _NotOne."""
    at = 0
    for opened in _OPEN.finditer(text):
        if opened.start() < at:
            continue
        yield "", text[at : opened.start()]
        if opened[0].startswith("$$"):
            yield "", "${{"
            at = opened.end()
            continue
        found = _WHOLE.match(text, opened.start())
        if found is None:
            raise _NotOne
        yield found[1], ""
        at = found.end()
    yield "", text[at:]


def names_in(value: Any) -> set[str]:
    """Parameters that a value names, at any depth; what is malformed names none."""
    if isinstance(value, str):
        try:
            return {name for name, _ in _pieces(value) if name} if "${{" in value else set()
        except _NotOne:
            return set()
    if isinstance(value, dict):
        return set().union(*(names_in(inside) for inside in value.values()))
    if isinstance(value, list):
        return set().union(*(names_in(inside) for inside in value))
    return set()


def count_in(value: Any) -> int:
    """How many there are, at any depth: each may stand for a text of some thousand characters."""
    if isinstance(value, str):
        return value.count("${{")
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(count_in(one) for one in inside)


def check(value: Any, known: Mapping[str, Any], pointer: str) -> Iterator[FieldError]:
    """What is wrong with the placeholders of a spec."""
    if isinstance(value, dict):
        for name, inside in value.items():
            place = f"{pointer}/{escaped(name[:200])}"
            if "${{" in name:
                yield FieldError(place, N_("a placeholder cannot be a name; only values have them"))
            yield from check(inside, known, place)
    elif isinstance(value, list):
        for number, inside in enumerate(value):
            yield from check(inside, known, f"{pointer}/{number}")
    elif isinstance(value, str) and "${{" in value:
        yield from _check_text(value, known, pointer)


def _check_text(text: str, known: Mapping[str, Any], pointer: str) -> Iterator[FieldError]:
    try:
        names = [name for name, _ in _pieces(text) if name]
    except _NotOne:
        message = N_("has a placeholder that cannot be read; write it as `{form}`, or `{literal}` for the characters")
        yield FieldError(pointer, message, slots={"form": "${{ params.NAME }}", "literal": "$${{"})
        return
    if names and pointer == "/spec/script":
        message = N_("takes no placeholders, which would become code; write `{form}`, which Berth sets")
        yield FieldError(pointer, message, slots={"form": f'"$BERTH_PARAM_{names[0].upper()}"'})
        return
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, [one for one in known if one.isidentifier()], n=1)
            message = (
                N_("there is no parameter {name}; did you mean {near}?") if near else N_("there is no parameter {name}")
            )
            slots = {"name": name} | ({"near": near[0]} if near else {})
            fix = _renamed(text, name, near[0]) if near and len(text) <= _LONGEST_FIX else None
            yield FieldError(pointer, message, fix, slots=slots)


def _renamed(text: str, name: str, near: str) -> str:
    """`text` with the placeholders of one name being those of another; `$${{` is none."""
    return re.sub(rf"(?<!\$)\$\{{\{{[ \t]*params\.{name}[ \t]*\}}\}}", lambda _: f"${{{{ params.{near} }}}}", text)


def fill(spec: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with every placeholder replaced. `check` has found nothing, and `values` has every name."""
    return {name: _filled(value, values, name) for name, value in spec.items()}


def _filled(value: Any, values: Mapping[str, Any], field: str) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inside, values, field) for name, inside in value.items()}
    if isinstance(value, list):
        made: list[Any] = []
        for inside in value:
            alone = _alone(inside)
            if alone is not None and isinstance(values[alone], list):
                made += [as_text(one) for one in values[alone]]
            else:
                made.append(_filled(inside, values, field))
        return made
    if not isinstance(value, str) or "${{" not in value:
        return value
    alone = _alone(value)
    if alone is not None:
        found = values[alone]
        if isinstance(found, list) and field in ("command", "tags"):
            return [as_text(one) for one in found]
        return found if field in _TYPED and not isinstance(found, list) else as_text(found)
    return "".join(as_text(values[name]) if name else text for name, text in _pieces(value))


def _alone(value: Any) -> str | None:
    found = _WHOLE.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None

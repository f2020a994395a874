"""What would do in place of a mistake in a run's YAML, where one change is the likely one. Pure."""

import difflib
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import FieldError
from app.workloads.base import SecretUse
from app.workloads.findings import nearest_name
from app.workloads.kinds.job import JobSpec
from app.workloads.parameters import as_text
from app.workloads.patterns import IN_WORDS

SET, RENAME, DROP, TEXT = "set", "rename", "drop", "text"
_MISSING: Any = object()
CAUSES = ("failed", "oom_killed", "timed_out", "start_failed", "lost")
_NUMBERS = {"gpus": 0, "replicas": 1}
_USUAL: dict[str, Any] = {"cpu": 1, "memory": "1Gi", "timeout": "8h", "grace": "30s", "name": "run", "pool": "local"}
_BARE_KEY = re.compile(r"(\s*(?:- )?)([^\s:#'\"][^:#'\"]*?)(\s*:(?:\s|$).*)")
_BARE_VALUE = re.compile(r"(\s*(?:- )?[A-Za-z_][\w.-]*:\s+)([^\s'\"|>\[{#].*?)(\s*)")


@dataclass(frozen=True)
class Remedy:
    """`value` is what is put there, what the key should be called, or the whole text; `said` is it in short."""

    kind: str
    value: Any = None
    said: str = ""


@dataclass(frozen=True)
class _Case:
    """A mistake, the path to what it is about, and that itself."""

    path: list[str]
    value: Any
    error: FieldError


def of_value(error: FieldError, document: Mapping[str, Any]) -> Remedy | None:
    """The remedy of a mistake that is one of values, or None."""
    path = [part.replace("~1", "/").replace("~0", "~") for part in error.pointer.split("/")[1:]]
    if not path:
        return None
    value = _at(document, path)
    if error.fix is not None:
        return _set(_typed(path, error.fix))
    if error.message == "is not a field here" or (path[0] == "retry" and len(path) == 2 and path[1] not in CAUSES):
        return _called(path)
    of = _BY_MESSAGE.get(error.message)
    return of(_Case(path, value, error)) if of else None


def patch_of(document: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """A merge patch that puts `value` at `path` (None takes it out). Lists on the way are changed as a whole."""
    inside: Any = document
    for depth, part in enumerate(path):
        if isinstance(inside, list):
            return _nested(path[:depth], _with_item(inside, path[depth:], value))
        inside = inside.get(part) if isinstance(inside, Mapping) else None
    return _nested(path, value)


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    return dict(value)


def _with_item(items: list[Any], path: list[str], value: Any) -> list[Any] | None:
    index, rest = int(path[0]), path[1:]
    made = list(items)
    if not rest:
        made[index : index + 1] = [] if value is None else [value]
    elif isinstance(made[index], Mapping):
        changed = {**made[index], rest[0]: value}
        made[index] = {name: one for name, one in changed.items() if name != rest[0] or value is not None}
    return made or None


def _at(value: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value


def _set(value: Any) -> Remedy:
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Remedy(SET, value, said if len(said) <= 60 else f"{said[:57]}…")


def _typed(path: list[str], fix: str) -> Any:
    is_whole = path[0] in ("cpu", "retry", *_NUMBERS)
    return int(fix) if is_whole and re.fullmatch(r"-?\d{1,9}", fix) else fix


def _called(path: list[str]) -> Remedy:
    """A key that nobody knows: the nearest that somebody does, or none."""
    known: list[str] = [name for name in JobSpec.model_fields if name != "kind"]
    if path[0] == "retry" and len(path) == 2:
        known = list(CAUSES)
    elif path[0] == "secrets":
        known = list(SecretUse.model_fields)
    near = nearest_name(path[-1], known)
    # Keys inside of lists have no place of their own to be renamed at.
    return Remedy(RENAME, near, near) if near and path[0] != "secrets" else Remedy(DROP)


def _choice(case: _Case) -> Remedy | None:
    known = [word.strip(" '\"") for word in str(case.error.slots.get("expected", "")).split(",")]
    near = difflib.get_close_matches(str(case.value).lower(), known, n=1, cutoff=0.4)
    usual = "normal" if "normal" in known else known[0]
    return _set((near or [usual])[0])


def _whole(case: _Case) -> Remedy | None:
    if isinstance(case.value, str) and re.fullmatch(r"\s*\d{1,4}\s*", case.value):
        return _set(int(case.value))
    if isinstance(case.value, float) and 0 <= case.value < 1000:
        return _set(int(case.value))
    return _set(_NUMBERS.get(case.path[0], 1))


def _bound(case: _Case) -> Remedy | None:
    limit = next((case.error.slots[name] for name in ("ge", "le", "gt", "lt") if name in case.error.slots), None)
    return _set(int(limit)) if limit is not None and re.fullmatch(r"-?\d+", str(limit)) else None


def _list(case: _Case) -> Remedy | None:
    if case.value is None:
        return Remedy(DROP)
    if not isinstance(case.value, str):
        return None
    try:
        parts = shlex.split(case.value) if case.path[-1] == "command" else re.split(r"[,\s]+", case.value.strip())
    except ValueError:
        return None
    return _set(parts) if parts and any(parts) else Remedy(DROP)


def _object(case: _Case) -> Remedy | None:
    if isinstance(case.value, list) and case.value and all(isinstance(one, str) and "=" in one for one in case.value):
        return _set(dict(one.split("=", 1) for one in case.value))
    return Remedy(DROP)


def _text(case: _Case) -> Remedy | None:
    if case.value is None or case.value is _MISSING:
        return Remedy(DROP) if case.path[-1] != "name" else _set(_USUAL["name"])
    if isinstance(case.value, bool | int | float):
        return _set(as_text(case.value))
    if isinstance(case.value, list) and all(isinstance(one, str) for one in case.value) and case.path[-1] == "script":
        return _set("\n".join(case.value) + "\n")
    return None


def _quantity(case: _Case) -> Remedy | None:
    return Remedy(DROP) if case.value is None else _set(_USUAL[case.path[0]]) if case.path[0] in _USUAL else None


def _required(case: _Case) -> Remedy | None:
    return _set(_USUAL["name"]) if case.path == ["name"] else None


def _form(case: _Case) -> Remedy | None:
    """A name that breaks the rule for names: without what breaks it."""
    if case.path[0] == "snapshot":
        return Remedy(DROP)
    is_key = case.path[0] in ("parameters", "env") and len(case.path) == 2
    written = case.path[-1] if is_key else case.value
    if not isinstance(written, str):
        return None
    if is_key:
        made = re.sub(r"[^A-Za-z0-9_.-]+" if case.path[0] == "parameters" else r"[^A-Za-z0-9_]+", "_", written).strip(
            "_"
        )
        made = f"_{made}" if made[:1].isdigit() else made
        return Remedy(RENAME, made, made) if made and made != written else Remedy(DROP)
    extra = "._/:@-" if case.path[0] == "image" else "-" if case.path[0] == "pool" else "._/-"
    made = re.sub(rf"[^A-Za-z0-9{extra}]+", "-", written).strip(extra)[:63]
    made = made.lower() if case.path[0] == "pool" else made
    return _set(made) if made and made != written else Remedy(DROP)


def _one_line(case: _Case) -> Remedy | None:
    made = "".join(char for char in " ".join(str(case.value).split()) if char.isprintable())
    return _set(made) if isinstance(case.value, str) and made else None


def _cleaned(case: _Case) -> Remedy | None:
    made = (
        "".join(char for char in case.value if char.isprintable() or char in "\n\t")
        if isinstance(case.value, str)
        else ""
    )
    return _set(made) if made else None


def _shorter(case: _Case) -> Remedy | None:
    most = str(case.error.slots.get("max_length", ""))
    return (
        _set(case.value[: int(most)])
        if isinstance(case.value, str) and most.isdecimal() and len(case.path) == 1
        else None
    )


def _place(case: _Case) -> Remedy | None:
    if not isinstance(case.value, Mapping) or not isinstance(case.value.get("name"), str):
        return None
    return _set({"name": case.value["name"], "env": re.sub(r"[^A-Za-z0-9_]+", "_", case.value["name"])})


def _program(_: _Case) -> Remedy | None:
    return _set(["python", "train.py"])


def _drop(case: _Case) -> Remedy | None:
    return Remedy(DROP) if case.value is not _MISSING else None


_BY_MESSAGE: dict[str, Callable[[_Case], Remedy | None]] = {
    "must be one of {expected}": _choice,
    "must be a whole number": _whole,
    "must be at least {ge}": _bound,
    "must be at most {le}": _bound,
    "must be a list": _list,
    "must be an object": _object,
    "must be a text": _text,
    "must be text such as the examples show": _quantity,
    "is required": _required,
    "the number of characters must be at least {min_length}": _required,
    "the number of items must be at least {min_length}": _drop,
    "the number of characters must be at most {max_length}": _shorter,
    **{words.text: _form for words in IN_WORDS.values()},
    "{name} is not a name for an environment variable": _form,
    "{name} is set by Berth and cannot be set here": _drop,
    "must be a single line": _one_line,
    "must not contain control characters": _cleaned,
    "must be a text, a number, or true or false": _drop,
    "python and requirements exclude each other; keep one": _drop,
    "requirements is a file of the snapshot, and there is no snapshot": _drop,
    "what is to run is missing: give it as command, or as script": _program,
    "command and script exclude each other; keep one": _drop,
    "give either env or file": _place,
    "{name} is set twice, by env or by secrets": _drop,
    "was not uploaded to this project": _drop,
    "must stay inside the folder of the snapshot": _drop,
}


def of_text(text: str, error: FieldError) -> Remedy | None:
    """The remedy of a mistake in the writing itself, or None."""
    rows = text.split("\n")
    if error.line is None or not 1 <= error.line <= len(rows):
        return None
    row, index = rows[error.line - 1], error.line - 1
    new: list[str] | None = None
    if error.message.startswith("is indented with a tab"):
        blank = row[: len(row) - len(row.lstrip())]
        new = [blank.replace("\t", "  ") + row.lstrip()]
    elif error.message.startswith("stands twice") and not _has_more(rows, index):
        new = []
    elif error.message.startswith(("has a %YAML", "has a tag")):
        new = [] if row.startswith("%") else [re.sub(r"![\w!/.:-]*\s*", "", row, count=1)]
    elif error.message.startswith("has the key"):
        new = [_BARE_KEY.sub(r'\1"\2"\3', row)]
    elif error.message.startswith("has the control character"):
        new = ["".join(char for char in row if char.isprintable() or char == "\t")]
    elif "mapping values are not allowed" in str(error.slots.get("why")) and (found := _BARE_VALUE.fullmatch(row)):
        new = [found[1] + json.dumps(found[2], ensure_ascii=False) + found[3]]
    if new is None or new == [row]:
        return None
    return Remedy(TEXT, "\n".join([*rows[:index], *new, *rows[index + 1 :]]), new[0].strip()[:60] if new else "")


def _has_more(rows: list[str], index: int) -> bool:
    """Whether lines below belong to the one at `index`."""
    depth = len(rows[index]) - len(rows[index].lstrip())
    following = next((row for row in rows[index + 1 :] if row.strip()), "")
    return len(following) - len(following.lstrip()) > depth or rows[index].lstrip().startswith("- ")

"""The form beside a run's YAML: what its fields show of a document, and what typing in them changes in it. Pure.

Fields are compared with what they showed of the document they were made from; only what differs is an edit. So the
two can be edited in turn, and what the form has no field for is never touched.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import N_, FieldError
from app.workloads import yaml_source
from app.workloads.parameters import as_text
from app.workloads.remedies import CAUSES
from app.workloads.yaml_source import SourceError

LINES = (
    "name",
    "experiment",
    "image",
    "pool",
    "cpu",
    "memory",
    "shared_memory",
    "gpus",
    "replicas",
    "priority",
    "python",
    "requirements",
    "timeout",
    "grace",
)
_WITH_FIELDS = {*LINES, "tags", "command", "script", "retry", "parameters", "env", "secrets", "snapshot"}
_USUAL_RETRY = {"lost": 2}
MOST_ROWS = 100
_ROW = re.compile(r"([pes])\.(\d{1,3})\.(name|value|env|file)")
_PARTS = {"p": ("name", "value"), "e": ("name", "value"), "s": ("name", "env", "file")}
_PLACES = {"p": "parameters", "e": "env", "s": "secrets"}


@dataclass
class Shown:
    """What stands in the form: single fields by key, and rows of parameters (p), environment (e) and secrets (s)."""

    fields: dict[str, str] = field(default_factory=dict)
    rows: dict[str, list[tuple[str, ...]]] = field(default_factory=lambda: {"p": [], "e": [], "s": []})
    numbers: dict[str, list[int]] = field(default_factory=dict)  # of the rows, where a form left some of them empty

    def number(self, key: str, index: int) -> int:
        """What a row is called in the form."""
        return self.numbers[key][index] if key in self.numbers else index


@dataclass
class Changes:
    """What was typed, as changes to the document; `errors` are of what is no value and so is not in it yet."""

    patch: dict[str, Any] = field(default_factory=dict)
    renames: list[tuple[list[str], str]] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.patch or self.renames)


def show(value: Mapping[str, Any]) -> Shown:
    """The form of a document, which may be wrong in any way: what no field can show is left to the YAML."""
    made = Shown({name: _scalar(value.get(name)) for name in LINES})
    tags = value.get("tags")
    made.fields["tags"] = ", ".join(map(_scalar, tags)) if isinstance(tags, list) else _scalar(tags)
    made.fields["program"] = "script" if "script" in value and "command" not in value else "command"
    made.fields["code"] = _code(value)
    retry = value.get("retry", _USUAL_RETRY)
    for cause in CAUSES:
        made.fields[f"retry.{cause}"] = _scalar(retry.get(cause)) if isinstance(retry, Mapping) else ""
    for key in "pe":
        inside = value.get(_PLACES[key])
        if isinstance(inside, Mapping):
            rows = [(str(name), _scalar(one)) for name, one in inside.items() if not isinstance(one, list | dict)]
            made.rows[key] = list(rows[:MOST_ROWS])
    uses = value.get("secrets")
    if isinstance(uses, list):
        shown = [one for one in uses if isinstance(one, Mapping)][:MOST_ROWS]
        made.rows["s"] = [tuple(_scalar(one.get(part)) for part in _PARTS["s"]) for one in shown]
    return made


def others(value: Mapping[str, Any]) -> list[list[str]]:
    """The paths of what no field shows: it is kept as it is written, and can be changed in the YAML alone."""
    made = [[name] for name in value if name not in _WITH_FIELDS]
    for place in ("parameters", "env"):
        inside = value.get(place)
        if isinstance(inside, Mapping):
            made += [[place, str(name)] for name, one in inside.items() if isinstance(one, list | dict)]
    retry = value.get("retry")
    made += [["retry", str(name)] for name in retry if name not in CAUSES] if isinstance(retry, Mapping) else []
    return made


def read(sent: Mapping[str, str], shown: Shown) -> Shown:
    """What a form sent. A field that it does not have stays as it was shown."""
    made = Shown({name: _lines(sent.get(f"f.{name}", text)) for name, text in shown.fields.items()})
    found: dict[str, dict[int, dict[str, str]]] = {"p": {}, "e": {}, "s": {}}
    has_rows = sent.get("rows") == "1"
    for name, text in sent.items():
        if match := _ROW.fullmatch(name):
            found[match[1]].setdefault(int(match[2]), {})[match[3]] = _lines(text)
    for key, parts in _PARTS.items():
        if not has_rows:
            made.rows[key] = list(shown.rows[key])
            continue
        rows = [(at, tuple(row.get(part, "") for part in parts)) for at, row in sorted(found[key].items())]
        made.rows[key] = [row for _, row in rows if any(row)]
        made.numbers[key] = [at for at, row in rows if any(row)]
    return made


def changes(shown: Shown, typed: Shown, value: Mapping[str, Any]) -> Changes:
    """What makes the document say what was typed."""
    made = Changes()
    edits = {name: text for name, text in typed.fields.items() if text != shown.fields.get(name)}
    for name in LINES:
        if name in edits:
            made.patch[name] = _value(name, edits[name].strip(), value.get(name))
    if "tags" in edits:
        made.patch["tags"] = [tag for tag in re.split(r"[,\s]+", edits["tags"]) if tag] or None
    if "program" in edits or "code" in edits:
        _change_program(made, typed.fields["program"], typed.fields["code"], value)
    retry = {cause: edits[f"retry.{cause}"].strip() for cause in CAUSES if f"retry.{cause}" in edits}
    if retry:
        counts = {cause: int(text) if re.fullmatch(r"\d{1,4}", text) else text or None for cause, text in retry.items()}
        made.patch["retry"] = counts if isinstance(value.get("retry"), Mapping) else _USUAL_RETRY | counts
    for key in "pe":
        _change_rows(made, _PLACES[key], shown.rows[key], typed.rows[key], value)
    if typed.rows["s"] != shown.rows["s"]:
        uses = [
            {part: text.strip() for part, text in zip(_PARTS["s"], row, strict=True) if text.strip()}
            for row in typed.rows["s"]
        ]
        made.patch["secrets"] = uses or None
    return made


def without_older(typed: Shown, shown: Shown, written: Shown) -> Shown:
    """What was typed, without what the YAML, as `written`, has changed since: the later of two edits holds."""
    fields = {
        name: text if written.fields.get(name) == shown.fields.get(name) else shown.fields[name]
        for name, text in typed.fields.items()
    }
    made = Shown(fields, dict(typed.rows), dict(typed.numbers))
    for key in "pe":
        was, now = ({row[0]: row[1] for row in one.rows[key]} for one in (shown, written))
        kept = [
            (at, row if was.get(row[0]) == now.get(row[0]) else (row[0], was.get(row[0])))
            for at, row in enumerate(typed.rows[key])
        ]
        made.rows[key] = [(name, text) for _, (name, text) in kept if text is not None]
        made.numbers[key] = [typed.number(key, at) for at, (_, text) in kept if text is not None]
    if written.rows["s"] != shown.rows["s"]:
        made.rows["s"] = shown.rows["s"]
        made.numbers.pop("s", None)
    return made


def field_of(pointer: str, typed: Shown) -> str:
    """The id of the field that a pointer is about; "" for what the form has no field for."""
    place, _, rest = pointer.lstrip("/").partition("/")
    rest = rest.replace("~1", "/").replace("~0", "~")
    if place in ("command", "script"):
        return "f-code"
    if place == "retry":
        return f"f-retry-{rest}" if rest in CAUSES else "f-retry-lost"
    if place in (*LINES, "tags"):
        return f"f-{place}"
    if place in ("parameters", "env"):
        key = place[0]
        for index, row in enumerate(typed.rows[key]):
            if row[0].strip() == rest:
                return f"{key}-{typed.number(key, index)}-value"
        return f"{key}-0-value" if not rest else ""
    if place == "secrets":
        index_text, _, part = rest.partition("/")
        if index_text.isdecimal() and int(index_text) < len(typed.rows["s"]):
            return f"s-{typed.number('s', int(index_text))}-{part if part in _PARTS['s'] else 'name'}"
        return "" if index_text else "s-0-name"
    return ""


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, list | dict):
        return ""
    return as_text(value)


def _code(value: Mapping[str, Any]) -> str:
    command = value.get("command")
    if command is not None:
        return shlex.join(map(_scalar, command)) if isinstance(command, list) else _scalar(command)
    return _scalar(value.get("script")).removesuffix("\n")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _value(name: str, text: str, before: Any) -> Any:
    """What is typed into a field as a value; None, which takes the key out, for nothing."""
    if not text:
        return None
    if name in ("gpus", "replicas") and re.fullmatch(r"-?\d{1,9}", text):
        return int(text)
    if name == "cpu" and not isinstance(before, str) and re.fullmatch(r"\d{1,9}(\.\d{1,3})?", text):
        return float(text) if "." in text else int(text)
    return text


def _change_program(made: Changes, program: str, code: str, value: Mapping[str, Any]) -> None:
    other = "command" if program == "script" else "script"
    if other in value:
        made.patch[other] = None
    if not code.strip():
        made.patch |= {name: None for name in ("command", "script") if name in value}
    elif program == "script":
        before = value.get("script")
        ends = "\n" in code or (isinstance(before, str) and before.endswith("\n"))
        made.patch["script"] = code + "\n" if ends else code
    else:
        try:
            made.patch["command"] = shlex.split(code)
        except ValueError:
            made.patch.pop(other, None)
            message = N_("has a quotation mark that is opened and not closed, or ends in a backslash")
            made.errors.append(FieldError("/command", message))


def _change_rows(
    made: Changes, place: str, shown: Sequence[tuple[str, ...]], typed: Sequence[tuple[str, ...]], value: Any
) -> None:
    """Entries by name: those that went, those that are new, those that have another value."""
    before: dict[str, str] = {row[0]: row[1] for row in shown}
    after: dict[str, str] = {}
    for name, text in ((row[0].strip(), row[1]) for row in typed):
        if not name:
            made.errors.append(FieldError(f"/{place}", N_("has a value without a name")))
            return
        if name in after:
            made.errors.append(FieldError(f"/{place}/{_escaped(name)}", N_("stands twice")))
            return
        after[name] = text
    gone = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    inside = value.get(place)
    old = inside if isinstance(inside, Mapping) else {}
    if len(gone) == len(new) == 1 and new[0] not in old:
        made.renames.append(([place, gone[0]], new[0]))
        old = {**old, new[0]: old.get(gone[0])}
        before[new[0]] = before[gone[0]]
        gone = []
    patch: dict[str, Any] = dict.fromkeys(gone)
    for name, text in after.items():
        if text != before.get(name):
            patch[name] = text if place == "env" else _parameter(text, old.get(name))
    if patch:
        made.patch[place] = patch


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _parameter(text: str, before: Any) -> Any:
    """A text stays one; of everything else YAML's own rules say whether it is a number, a truth or a text."""
    if isinstance(before, str) or "\n" in text or len(text) > 40:
        return text
    try:
        found = yaml_source.read(f"x: {text}\n").value["x"]
    except SourceError:
        return text
    return found if isinstance(found, bool | int | float) else text

"""`--jq`: the paths of jq, without its functions, over what a command gives as JSON.

`.`, `.name`, `."a name"`, `[2]`, `[-1]` and `[]`, one after another and joined by ` | `: what people use most, without
a dependency. All else is for jq itself, which reads what `--json` prints.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from berth.errors import InvalidInput

_STEP = re.compile(r"""\.?\[(-?\d{1,9})?\]|\.([A-Za-z_]\w*)|\.?\[?("(?:[^"\\]|\\.)*")\]?""")
_HINT = "It takes paths such as .id, .[].name and .[0].tags[]; for more, pipe --json into jq."


class JsonPath:
    """A path that was understood. Raises InvalidInput, with the place, for what is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = [step for part in text.split("|") for step in self._read(part.strip())]

    def lines(self, value: Any) -> Iterator[str]:
        """Each value that the path leads to, on a line: a text as it is, all else as JSON. Raises InvalidInput."""
        for found in self._follow(value, 0):
            yield found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    def _read(self, part: str) -> Iterator[str | int | None]:
        if part == ".":
            return
        at = 0
        while at < len(part) or not part:
            step = _STEP.match(part, at)
            if step is None or not part.startswith(".") or not _is_closed(step):
                raise InvalidInput(f"--jq: {part[at:][:40]!r} is no path", hint=_HINT)
            number, name, quoted = step.groups()
            if name:
                yield name
            elif quoted:
                yield self._unquoted(quoted)
            else:
                yield None if number is None else int(number)
            at = step.end()

    def _unquoted(self, quoted: str) -> str:
        try:
            return str(json.loads(quoted))
        except ValueError:
            raise InvalidInput(f"--jq: {quoted[:40]} is no JSON text", hint=_HINT) from None

    def _follow(self, value: Any, done: int) -> Iterator[Any]:
        if done == len(self._steps):
            yield value
            return
        step = self._steps[done]
        if step is None:
            if not isinstance(value, dict | list):
                raise self._wrong(value, "[]")
            for inside in value.values() if isinstance(value, dict) else value:
                yield from self._follow(inside, done + 1)
            return
        wanted = dict if isinstance(step, str) else list
        if value is not None and not isinstance(value, wanted):
            raise self._wrong(value, f".{step}" if isinstance(step, str) else f"[{step}]")
        yield from self._follow(_inside(value, step), done + 1)

    def _wrong(self, value: Any, step: str) -> InvalidInput:
        names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
        return InvalidInput(f"--jq {self.text}: {step} is not possible on {names.get(type(value), 'a number')}")


def _is_closed(step: re.Match[str]) -> bool:
    return step[3] is None or ("[" in step[0][:2]) == step[0].endswith("]")


def _inside(value: Any, step: str | int) -> Any:
    """As jq: what is not there is null."""
    if isinstance(step, str):
        return (value or {}).get(step)
    listed = value or []
    return listed[step] if -len(listed) <= step < len(listed) else None

"""What `.gitignore` and `.berthignore` leave out, by the rules of gitignore(5)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

ALWAYS = frozenset({".git", "__pycache__", ".venv", "node_modules"})


@dataclass(frozen=True)
class Rule:
    """One pattern. `base` is the folder of its file, "" or ending in a slash."""

    base: str
    expression: re.Pattern[str]
    negated: bool
    folders_only: bool


def read_rules(text: str, base: str = "") -> list[Rule]:
    """The rules of one ignore file that lies in the folder `base` (relative, with "/", "" for the top)."""
    prefix = f"{base}/" if base else ""
    found = (_rule(line, prefix) for line in text.splitlines())
    return [rule for rule in found if rule is not None]


def is_ignored(path: str, is_folder: bool, rules: Iterable[Rule]) -> bool:
    """Whether the last rule that matches leaves `path` out. Its parents are the caller's to ask about."""
    ignored = False
    for rule in rules:
        applies = rule.negated == ignored and (is_folder or not rule.folders_only) and path.startswith(rule.base)
        if applies and rule.expression.fullmatch(path[len(rule.base) :]):
            ignored = not rule.negated
    return ignored


def _rule(line: str, base: str) -> Rule | None:
    line = _without_end_spaces(line)
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    pattern = line[1:] if negated else line
    folders_only = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    if not pattern:
        return None
    # A slash at the beginning or in the middle ties the pattern to the folder of its file.
    is_tied = "/" in pattern
    expression = _translate(pattern.removeprefix("/"))
    if expression is None:
        return None
    return Rule(base, re.compile(expression if is_tied else f"(?:.*/)?{expression}", re.DOTALL), negated, folders_only)


def _without_end_spaces(line: str) -> str:
    stripped = line.rstrip(" \t\r")
    return stripped + " " if stripped.endswith("\\") and len(stripped) < len(line) else stripped


def _translate(pattern: str) -> str | None:
    """A regular expression, None for a pattern that can match nothing."""
    segments = re.sub(r"(\*\*/)+", "**/", pattern).split("/") if "[" not in pattern else _split(pattern)
    out: list[str] = []
    for index, segment in enumerate(segments):
        is_last = index == len(segments) - 1
        if segment == "**":
            out.append(".+" if is_last else "(?:.*/)?")
            continue
        expression = _segment(segment)
        if expression is None:
            return None
        out.append(expression if is_last else expression + "/")
    return "".join(out)


def _split(pattern: str) -> list[str]:
    # A slash in brackets is part of them (and can match nothing).
    return re.findall(r"(?:\[[!^]?\]?[^\]]*\]|\\.|[^/])+", pattern) or [pattern]


def _segment(segment: str) -> str | None:
    parts: list[list[str]] = [[]]  # what stands between the stars
    position = 0
    while position < len(segment):
        rest = segment[position:]
        if rest[0] == "*":
            parts.append([])
            position += len(rest) - len(rest.lstrip("*"))
        elif rest[0] == "?":
            parts[-1].append("[^/]")
            position += 1
        elif rest[0] == "[":
            match = re.match(r"\[([!^]?)(\]?(?:\[:\w+:\]|\\.|[^\]\\])*)\]", rest, re.DOTALL)
            if not match:
                return None
            parts[-1].append(_character_class(match[1], match[2]))
            position += match.end()
        elif rest[0] == "\\":
            if len(rest) == 1:
                return None
            parts[-1].append(re.escape(rest[1]))
            position += 2
        else:
            parts[-1].append(re.escape(rest[0]))
            position += 1
    first, *others = ["".join(part) for part in parts]
    # Between two stars the first match is as good as any other: without going back, the time stays linear.
    middle = "".join(f"(?>[^/]*?{part})" for part in others[:-1])
    return first + middle + (f"[^/]*{others[-1]}" if others else "")


_CLASSES = {"alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s"}


def _character_class(negation: str, body: str) -> str:
    body = re.sub(r"\[:(\w+):\]", lambda found: _CLASSES.get(found[1], ""), body)
    body = re.sub(r"\\?([\[\]&~|^])", r"\\\1", body)
    if re.search(r"(.)-(.)", body) and any(low > high for low, high in re.findall(r"(\w)-(\w)", body)):
        return "(?!)"
    return f"(?!/)[{'^' if negation else ''}{body}]" if body else "(?!)"

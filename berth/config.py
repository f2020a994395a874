"""Which server, token and project are meant: flags, environment, `./.berth.toml`, then the user's contexts.

A token is only ever sent to the server that it belongs to: a `.berth.toml` comes with a folder that
somebody else may have written, so naming another server there must not carry a token away.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from berth.errors import InvalidInput

DEFAULT_SERVER = "http://localhost:8800"
FOLDER_FILE = ".berth.toml"
_CONTEXT_KEYS = ("server", "token", "project")


@dataclass(frozen=True)
class Setting:
    """A value and where it came from."""

    value: str
    origin: str


@dataclass(frozen=True)
class Settings:
    """What a client works with. None where nothing names it."""

    server: Setting
    token: Setting | None
    project: Setting | None
    context: Setting | None


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """The user's file, as the XDG base directory specification names it."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_CONFIG_HOME") or ""
    folder = Path(base) if base.startswith("/") else Path.home() / ".config"
    return folder / "berth" / "config.toml"


def resolve(
    server: str | None = None,
    token: str | None = None,
    project: str | None = None,
    context: str | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings in force; the arguments are the flags. Raises InvalidInput for a file or name that is wrong."""
    environ = os.environ if environ is None else environ
    path = config_path(environ)
    stored, here = read_file(path), read_file((folder or Path.cwd()) / FOLDER_FILE)
    contexts = _contexts(stored, path)
    named = _first(
        (context, "--context"),
        (environ.get("BERTH_CONTEXT"), "BERTH_CONTEXT"),
        (here.get("context"), f"./{FOLDER_FILE}"),
        (stored.get("current"), str(path)),
    )
    if named and named.value not in contexts:
        raise InvalidInput(
            f"there is no context {named.value!r} (from {named.origin})",
            code="NO_SUCH_CONTEXT",
            hint=f"Known: {', '.join(sorted(contexts)) or 'none'}. `berth login URL` makes one.",
        )
    of_context = contexts.get(named.value, {}) if named else {}
    from_context = f"context {named.value} in {path}" if named else ""
    # A job finds its own server in BERTH_URL.
    job_url = environ.get("BERTH_URL") if environ.get("BERTH_RUN_ID") else None
    chosen = _first(
        (server, "--server"),
        (environ.get("BERTH_SERVER"), "BERTH_SERVER"),
        (job_url, "BERTH_URL"),
        (None if context else here.get("server"), f"./{FOLDER_FILE}"),
        (of_context.get("server"), from_context),
        (DEFAULT_SERVER, "default"),
    )
    assert chosen is not None
    chosen = Setting(chosen.value.rstrip("/"), chosen.origin)
    if not same_server(of_context.get("server"), chosen.value):
        named = _context_of(contexts, chosen.value, path)
        of_context = contexts[named.value] if named else {}
        from_context = f"context {named.value} in {path}" if named else ""
    secret = _first((token, "--token"), (environ.get("BERTH_TOKEN"), "BERTH_TOKEN"))
    if secret and chosen.origin == f"./{FOLDER_FILE}" and not named:
        raise InvalidInput(
            f"{chosen.value} is named only by ./{FOLDER_FILE}, so {secret.origin} is not sent there",
            code="UNTRUSTED_SERVER",
            hint=f"If you trust it: BERTH_SERVER={chosen.value}, or `berth login {chosen.value}`.",
        )
    return Settings(
        server=chosen,
        token=secret or _first((of_context.get("token"), from_context)),
        project=_first(
            (project, "--project"),
            (environ.get("BERTH_PROJECT"), "BERTH_PROJECT"),
            (here.get("project"), f"./{FOLDER_FILE}"),
            (of_context.get("project"), from_context),
        ),
        context=named,
    )


def language(chosen: str | None) -> str:
    """The language tag that `chosen`, which may be a locale such as "zh_CN.UTF-8", stands for; "en" for none.

    Raises InvalidInput for what is no text or cannot be sent.
    """
    if chosen is not None and (not isinstance(chosen, str) or not (chosen.isascii() and chosen.isprintable())):
        raise InvalidInput(f"{chosen!r} is no language", hint='Give a tag such as "en" or "zh".')
    tag = (chosen or "").partition(".")[0].partition("@")[0].replace("_", "-")
    return "en" if tag in ("", "C", "POSIX") else tag


def read_file(path: Path) -> dict[str, Any]:
    """The content of a TOML file, {} where there is none. Raises InvalidInput."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    import tomllib  # 5 ms that nobody needs who has no file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InvalidInput:
    return InvalidInput(f"{path} cannot be read: {error}", code="CONFIG_INVALID")


def contexts() -> tuple[dict[str, dict[str, str]], str | None]:
    """All contexts by name, and the name of the current one."""
    path = config_path()
    stored = read_file(path)
    return _contexts(stored, path), stored.get("current")


def save_context(name: str, values: Mapping[str, str | None], make_current: bool = True) -> Path:
    """Changes a context (None removes a value) and returns the file, readable by its owner only."""
    path = config_path()
    stored = read_file(path)
    known = _contexts(stored, path)
    merged = {**known.get(name, {}), **values}
    known[name] = {key: value for key, value in merged.items() if value}
    _write(path, name if make_current else stored.get("current"), known)
    return path


def use_context(name: str) -> Path:
    """Makes a context the current one. Raises InvalidInput where there is none of that name."""
    path = config_path()
    known = _contexts(read_file(path), path)
    if name not in known:
        raise InvalidInput(
            f"there is no context {name!r}",
            code="NO_SUCH_CONTEXT",
            hint=f"Known: {', '.join(sorted(known)) or 'none'}.",
        )
    _write(path, name, known)
    return path


def context_name(server: str) -> str:
    """What the context of a server is called: its host and port."""
    return server.split("://", 1)[-1].rstrip("/")


def same_server(one: str | None, other: str) -> bool:
    """Whether two addresses are the same place, for the purpose of sending it a token."""
    return one is not None and one.rstrip("/").lower() == other.rstrip("/").lower()


def _first(*candidates: tuple[Any, str]) -> Setting | None:
    for value, origin in candidates:
        if value:
            if not isinstance(value, str):
                raise InvalidInput(f"{value!r} in {origin} must be a text", code="CONFIG_INVALID")
            return Setting(value, origin)
    return None


def _contexts(stored: Mapping[str, Any], path: Path) -> dict[str, dict[str, str]]:
    known = stored.get("contexts", {})
    if not isinstance(known, dict) or not all(isinstance(values, dict) for values in known.values()):
        raise InvalidInput(
            f'{path}: "contexts" must be tables, such as [contexts."localhost:8800"]', code="CONFIG_INVALID"
        )
    return {name: dict(values) for name, values in known.items()}


def _context_of(known: Mapping[str, Mapping[str, str]], server: str, path: Path) -> Setting | None:
    for name, values in known.items():
        if same_server(values.get("server"), server):
            return Setting(name, str(path))
    return None


def _write(path: Path, current: str | None, known: Mapping[str, Mapping[str, str]]) -> None:
    lines = ["# Written by `berth login` and `berth config`."]
    if current:
        lines.append(f"current = {_quoted(current)}")
    for name, values in sorted(known.items()):
        lines += ["", f"[contexts.{_quoted(name)}]"]
        lines += [f"{key} = {_quoted(values[key])}" for key in _CONTEXT_KEYS if key in values]
        lines += [f"{_quoted(key)} = {_quoted(str(values[key]))}" for key in values if key not in _CONTEXT_KEYS]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    draft.replace(path)


def _quoted(text: str) -> str:
    # A JSON text is a TOML basic string, but for DEL, which TOML wants escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

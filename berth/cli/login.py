"""`berth login` and `berth logout`: a token for this terminal, through the browser or from stdin."""

import argparse
import os
import platform
import sys
import time
from typing import TYPE_CHECKING

from berth import config
from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.shell import Shell, language
from berth.cli.text import plain
from berth.errors import BerthError, InvalidInput

if TYPE_CHECKING:
    from berth.client import Client


def _login_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", nargs="?", help="the server; by default the one in force")
    parser.add_argument("--with-token", action="store_true", help="read a token from stdin instead")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def _login(shell: Shell) -> int:
    from berth.client import Client

    options = shell.options
    known = config.contexts()[0]
    # A context that is not there yet is made, for a second identity on one server.
    settings = config.resolve(
        options.url or options.server, None, None, options.context if options.context in known else None
    )
    server = settings.server.value
    token = _piped(wait=options.with_token)
    if options.with_token:
        if not token:
            raise InvalidInput("stdin has no token", hint="`berth login --with-token < token.txt`")
    elif not token:
        token = _through_browser(shell, Client(server, language=language()))
    with Client(server, token, language=language()) as client:
        session = client.session.get().raw
    projects = [project["name"] for project in session.get("projects") or []]
    name = options.context or (settings.context.value if settings.context else config.context_name(server))
    project = known.get(name, {}).get("project") or options.project
    if project not in projects:
        project = projects[0] if len(projects) == 1 else None
    path = config.save_context(name, {"server": server, "token": token, "project": project})
    user = (session.get("user") or {}).get("name", "")
    shell.out.say(f"signed in to {server} as {plain(str(user))}; the token is in {path}")
    if project:
        shell.out.say(f"project: {project}")
    elif projects:
        shell.out.say(f"choose a project with `berth project use NAME`: {', '.join(projects)}")
    if os.environ.get("BERTH_TOKEN"):
        shell.out.say("note: BERTH_TOKEN is set and goes before it")
    return Exit.OK


def _piped(*, wait: bool) -> str:
    """The first line of standard input, where somebody gives one; without `wait`, within half a second."""
    if not wait:
        import select

        try:
            if sys.stdin.isatty() or not select.select([sys.stdin], [], [], 0.5)[0]:
                return ""
        except (OSError, ValueError):  # closed, or nothing that can be waited for
            return ""
    return sys.stdin.readline().strip()


def _through_browser(shell: Shell, client: "Client") -> str:
    with client:
        login = client.terminal_logins.start(platform.node()[:200] or None)
        shell.out.say(f"Open {plain(login.url)} and check that it shows the code {plain(login.user_code)}")
        if not shell.options.no_browser and _has_browser():
            import webbrowser

            webbrowser.open(login.url)
        end = time.monotonic() + float(login.raw.get("expires_in") or 600)
        pause = max(float(login.raw.get("interval") or 2), 0.1)
        while time.monotonic() < end:
            client.pause(pause)
            try:
                answer = client.terminal_logins.poll(login.device_code).raw
            except BerthError as problem:
                if problem.code == "LINK_NOT_VALID":
                    break
                if problem.status != 429:
                    raise
                pause = min(pause * 2, 30.0)
                continue
            if answer.get("status") == "approved":
                return str(answer["token"])
    raise BerthError("nobody approved it in time", code="LOGIN_EXPIRED", status=401, hint="`berth login` starts again.")


def _has_browser() -> bool:
    if not sys.stderr.isatty() or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _logout_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", nargs="?", help="the server; by default the one in force")


def _logout(shell: Shell) -> int:
    from berth.client import Client

    options = shell.options
    settings = config.resolve(options.url or options.server, None, None, options.context)
    known = config.contexts()[0]
    token = known.get(settings.context.value, {}).get("token") if settings.context else None
    if settings.context is None or not token:
        shell.out.say(f"no token is kept for {settings.server.value}")
        return Exit.OK
    try:
        with Client(settings.server.value, token, language=language()) as client:
            own = [row.id for row in client.tokens.list() if row.raw.get("hint") and token.startswith(row.raw["hint"])]
            if len(own) == 1:
                client.tokens.revoke(own[0])
    except BerthError as problem:
        if problem.status != 401:
            shell.out.say(f"note: the token could not be revoked: {plain(problem.detail)}")
    config.save_context(settings.context.value, {"token": None}, make_current=False)
    shell.out.say(f"signed out of {settings.server.value}")
    return Exit.OK


COMMANDS = (
    Command(
        "login",
        _login,
        "sign this terminal in",
        "berth login http://localhost:8800",
        _login_arguments,
        description="Prints an address and a code to approve in a browser, and keeps the token in the config file,\n"
        "readable by you only. --with-token reads a token from stdin, for machines without a person.\n"
        "--context NAME keeps it under that name, which may be new: a second identity on the same server.",
    ),
    Command(
        "logout",
        _logout,
        "forget, and revoke, the token of this terminal",
        "berth logout",
        _logout_arguments,
    ),
)

"""`berth notification …`: who is told when runs end, fail or wait too long."""

import argparse
import sys

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.errors import BerthError, InvalidInput

_FIELDS = (
    "id",
    "name",
    "channel",
    "target",
    "events",
    "wait_seconds",
    "whose",
    "project",
    "tags",
    "language",
    "muted",
    "old_secret_until",
    "created_at",
)
_DELIVERY_FIELDS = ("id", "type", "run", "state", "at", "next_attempt_at", "attempts")
_ID_LENGTH = 36
_EVENTS = {"ended": "run.ended", "failed": "run.failed", "waiting": "run.waiting"}


def _mine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--me", action="store_true", help="your own instead of the project's")


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as `berth notification ls` shows it, or the beginning or end of that")
    _mine(parser)


def _id(shell: Shell) -> str:
    """The one whose id is, begins or ends as was written: those made at about the same time begin alike."""
    text, own = shell.options.id.lower(), shell.options.me
    if len(text) >= _ID_LENGTH:
        return str(text)
    ids = [str(row.raw["id"]) for row in shell.client.notifications.list(own=own)]
    found = [one for one in ids if text and (one.startswith(text) or one.endswith(text))]
    if len(found) > 1:
        raise InvalidInput(f"{text} may be {', '.join(found[:5])}", code="AMBIGUOUS_ID", hint="Write more of the id.")
    if not found:
        whose = "your own notifications" if own else "the project's notifications"
        hint = f"`berth notification ls{' --me' if own else ''}` lists them."
        raise BerthError(f"none of {whose} has the id {text}", code="NOT_FOUND", status=404, hint=hint)
    return found[0]


def _ls(shell: Shell) -> int:
    columns = [
        Column("ID", lambda row: row.get("id")),
        Column("NAME", lambda row: row.get("name"), is_flexible=True),
        Column("BY", lambda row: row.get("channel")),
        Column("SENT TO", lambda row: row.get("target"), is_flexible=True),
        Column("EVENTS", lambda row: row.get("events")),
        Column("STATE", lambda row: "muted" if row.get("muted") else "on"),
    ]
    found = (row.raw for row in shell.client.notifications.list(own=shell.options.me))
    shell.out.table(found, columns, "none yet: `berth notification add --help`")
    return Exit.OK


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="https://… for a webhook, a mail address, or a chat's address such as slack://…; - reads it from stdin",
    )
    parser.add_argument(
        "--by",
        choices=("webhook", "mail", "chat"),
        help="how, where TARGET does not say it: chat for a chat's https://…",
    )
    parser.add_argument("--name", help="to tell it from others; by default how it is sent")
    parser.add_argument(
        "--on", metavar="EVENT", choices=tuple(_EVENTS), action="append", help="ended, failed (the default) or waiting"
    )
    parser.add_argument("--wait", metavar="TIME", default="1h", help="how long is too long for waiting, such as 30m")
    parser.add_argument("--tag", metavar="TAG", action="append", default=[], help="only runs with this tag")
    parser.add_argument("--language", choices=("en", "zh_CN"), help="of mails")
    _mine(parser)
    parser.add_argument("--all", action="store_true", help="with --me: everybody's runs, not only yours")
    parser.add_argument("--only", metavar="PROJECT", help="with --me: this project only")


def _add(shell: Shell) -> int:
    options = shell.options
    target = options.target
    if target == "-":
        target = sys.stdin.readline().strip()
    channel = options.by or _channel(target)
    made = shell.client.notifications.create(
        options.name or channel,
        channel,
        target,
        [_EVENTS[event] for event in options.on or ["failed"]],
        wait=options.wait,
        tags=options.tag,
        language=options.language,
        own=options.me,
        whose=("all" if options.all else "mine") if options.me else None,
        project=options.only if options.me else None,
    ).raw
    shell.result(made, "id", f"{made['name']} is set up; `berth notification test` shows whether it arrives")
    if made.get("secret") and not shell.out.is_json:
        shell.out.say(f"The secret, not shown again: {made['secret']}")
    return Exit.OK


def _channel(target: str) -> str:
    scheme, separator, _ = target.partition("://")
    if not separator:
        return "mail"
    return "webhook" if scheme.lower() in ("http", "https") else "chat"


def _change_arguments(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--name", help="to tell it from others")
    parser.add_argument("--target", metavar="TARGET", help="where it is sent from now on; - reads it from stdin")
    parser.add_argument(
        "--on", metavar="EVENT", choices=tuple(_EVENTS), action="append", help="ended, failed or waiting: these only"
    )
    parser.add_argument("--wait", metavar="TIME", help="how long is too long for waiting, such as 30m")
    tags = parser.add_mutually_exclusive_group()
    tags.add_argument("--tag", metavar="TAG", action="append", help="only runs with these tags")
    tags.add_argument("--any-tag", action="store_true", help="runs with any tags, or none")
    parser.add_argument("--language", choices=("en", "zh_CN"), help="of mails")
    parser.add_argument("--whose", choices=("mine", "all"), help="with --me: of your runs, or of everybody's")


def _change(shell: Shell) -> int:
    options = shell.options
    given = {name: getattr(options, name) for name in ("name", "target", "wait", "tag", "language", "whose")}
    changes = {"tags" if name == "tag" else name: value for name, value in given.items() if value is not None}
    if options.target == "-":
        changes["target"] = sys.stdin.readline().strip()
    if options.on:
        changes["events"] = [_EVENTS[event] for event in options.on]
    if options.any_tag:
        changes["tags"] = []
    if not changes:
        raise InvalidInput("nothing to change", hint="`berth notification change --help` lists what can be.")
    if options.whose and not options.me:
        raise InvalidInput("--whose is for your own", hint="Add --me.")
    made = shell.client.notifications.update(_id(shell), own=options.me, **changes).raw
    shell.result(made, "id", f"{made['name']} is changed")
    return Exit.OK


def _rotate(shell: Shell) -> int:
    options = shell.options
    if not shell.out.confirm("The old secret signs for one day more. Go on?", options.yes):
        return Exit.OK
    made = shell.client.notifications.rotate_secret(_id(shell), own=options.me).raw
    shell.result(made, "secret", "not shown again; for a day messages are signed with the old one, too")
    return Exit.OK


def _rm_arguments(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _rm(shell: Shell) -> int:
    options = shell.options
    if shell.out.confirm("What was not delivered yet is dropped. Go on?", options.yes):
        found = _id(shell)
        shell.client.notifications.delete(found, own=options.me)
        shell.out.say(f"{found} removed")
    return Exit.OK


def _mute(shell: Shell) -> int:
    return _set_muted(shell, muted=True)


def _unmute(shell: Shell) -> int:
    return _set_muted(shell, muted=False)


def _set_muted(shell: Shell, *, muted: bool) -> int:
    made = shell.client.notifications.update(_id(shell), own=shell.options.me, muted=muted).raw
    shell.result(made, "id", "sends nothing until `berth notification unmute`" if muted else "sends again")
    return Exit.OK


def _test(shell: Shell) -> int:
    made = shell.client.notifications.test(_id(shell), own=shell.options.me).raw
    shell.result(made, "id", "on its way; `berth notification deliveries` says how it went")
    return Exit.OK


def _deliveries_arguments(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--limit", type=int, default=20, help="how many, newest first (20)")
    parser.add_argument("--resend", metavar="DELIVERY", help="send this one again instead")


def _deliveries(shell: Shell) -> int:
    options = shell.options
    if options.resend:
        options.delivery = options.resend
        return _resend(shell)
    columns = [
        Column("ID", lambda row: row.get("id")),
        Column("WHAT", lambda row: row.get("type")),
        Column("RUN", lambda row: row.get("run")),
        Column("STATE", lambda row: row.get("state")),
        Column("ATTEMPTS", lambda row: len(row.get("attempts") or []), is_number=True),
        Column("LAST", lambda row: _last(row.get("attempts") or [])),
        Column("AT", lambda row: row.get("at")),
    ]
    found = shell.client.notifications.deliveries(_id(shell), own=options.me, limit=options.limit)
    shell.out.table((row.raw for row in found), columns, "nothing was sent yet")
    return Exit.OK


def _resend_arguments(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("delivery", metavar="DELIVERY", help="as `berth notification deliveries` shows it")


def _resend(shell: Shell) -> int:
    options = shell.options
    shell.client.notifications.resend(_id(shell), options.delivery, own=options.me)
    shell.out.say(f"{options.delivery} is sent again")
    return Exit.OK


def _last(attempts: list[dict[str, object]]) -> str:
    if not attempts:
        return ""
    last = attempts[-1]
    return " ".join(str(part) for part in (last.get("status"), last.get("error")) if part is not None)


COMMANDS = (
    Command(
        "notification ls", _ls, "list the project's, or your own", "berth notification ls --me", _mine, fields=_FIELDS
    ),
    Command(
        "notification add",
        _add,
        "be told by webhook, mail or chat",
        "berth notification add https://example.org/hook --on failed --on waiting --wait 30m -P vision",
        _add_arguments,
        (*_FIELDS, "secret"),
    ),
    Command(
        "notification mute", _mute, "keep one that sends nothing", "berth notification mute 0192f3ac", _one, _FIELDS
    ),
    Command("notification unmute", _unmute, "let it send again", "berth notification unmute 0192f3ac", _one, _FIELDS),
    Command(
        "notification change",
        _change,
        "change what is sent, and where; what is not named stays",
        "berth notification change 0192f3ac --on ended --wait 2h",
        _change_arguments,
        _FIELDS,
    ),
    Command(
        "notification rotate-secret",
        _rotate,
        "sign a webhook's messages with a new secret; it is shown once",
        "berth notification rotate-secret 0192f3ac",
        _rm_arguments,
        ("secret",),
    ),
    Command("notification rm", _rm, "remove one", "berth notification rm 0192f3ac", _rm_arguments),
    Command(
        "notification test", _test, "send a test message", "berth notification test 0192f3ac", _one, fields=("id",)
    ),
    Command(
        "notification deliveries",
        _deliveries,
        "what was sent, and how it went",
        "berth notification deliveries 0192f3ac --me",
        _deliveries_arguments,
        _DELIVERY_FIELDS,
    ),
    Command(
        "notification resend",
        _resend,
        "send a message once more",
        "berth notification resend 0192f3ac 0192f4b1-7a00-7000-8000-000000000001",
        _resend_arguments,
    ),
)

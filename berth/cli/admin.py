"""`berth admin …`: users, the audit log, health, and the way back for an admin who is locked out."""

import argparse

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.local import call_local
from berth.cli.output import Column
from berth.cli.shell import Shell

_USER_FIELDS = ("name", "display_name", "is_admin", "disabled", "created_at", "last_seen_at", "sessions")
_AUDIT_FIELDS = (
    "id",
    "at",
    "actor",
    "verb",
    "object_type",
    "object_id",
    "project",
    "before",
    "after",
    "address",
    "request_id",
)


def _user_ls(shell: Shell) -> int:
    columns = [
        Column("NAME", lambda user: user.get("name")),
        Column("DISPLAY NAME", lambda user: user.get("display_name"), is_flexible=True),
        Column("ADMIN", lambda user: "yes" if user.get("is_admin") else "-", lambda user: user.get("is_admin")),
        Column("STATE", lambda user: "disabled" if user.get("disabled") else "active"),
        Column("LAST SEEN", lambda user: user.get("last_seen_at")),
        Column("SESSIONS", lambda user: user.get("sessions"), is_number=True),
    ]
    shell.out.table((user.raw for user in shell.client.users.list()), columns, key="name")
    return Exit.OK


def _invite_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--display-name", metavar="TEXT", help="what people see")
    parser.add_argument("--admin", action="store_true", help="make a platform admin")
    parser.add_argument("--to", metavar="PROJECT", help="and a member of this project")
    parser.add_argument("--role", choices=("viewer", "editor", "owner"), help="with --to: the role there")


def _invite(shell: Shell) -> int:
    options = shell.options
    made = shell.client.users.invite(options.name, options.display_name, options.admin, options.to, options.role).raw
    shell.link(
        {**(made.get("user") or {}), **made}, "invitation_url", f"send this link to {options.name}; it works once"
    )
    return Exit.OK


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the user's name")


def _name_and_yes(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _disable(shell: Shell) -> int:
    name = shell.options.name
    if shell.out.confirm(f"All sessions and tokens of {name} end at once. Go on?", shell.options.yes):
        shell.client.users.update(name, disabled=True)
        shell.out.say(f"{name} is disabled")
    return Exit.OK


def _enable(shell: Shell) -> int:
    shell.client.users.update(shell.options.name, disabled=False)
    shell.out.say(f"{shell.options.name} is enabled")
    return Exit.OK


def _end_sessions(shell: Shell) -> int:
    name = shell.options.name
    if shell.out.confirm(f"{name} is signed out of every browser. Go on?", shell.options.yes):
        shell.client.users.end_sessions(name)
        shell.out.say(f"all sessions of {name} have ended; tokens go on working")
    return Exit.OK


def _reset(shell: Shell) -> int:
    made = shell.client.users.reset_password(shell.options.name).raw
    shell.link(made, "url", f"send this link to {shell.options.name}; it works once")
    return Exit.OK


def _audit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--actor", metavar="USER", help="only what this user did")
    parser.add_argument("--type", metavar="TYPE", help="only about objects of this type, such as run or user")
    parser.add_argument("--object", metavar="ID", help="only about this object")
    parser.add_argument("--verb", metavar="VERB", help="only what was done so, such as member.set")
    parser.add_argument("--since", metavar="TIME", help="from then on, such as 2026-11-01T00:00:00Z")
    parser.add_argument("--until", metavar="TIME", help="before then")
    parser.add_argument("-n", "--limit", type=int, default=50, help="at most so many (50); 0 is all")


def _audit(shell: Shell) -> int:
    options = shell.options
    rows = shell.client.audit.list(
        project=options.project,
        actor=options.actor,
        object_type=options.type,
        object_id=options.object,
        verb=options.verb,
        since=options.since,
        until=options.until,
        limit=options.limit if options.limit > 0 else None,
    )
    columns = [
        Column("TIME", lambda row: row.get("at")),
        Column("ACTOR", lambda row: row.get("actor")),
        Column("VERB", lambda row: row.get("verb")),
        Column("TYPE", lambda row: row.get("object_type")),
        Column("OBJECT", lambda row: row.get("object_id"), is_flexible=True),
        Column("PROJECT", lambda row: row.get("project")),
    ]
    shell.out.table((row.raw for row in rows), columns, "nothing yet")
    return Exit.OK


def _health(shell: Shell) -> int:
    found = shell.client.health.get().raw
    if shell.out.is_json:
        shell.out.object(found)
    else:
        columns = [
            Column("HEALTH", lambda check: check.get("health")),
            Column("PART", lambda check: check.get("part")),
            Column(
                "SAYS", lambda check: " ".join(filter(None, (check.get("says"), check.get("fix")))), is_flexible=True
            ),
        ]
        shell.out.table(iter(found.get("checks") or ()), columns, key="part")
    return Exit.OK if found.get("health") != "bad" else Exit.UNEXPECTED


def _reset_password(shell: Shell) -> int:
    return call_local("app.trial.reset_password", "main", shell.options.name)


def _reencrypt_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--new-key", action="store_true", help="make a new key first (only where Berth makes its keys)")


def _reencrypt(shell: Shell) -> int:
    return call_local("app.trial.reencrypt_secrets", "main", shell.options.new_key)


COMMANDS = (
    Command("admin user ls", _user_ls, "list all users", "berth admin user ls", fields=_USER_FIELDS),
    Command(
        "admin user invite",
        _invite,
        "make a user and a link to sign in with",
        "berth admin user invite ana --to vision --role editor",
        _invite_arguments,
        (*_USER_FIELDS, "invitation_url"),
    ),
    Command(
        "admin user disable",
        _disable,
        "end all sessions and tokens at once",
        "berth admin user disable ana",
        _name_and_yes,
    ),
    Command("admin user enable", _enable, "let somebody in again", "berth admin user enable ana", _name),
    Command(
        "admin user end-sessions",
        _end_sessions,
        "sign somebody out of every browser",
        "berth admin user end-sessions ana",
        _name_and_yes,
    ),
    Command(
        "admin user reset", _reset, "a link to choose a new password", "berth admin user reset ana", _name, ("url",)
    ),
    Command(
        "admin audit",
        _audit,
        "who changed what (with -P of one project)",
        "berth admin audit --actor ana --json",
        _audit_arguments,
        _AUDIT_FIELDS,
    ),
    Command("admin health", _health, "how well Berth's parts are", "berth admin health", fields=("health", "checks")),
    Command(
        "admin reset-password",
        _reset_password,
        "the way back for a locked-out admin",
        "berth admin reset-password ana",
        _name,
        is_remote=False,
        description="Works on the database of this machine, without signing in: for an admin who is locked out.\n"
        "Prints a link with which NAME chooses a new password.",
    ),
    Command(
        "admin reencrypt-secrets",
        _reencrypt,
        "put all project secrets under the newest key",
        "berth admin reencrypt-secrets --new-key",
        _reencrypt_arguments,
        is_remote=False,
        description="Works on the database of this machine, without signing in. May be repeated: what is under the\n"
        "newest key stays as it is. Afterwards older keys may be taken out of BERTH_ENCRYPTION_KEYS.",
    ),
)

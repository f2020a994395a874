"""`berth.AsyncClient` against the real server, and against one that answers late: parallel, cancelled, closed."""

import asyncio
import contextlib
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import pytest

import berth
from app import db
from app.models import Output
from app.services import metrics
from app.stores import objects
from app.workers.logs import ship_logs
from berth.aio import AsyncRun
from berth.records import Record, Series
from tests import factories
from tests.cli.conftest import ENVIRONMENT, ROOT, World
from tests.fakes_logs import FakeLogCluster

# What the async client has instead: `aclose`, and no bare streams and bodies.
NOT_AWAITED = {"close", "path", "pause", "send", "stream"}


def connect(world: World, **options: Any) -> berth.AsyncClient:
    return berth.AsyncClient(world.web.url, world.tokens[options.pop("who", "owner")], "vision", **options)


def public(thing: object) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(thing, callable) if not name.startswith("_")}


def test_every_method_of_the_client_has_its_twin() -> None:
    """Whoever adds a method to berth/ adds a line to berth/aio.py."""
    sync, twin = berth.Client("http://localhost:9", "t", "p"), berth.AsyncClient("http://localhost:9", "t", "p")
    nouns = {name for name, value in vars(berth.Client).items() if isinstance(value, cached_property)}
    pairs = [(name, getattr(sync, name), getattr(twin, name)) for name in sorted(nouns)]
    assert len(pairs) > 10
    for where, ours, theirs in [("", sync, twin), *pairs]:
        methods = set(public(type(ours))) - (NOT_AWAITED if not where else set())
        assert methods - set(public(type(theirs))) == set(), where
        for name in methods:
            method, made = getattr(type(ours), name), getattr(type(theirs), name)
            parameters = [inspect.signature(each).parameters.values() for each in (method, made)]
            # Only the names: a twin that is written out may have its annotations as texts or not.
            assert [p.name for p in parameters[0]] == [p.name for p in parameters[1]], (where, name)
            gives_many = "Iterator[" in str(inspect.signature(method).return_annotation)
            assert inspect.isasyncgenfunction(made) == gives_many, (where, name)
            assert inspect.iscoroutinefunction(made) != gives_many, (where, name)
    asyncio.run(twin.aclose())


def test_submit_look_and_list(world: World) -> None:
    async def go() -> None:
        async with connect(world) as client:
            assert await client.project() == "vision"
            made = await asyncio.gather(
                *(client.runs.submit(["true"], name=f"n{n}", parameters={"n": n}) for n in range(12))
            )
            assert len({run.id for run in made}) == 12
            assert all(isinstance(run, AsyncRun) for run in made)
            listed = [run async for run in client.runs.list()]
            assert {run.id for run in listed} == {run.id for run in made}
            assert (await listed[0].refresh()).id == listed[0].id
            assert (await made[0].stop()).desired == "stopped"
            copy = await made[1].clone({"parameters": {"n": 99}})
            assert (await client.runs.get(copy.id)).spec["parameters"] == {"n": 99}
            await client.secrets.set("HF_TOKEN", "canary-value")
            assert [secret.name async for secret in client.secrets.list()] == ["HF_TOKEN"]
            await client.jobs.apply("name: digits\nspec: {command: ['true']}\n")
            assert isinstance(await client.jobs.run("digits"), AsyncRun)
            assert [job.name async for job in client.jobs.list()] == ["digits"]
            assert [page.next async for page in client.pages("/projects")] == [None]

    asyncio.run(go())


def test_artifacts_and_the_best_of_a_metric(world: World, tmp_path: Path) -> None:
    run, content = world.make_run(state="succeeded"), b"weights"
    key = objects.output_key(world.project.id, run.id, 1, "d/model.pt")
    objects.of(world.project.id).put(key, content)
    with db.unit_of_work() as session:
        row = {"path": "d/model.pt", "attempt": 1, "bytes": len(content), "sha256": sha256(content).hexdigest()}
        session.add(Output(run_id=run.id, object_key=key, **row))
        metrics.add_points(session, run.id, {"points": [["loss", n, n, v] for n, v in enumerate((3.0, 1.0, 2.0))]})
        metrics.add_points(session, run.id, {"points": [["val/acc", n, n, v] for n, v in enumerate((0.3, 0.9, 0.2))]})

    async def go() -> None:
        async with connect(world) as client:
            found = await client.runs.get(run.public_id)
            model = (await found.artifacts())["d/model.pt"]
            assert (model.bytes, await model.read_bytes(), await model.read_text()) == (7, b"weights", "weights")
            assert (await model.download(tmp_path)) == tmp_path / "d" / "model.pt"
            assert {name: metric.best for name, metric in (await found.metrics()).items()} == {
                "loss": 1.0,
                "val/acc": 0.9,
            }

    asyncio.run(go())


def test_errors_are_those_of_the_client(world: World) -> None:
    async def go() -> None:
        async with connect(world) as client:
            with pytest.raises(berth.BerthError) as caught:
                await client.runs.get("r-2222222222")
            assert (caught.value.code, caught.value.status) == ("NOT_FOUND", 404)
            with pytest.raises(berth.BerthError, match="INVALID"):
                await anext(client.runs.list(q="stat:failed"))
        async with berth.AsyncClient("http://localhost:9", "t", "p") as client:
            with pytest.raises(berth.Unreachable):
                await client.session.get()

    asyncio.run(go())


def test_waiting_for_more_runs_than_there_are_threads(world: World) -> None:
    runs = [world.make_run(name=f"n{number}") for number in range(6)]

    async def go() -> None:
        async with connect(world, connections=2) as client:
            waiting = asyncio.gather(*(client.runs.wait(run.public_id, timeout=30) for run in runs))
            for run in runs:
                assert (await client.runs.get(run.public_id)).state == "queued"
                await asyncio.to_thread(world.set, run.public_id, state="succeeded", exit_code=0)
            assert {run.state for run in await waiting} == {"succeeded"}
            world.set(runs[0].public_id, state="failed", exit_code=3)
            with pytest.raises(berth.RunFailed) as failed:
                await client.runs.wait(runs[0].public_id, raise_on_failure=True)
            assert failed.value.exit_code == 3
            world.set(runs[1].public_id, state="running")
            with pytest.raises(berth.WaitTimeout):
                await client.runs.wait(runs[1].public_id, timeout=0.1)

    asyncio.run(go())


def test_logs_are_followed_to_the_end(world: World) -> None:
    run = world.make_run(state="running")
    with db.unit_of_work() as session:
        factories.make_attempt(session, run, state="running")
    cluster = FakeLogCluster()

    def write(*lines: str) -> None:
        cluster.write(run.public_id, 1, *lines)
        while ship_logs(cluster):
            pass

    write("one", "two")

    async def go() -> None:
        async with connect(world) as client:
            seen: list[str] = []
            async with contextlib.aclosing(client.runs.logs(run.public_id, follow=True)) as lines:
                async for line in lines:
                    seen.append(line.text)
                    if len(seen) == 2:
                        await asyncio.to_thread(write, "three")
                    if len(seen) == 3:
                        break
            assert seen == ["one", "two", "three"]
            follower = asyncio.create_task(anext(client.runs.logs(run.public_id, follow=True, after=3)))
            await asyncio.sleep(0.1)
            follower.cancel()
            with pytest.raises(asyncio.CancelledError):
                await follower
            assert [line.text async for line in client.runs.logs(run.public_id, tail=2)] == ["two", "three"]
        await no_threads_left()

    asyncio.run(go())


class Late(BaseHTTPRequestHandler):
    """Answers when it is let, and tells how many have been asked."""

    protocol_version = "HTTP/1.1"
    asked = 0
    broken = 0
    let = threading.Event()
    lock = threading.Lock()

    def do_GET(self) -> None:
        with Late.lock:
            Late.asked += 1
        while not Late.let.is_set():
            # A socket that can be read has been shut down: nobody sends anything more here.
            self.connection.settimeout(0.02)
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    with Late.lock:
                        Late.broken += 1
                    self.close_connection = True
                    return
        body = b"{}"
        self.connection.settimeout(None)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def late() -> Iterator[str]:
    Late.asked = Late.broken = 0
    Late.let.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Late)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Late.let.set()
    server.shutdown()
    server.server_close()


async def until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def no_threads_left() -> None:
    await until(lambda: not [each for each in threading.enumerate() if each.name.startswith("berth-call")])


def test_a_cancelled_task_breaks_its_request_off(late: str) -> None:
    async def go() -> None:
        async with berth.AsyncClient(late, "t", "p") as client:
            task = asyncio.create_task(client.get("/session"))
            await until(lambda: Late.asked == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: Late.broken == 1)
            assert Late.asked == 1, "it is not repeated"
            Late.let.set()
            assert (await client.get("/session")).data == {}
        await no_threads_left()

    asyncio.run(go())


def test_requests_are_bounded_and_those_that_wait_can_be_cancelled(late: str) -> None:
    async def go() -> None:
        async with berth.AsyncClient(late, "t", "p", connections=3) as client:
            tasks = [asyncio.create_task(client.get("/session")) for _ in range(10)]
            await until(lambda: Late.asked == 3)
            await asyncio.sleep(0.05)
            assert Late.asked == 3
            for task in tasks[3:]:
                task.cancel()
            Late.let.set()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(each, asyncio.CancelledError) for each in done] == [False] * 3 + [True] * 7
            assert Late.asked == 3, "what was cancelled before it began is never sent"

    asyncio.run(go())


def test_closing_ends_what_is_under_way(late: str) -> None:
    async def go() -> None:
        client = berth.AsyncClient(late, "t", "p")
        task = asyncio.create_task(client.get("/session"))
        await until(lambda: Late.asked == 1)
        await client.aclose()
        with pytest.raises(berth.BerthError) as caught:
            await task
        assert caught.value.code == "CLIENT_CLOSED"
        with pytest.raises(berth.BerthError) as caught:
            await client.runs.get("r-2222222222")
        assert caught.value.code == "CLIENT_CLOSED"
        await client.aclose()
        await no_threads_left()

    asyncio.run(go())


def test_a_program_ends_though_it_has_not_closed_its_client(late: str, tmp_path: Path) -> None:
    program = (
        "import asyncio, berth, sys\n"
        "async def go():\n"
        "    client = berth.AsyncClient(sys.argv[1], 't', 'p')\n"
        "    await asyncio.wait_for(client.get('/session'), 0.2)\n"
        "asyncio.run(go())\n"
    )
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command = [sys.executable, "-P", "-c", program, late]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.rstrip().endswith("TimeoutError")


if TYPE_CHECKING:

    async def _types_are_those_of_the_client(client: berth.AsyncClient) -> None:
        """Checked by `make types` as a user's mypy --strict would: real parameters and results, mistakes found."""
        run = await client.runs.submit(["true"], cpu="1")
        assert_type(run, AsyncRun)
        assert_type(await run.wait(timeout="1h"), AsyncRun)
        assert_type([line.text async for line in client.runs.logs(run.id, follow=True)], list[str])
        assert_type([run.state async for run in client.runs.list(limit=3)], list[str])
        assert_type(await client.runs.metrics(run.id), dict[str, Series])
        assert_type(await client.secrets.set("A", "b"), Record)
        await client.runs.get(5)  # type: ignore[arg-type]
        await client.secrets.set("A", valu="b")  # type: ignore[call-arg]

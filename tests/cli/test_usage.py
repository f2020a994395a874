"""`berth run usage` and `run.usage()` against a real server."""

from app import db
from app.domain.usage import Lines, Slice
from app.repositories import usage
from app.repositories.usage import UsageSource
from tests import factories
from tests.cli.conftest import World

MIB = 1 << 20


def measure(world: World, *, gpu: bool = False) -> str:
    """A running run with a minute of use."""
    run = world.make_run(state="running", cpu_millis=4000, memory_bytes=1 << 30)
    gpus = (2, 870, 512 * MIB) if gpu else (None, None, None)
    one = Slice(0, 2000, 800_000, 300, 500, 200 * MIB, 190 * MIB, 310 * MIB, 4096, 8192, 5 * MIB, *gpus)
    slices = [one._replace(end_ms=1_795_325_000_000 + 2000 * place) for place in range(30)]
    with db.unit_of_work() as session:
        factories.make_attempt(session, run, state="running", started_at=run.created_at)
        source = UsageSource(run.id, run.public_id, 1, 0, 0)
        assert usage.add_lines(session, source, Lines(slices, "nvidia-smi" if gpu else ""), 1)
    return str(run.public_id)


def test_a_table(world: World) -> None:
    shown = world.cli("run", "usage", measure(world))
    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    assert rows[0] == ["cpu", "0.40", "0.50", "4", "10%"]
    assert rows[1] == ["memory", "200.0 MiB", "310.0 MiB", "1.0 GiB", "30%"]
    assert [row[0] for row in rows] == ["cpu", "memory", "disk read", "disk written", "files"]
    assert "no nvidia-smi" in shown.stderr


def test_gpus(world: World) -> None:
    shown = world.cli("run", "usage", measure(world, gpu=True))
    assert "gpus\t87%\t2\t0\t" in shown.stdout
    assert "gpu memory\t\t512.0 MiB" in shown.stdout
    assert shown.stderr == ""


def test_json(world: World) -> None:
    found = world.cli.json("run", "usage", measure(world), "--json=state,summary,at_ms", "--buckets", "4")
    assert (found["state"], found["summary"]["cpu_mean"]) == ("live", 0.4)
    assert len(found["at_ms"]) <= 4


def test_before_there_is_anything(world: World) -> None:
    run = world.make_run()
    shown = world.cli("run", "usage", run.public_id)
    assert (shown.stdout, "not started" in shown.stderr) == ("", True)
    world.cli("run", "usage", run.public_id, "--attempt", "7", code=5)
    world.cli("run", "usage", "r-zzzzzzzzzz", code=5)

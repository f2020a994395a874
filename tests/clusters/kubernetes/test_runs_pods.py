"""Runs as pods on a real cluster: how they start, end and fail, and what they leave."""

import io
import json
import tarfile
import time
from collections.abc import Iterator

import pytest

from app.clusters.base import ClusterRejected, ClusterUnavailable, SecretValues
from app.workloads.plans import RunPlan, SecretRef
from tests.clusters.contract import SLEEP, TALK
from tests.clusters.kubernetes.pod_world import PodWorld
from tests.clusters.kubernetes.world import Namespace
from tests.clusters.world import wait_for

pytestmark = pytest.mark.cluster


@pytest.fixture
def world(namespace: Namespace) -> Iterator[PodWorld]:
    made = PodWorld.create(namespace)
    yield made
    made.close()


def test_what_a_program_finds_in_its_pod(world: PodWorld) -> None:
    """An image whose user is root, under Berth's uid: places to write, shared memory, the SDK, literal texts."""
    program = """
import berth, json, os, pathlib
for name in ("HOME", "BERTH_OUTPUT", "BERTH_CHECKPOINT"):
    pathlib.Path(os.environ[name], "probe").write_text("x")
berth.run().log({"loss": 0.5}, step=1)
found = os.statvfs("/dev/shm")
secrets = pathlib.Path(os.environ["BERTH_SECRETS"])
print(json.dumps({
    "uid": os.getuid(), "shm": found.f_blocks * found.f_frsize, "cwd": os.getcwd(), "odd": os.environ["ODD"],
    "argument": __import__("sys").argv[1], "secret": os.environ["PASSWORD"][::-1],
    "file": (secrets / "key").read_text()[::-1],
    "token": os.environ["BERTH_TOKEN"], "is_first": os.getpid() == 1, "berth": berth.__file__,
    "service_account": os.path.exists("/var/run/secrets/kubernetes.io"),
}))
"""
    odd = "$(HOME) $HOME $$ 'q' \"q\" \\ é"
    plan = world.plan(
        program,
        env={"ODD": odd},
        command=["python3", "main.py", "$(HOME) $$"],
        shared_memory_bytes=32 << 20,
        secrets=[SecretRef("db", env="PASSWORD"), SecretRef("tls", file="key")],
    )
    world.cluster.start(plan, SecretValues({"db": "s3cret $(HOME)", "tls": "line1\nline2"}))
    assert world.wait_end(plan).exit_code == 0, world.text(plan)
    found = json.loads(next(line for line in world.text(plan).splitlines() if line.startswith("{")))
    assert found == {
        "uid": 1000,
        "shm": 32 << 20,
        "cwd": "/berth/code",
        "odd": odd,
        "argument": "$(HOME) $$",
        "secret": "s3cret $(HOME)"[::-1],
        "file": "line1\nline2"[::-1],
        "token": "secret-of-the-run",
        "is_first": False,
        "berth": "/berth/sdk/berth/__init__.py",
        "service_account": False,
    }
    assert any(b"loss" in body for path, body in world.server.posted if path.endswith("/metrics"))
    assert world.server.tokens == {"Bearer secret-of-the-run"}
    pod = json.dumps(world.pod(plan))
    assert "s3cret" not in pod
    assert "secret-of-the-run" not in pod
    secret = f"{world.namespace.core}/secrets/{plan.run_id}-1"
    (owner,) = world.namespace.cluster.api.get(secret)["metadata"]["ownerReferences"]
    assert owner["kind"] == "Job"
    world.cluster.clean_up(plan.run_id, 1, last=True)
    with pytest.raises(Exception, match="not found"):
        world.namespace.cluster.api.get(secret)


def test_what_it_leaves_is_sent_and_comes_back(world: PodWorld) -> None:
    """Outputs by file, also after a failure; the checkpoint to the next attempt."""
    program = """
import os, pathlib, sys
out, checkpoint = pathlib.Path(os.environ["BERTH_OUTPUT"]), pathlib.Path(os.environ["BERTH_CHECKPOINT"])
epoch = checkpoint / "deep" / "epoch"
print("epoch", epoch.read_text() if epoch.exists() else "none")
(out / "a/b").mkdir(parents=True)
(out / "a/b/model é.bin").write_bytes(bytes(range(256)) * 4000)
(out / "empty").touch()
(out / "link").symlink_to("/etc/passwd")
os.mkfifo(out / "pipe")
epoch.parent.mkdir(exist_ok=True)
epoch.write_text("7")
sys.exit(4)
"""
    plan = world.plan(program)
    assert world.run(plan).exit_code == 4
    sent = {path: body for (run, path), body in world.server.outputs.items() if run == plan.run_id}
    assert sent == {"a/b/model é.bin": bytes(range(256)) * 4000, "empty": b""}
    assert "epoch none" in world.text(plan)
    again = world.plan(program, run_id=plan.run_id, attempt=2)
    assert world.run(again).exit_code == 4
    assert "epoch 7" in world.text(again)


def test_what_a_short_program_leaves_is_sent(world: PodWorld) -> None:
    """It ends before its keeper is ready."""
    plan = world.plan(command=["sh", "-c", 'echo x > "$BERTH_OUTPUT/a"; echo y > "$BERTH_CHECKPOINT/b"'])
    assert world.run(plan).exit_code == 0
    assert world.server.outputs == {(plan.run_id, "a"): b"x\n"}
    assert b"y\n" in world.server.checkpoints[plan.run_id]


def test_outputs_come_while_it_runs(world: PodWorld) -> None:
    plan = world.plan("import os, pathlib\npathlib.Path(os.environ['BERTH_OUTPUT'], 'early').write_text('e')\n" + SLEEP)
    world.cluster.start(plan)
    wait_for(lambda: world.server.outputs.get((plan.run_id, "early")), 40)
    assert world.status(plan).replicas[0].phase == "running"  # type: ignore[union-attr]


def test_what_is_always_being_changed_is_sent_while_it_runs(world: PodWorld) -> None:
    """A checkpoint that is replaced each second, and an output that is written anew."""
    program = """
import os, pathlib, time
out, checkpoint = pathlib.Path(os.environ["BERTH_OUTPUT"], "state"), pathlib.Path(os.environ["BERTH_CHECKPOINT"], "c")
while True:
    now = f"{time.time():010.0f}"
    checkpoint.with_suffix(".tmp").write_text(now * 100_000)
    os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
    out.write_text(now)
    print("now", now)
    time.sleep(1)
"""
    plan = world.plan(program)
    world.cluster.start(plan)
    world.wait_line(plan, "now")

    def stored() -> tuple[int, int] | None:
        out, tar = world.server.outputs.get((plan.run_id, "state")), world.server.checkpoints.get(plan.run_id)
        if not out or tar is None:
            return None
        with tarfile.open(fileobj=io.BytesIO(tar)) as members:
            body = members.extractfile("c")
            assert body is not None
            text = body.read()
        assert text == text[:10] * 100_000
        return int(out), int(text[:10])

    first, ages = wait_for(stored, 40), []

    def is_newer() -> bool:
        now = stored()
        assert now is not None
        ages.append(time.time() - min(now))
        return min(now) > max(first)

    wait_for(is_newer, 40)
    assert max(ages) <= 30
    assert world.status(plan).replicas[0].phase == "running"  # type: ignore[union-attr]


def test_packages_that_cannot_be_had_are_told_in_the_log(world: PodWorld) -> None:
    """What pip said is the run's log, with its secrets masked; also of a program that has none, why is told there."""
    files: dict[str, str | bytes] = {"main.py": TALK, "needs.txt": "nowhere-to-be-had==1\n"}
    plan = world.plan(
        snapshot_digest=world.upload(files),
        requirements="needs.txt",
        cpu_millis=600,
        env={"PIP_RETRIES": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        secrets=[SecretRef("index", env="PIP_INDEX_URL")],
    )
    without_code = world.plan(snapshot_digest="0" * 64)
    world.cluster.start(plan, SecretValues({"index": "http://index.invalid/simple"}))
    world.cluster.start(without_code)
    for each in (plan, without_code):
        assert world.wait_end(each).cause == "start_failed"
    text = wait_for(lambda: _told(world, plan))
    assert "No matching distribution found for nowhere-to-be-had==1" in text
    assert "***" in text
    assert "index.invalid/simple" not in text
    assert "is not in the object store" in wait_for(lambda: _told(world, without_code))


def _told(world: PodWorld, plan: RunPlan) -> str | None:
    try:
        return world.text(plan)
    except ClusterUnavailable:  # not read to its end yet
        return None


def test_a_pod_that_somebody_deletes(world: PodWorld) -> None:
    plan = world.plan(SLEEP)
    world.cluster.start(plan)
    world.wait_line(plan, "ready")
    world.namespace.cluster.api.delete(f"{world.namespace.core}/pods/{world.pod(plan)['metadata']['name']}")
    replica = world.wait_end(plan)
    assert (replica.phase, replica.cause, replica.finding) == ("lost", "lost", {"code": "POD_DELETED"})
    assert world.text(plan) == "ready"
    world.cluster.clean_up(plan.run_id, 1, last=True)


def test_a_log_that_nobody_followed_is_a_visible_gap(world: PodWorld) -> None:
    plan = world.plan(SLEEP)
    world.cluster.start(plan)
    wait_for(lambda: world.status(plan).replicas[0].phase == "running")  # type: ignore[union-attr]
    pod = f"{world.namespace.core}/pods/{world.pod(plan)['metadata']['name']}"
    world.namespace.cluster.api.delete(pod)
    world.wait_end(plan)
    pods = f"{world.namespace.core}/pods"
    wait_for(lambda: not world.namespace.cluster.api.get(pods)["items"])
    after = world.new_cluster()
    wait_for(lambda: (found := world.status(plan, after)) is not None and found.gone)
    piece = after.read_log(plan.run_id, 1, 0, 0, 1000)
    assert b" g 0 0 its pod is gone" in piece.data
    assert after.read_log(plan.run_id, 1, 0, piece.end_offset, 1000).data == b""


def test_a_secret_that_cannot_be_had(world: PodWorld) -> None:
    plan = world.plan(TALK, secrets=[SecretRef("gone", env="GONE")])
    with pytest.raises(ClusterRejected, match="the secret gone cannot be given to it: it was deleted"):
        world.cluster.start(plan, SecretValues({}, {"gone": "it was deleted"}))
    assert world.cluster.statuses() == []


def test_secrets_are_masked_in_what_it_says(world: PodWorld) -> None:
    plan = world.plan(
        "import os, sys\nprint('uses', os.environ['PASSWORD'])\nsys.exit('cannot log in as ' + os.environ['PASSWORD'])",
        secrets=[SecretRef("db", env="PASSWORD")],
    )
    world.cluster.start(plan, SecretValues({"db": "s3cret-of-the-db"}))
    replica = world.wait_end(plan)
    assert (replica.exit_code, replica.first_error) == (1, "cannot log in as ***")
    # Nothing says which of two pipes is read first.
    assert sorted(world.text(plan).splitlines()) == ["cannot log in as ***", "uses ***"]


def test_a_log_read_by_many_in_turn_is_whole(world: PodWorld) -> None:
    """Each reader goes on where the one before was, as after a restart, while it is written and afterwards."""
    count = 30_000
    program = f"import time\nfor i in range({count}):\n    print('line', i)\n    i % 3000 or time.sleep(0.2)\n"
    plan = world.plan(program + "print('x' * 200_000)\nprint('no end', end='')")
    world.cluster.start(plan)
    data, offset, readers = b"", 0, 0

    def read() -> bool:
        nonlocal data, offset, readers
        reader = world.new_cluster() if readers < 12 and len(data) > readers * 30_000 else world.made[-1]
        readers = len(world.made)
        status = world.status(plan, reader)
        try:
            piece = reader.read_log(plan.run_id, 1, 0, offset, 50_000)
        except Exception as error:  # told to come again
            assert "not read to its end yet" in str(error), error
            return False
        data, offset = data + piece.data, piece.end_offset
        return bool(status and status.gone and not piece.data)

    wait_for(read, 90)
    lines = [record.split(b" ", 2)[2] for record in data.splitlines()]
    long = lines[count:-1]
    assert lines[:count] == [b"line %d" % number for number in range(count)]
    assert b"".join(long) == b"x" * 200_000
    assert lines[-1] == b"no end"
    assert readers > 5

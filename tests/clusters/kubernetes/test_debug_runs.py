"""A debug run on a real cluster: somebody gets into its pod, finds what the run has, and it ends well by itself."""

import shlex
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.stream import stream

import berth
from deploy.testcluster.cluster import Cluster
from tests.clusters.kubernetes.test_add_a_cluster import kubeconfig as kubeconfig
from tests.clusters.kubernetes.test_flow import client as client
from tests.clusters.kubernetes.test_flow import server as server
from tests.clusters.kubernetes.test_flow import wait

pytestmark = pytest.mark.cluster

TELLS = 'echo "$MODE $BERTH_PARAM_RATE $KEY"; cat main.py; df -k /dev/shm; cat /proc/[0-9]*/cmdline | tr "\\0" " "'


def _execute(cluster: Cluster, line: str, script: str) -> str:
    """What a script prints that goes into the pod by this line of kubectl's."""
    words = shlex.split(line)
    assert words[:3] == ["kubectl", "exec", "-it"]
    assert (words[3], words[6], words[8:]) == ("-n", "-c", ["--", "sh"])
    with config.new_client_from_config(str(cluster.places.kubeconfig)) as connection:  # type: ignore[no-untyped-call]
        inside = stream(
            kubernetes.CoreV1Api(connection).connect_get_namespaced_pod_exec,
            words[5],
            words[4],
            container=words[7],
            command=["sh", "-c", script],
            stdout=True,
            stderr=True,
            stdin=False,
            tty=False,
            _preload_content=False,
        )
        with closing(inside.sock.sock):  # its own close() leaves the socket open once the server has closed
            inside.run_forever(timeout=30)
            return str(inside.read_all())


def _open(client: berth.Client, run: Any) -> str:
    (line,) = wait(lambda: client.runs.get(run.id).exec_commands, 90)
    return str(line)


def test_a_debug_run_is_the_run_without_its_program(client: berth.Client, cluster: Cluster, tmp_path: Path) -> None:
    client.clusters.wait("east", 120)
    code = tmp_path / "code"
    code.mkdir()
    (code / "main.py").write_text("raise SystemExit('Error: it never works')\n")
    client.secrets.set("key", "canary-of-debugging")
    failed = client.runs.submit(
        ["python3", "main.py"],
        folder=code,
        pool="east",
        cpu="200m",
        memory="128Mi",
        shared_memory="24Mi",
        timeout="10s",
        grace="2s",
        env={"MODE": "full"},
        parameters={"rate": 0.5},
        secrets=[{"name": "key", "env": "KEY"}],
    )
    assert client.runs.wait(failed.id, 120).state == "failed"
    short, long = client.runs.debug(failed.id, "15s"), client.runs.debug(failed.id)
    line = _open(client, long)
    told = _execute(cluster, line, TELLS)
    assert "full 0.5 canary-of-debugging" in told
    assert "it never works" in told
    assert "24576" in told, "the size of /dev/shm in KiB"
    assert "sleep 3600" in told
    client.runs.stop(long.id)
    ended = client.runs.wait(short.id, 90)
    assert (ended.state, ended.exit_code, ended.debug_of) == ("succeeded", 0, failed.id)
    assert ended.ran_seconds is not None
    assert ended.ran_seconds >= 14  # longer than the timeout of the run itself
    stopped = client.runs.wait(long.id, 60)
    assert (stopped.state, list(stopped.exec_commands)) == ("stopped", [])
    images = {client.runs.capsule(one)["image"]["digest"] for one in (failed.id, short.id, long.id)}
    assert len(images) == 1

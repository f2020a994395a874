"""`python -m deploy.testcluster build|up|down|status|demo|fault`: the test cluster by hand; 1 on a failure."""

import argparse
import subprocess
import sys
import time

from deploy.testcluster import build, machine
from deploy.testcluster.cluster import Cluster, build_all
from deploy.testcluster.faults import Faults
from deploy.testcluster.places import cache_folder
from deploy.testcluster.processes import NotUp

LEVERS = (
    "stop_api_server",
    "start_api_server",
    "freeze_api_server",
    "thaw_api_server",
    "kill_kubelet",
    "start_kubelet",
    "lose_node",
    "find_node",
    "mend",
)


def main(arguments: list[str] | None = None) -> int:
    """Does what the arguments say and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.testcluster", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="what is missing of packages, programs and images")
    for name, what in (("up", "start it"), ("down", "end it, leave nothing"), ("status", "which parts run")):
        one = commands.add_parser(name, help=what)
        one.add_argument("--number", type=int, default=0, choices=range(10), help="which of several clusters")
    demo = commands.add_parser("demo", help="run Berth's demo in one, brought up for it where it is not up")
    demo.add_argument("--number", type=int, default=0, choices=range(10), help="which of several clusters")
    fault = commands.add_parser("fault", help="pull a lever")
    fault.add_argument("lever", choices=[name.replace("_", "-") for name in LEVERS])
    fault.add_argument("--number", type=int, default=0, choices=range(10))
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        if options.command == "build":
            build_all(_say)
            _say(f"built in {time.monotonic() - began:.0f} s, kept in {cache_folder()}")
            return 0
        if options.command == "demo":
            return _demo(options.number)
        cluster = Cluster(options.number)
        if options.command == "fault":
            getattr(Faults(cluster), options.lever.replace("-", "_"))()
            return 0
        return {"up": _up, "down": _down, "status": _status}[options.command](cluster)
    except (NotUp, build.CannotBuild, subprocess.CalledProcessError) as error:
        notes = "\n".join(getattr(error, "__notes__", []))
        print(f"{error}\n{notes}".rstrip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _demo(number: int) -> int:
    from deploy.testcluster import demo  # the only part that needs Berth and its packages

    return demo.run(number, _say)


def _up(cluster: Cluster) -> int:
    if cluster.is_up():
        _say("it is up already")
    else:
        cluster.up()
        _say(f"up in {cluster.seconds['all ready']:.1f} s: node1 is real, the nodes gpu-* are simulated")
    _say(f"export KUBECONFIG={cluster.places.kubeconfig}")
    return 0


def _down(cluster: Cluster) -> int:
    cluster.down()
    _say("down; nothing is left")
    return 0


def _status(cluster: Cluster) -> int:
    for name in cluster.processes.names():
        pid = cluster.processes.pid(name)
        _say(f"{name:24} {f'pid {pid}' if pid else 'ENDED'}")
    if not cluster.is_up():
        _say("not up")
        for line in machine.left_behind(cluster.places):
            _say(f"left: {line}")
        return 1
    _say(f"up; export KUBECONFIG={cluster.places.kubeconfig}")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

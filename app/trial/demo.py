"""`berth demo`: the main job, end to end, the way a user does it; then the demo checks what Berth told it.

Everything after the sign-in goes through the public REST API, submits and downloads through the `berth`
command. Calls nothing of Berth's inside except to make the token of whoever owns the machine.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

import berth
from app.trial import demo_report
from app.trial.demo_place import EXAMPLE as EXAMPLE
from app.trial.demo_place import Place, on_cluster, on_this_machine
from app.trial.demo_report import DemoFailedError
from app.trial.demo_server import DemoServer
from app.trial.processes import is_alive
from berth.errors import BerthError

PROJECT = "demo"
EPOCHS = 20
RATES = ("0.01", "0.1", "1.0")
SERIES = ("train/loss", "val/accuracy")
PATIENCE = 180.0
BERTH = [sys.executable, "-P", "-m", "berth"]
ASKED = ["--tag", "demo", "--cpu", "500m", "--memory", "512Mi", "--grace", "5s"]


@dataclass
class Submitted:
    """A run of the demo: what it is for, its id, and how it was seen last."""

    purpose: str
    id: str
    run: Any = None


@dataclass(frozen=True)
class Member:
    """A process of a run and its group, as it was when the run was alive."""

    process: psutil.Process
    group: int


def main(*, show_password: bool = False, cluster: str | None = None) -> int:
    """Runs it on this machine, or on that cluster of the Berth that runs here. 0 when everything happened as it
    should, 1 with the reason on stderr."""
    if find_spec("sklearn") is None:
        print("error: the demo trains with scikit-learn, which is not installed", file=sys.stderr)
        print("hint: pip install scikit-learn", file=sys.stderr)
        return 1
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            server = DemoServer(say)
            stack.enter_context(server)
            if show_password and server.password:
                say(f"the password of {server.user}: {server.password}")
            client = stack.enter_context(server.client(PROJECT))
            place = stack.enter_context(on_cluster(client, cluster)) if cluster else on_this_machine()
            demo = Demo(client, server.environment(PROJECT), place)
            stack.callback(demo.clean_up)
            demo.run()
    except (DemoFailedError, BerthError) as error:
        print(f"\nerror: the demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    print(f"\nAll of it took {time.monotonic() - began:.0f} s and is as it should be.")
    if server.was_started:
        print("To look at the runs in the browser: `make up`, or `berth up`, and open the link that it prints.")
    return 0


class Demo:
    """The runs of one demo and what is checked of them."""

    def __init__(self, client: berth.Client, environment: dict[str, str], place: Place) -> None:
        self.client = client
        self.environment = environment
        self.place = place
        self.runs: list[Submitted] = []

    def run(self) -> None:
        """Submits, stops, waits, reports, checks. Raises DemoFailedError, BerthError."""
        self.make_project()
        say("submitting five runs with `berth run submit`")
        training = [
            self.submit(f"lr {rate}", "--param", f"lr={rate}", command=["--lr", rate, "--epochs", str(EPOCHS)])
            for rate in RATES
        ]
        stopped = self.submit("stopped", command=["--epochs", "100000", "--pause", "0.2"])
        failing = self.submit("fails", command=["--data", "images-that-are-not-there.csv"])
        members = self.stop_while_it_runs(stopped)
        self.wait_for_all()
        demo_report.show_runs(self.runs)
        demo_report.show_metrics(self.client, training, SERIES)
        demo_report.show_log(self.client, training[-1].id)
        print("\nChecks")
        self.check("three trainings succeeded", lambda: all(one.run.state == "succeeded" for one in training))
        for one in training:
            self.check(f"{one.purpose}: {EPOCHS} epochs x {len(SERIES)} series", partial(self.points, one))
        for one in training:
            self.check(f"{one.purpose}: the model gives the logged accuracy", partial(self.accuracy, one))
        self.check("the failed run names its error and exit code", lambda: failed_as_it_should(failing.run))
        self.check("the stopped run is stopped", lambda: stopped.run.state == "stopped")
        if members:
            self.check(f"nothing is left of it ({plural(len(members))} before)", lambda: is_gone(stopped.id, members))

    def make_project(self) -> None:
        if not any(project.name == PROJECT for project in self.client.projects.list()):
            self.client.projects.create(PROJECT, "Demo")

    def submit(self, purpose: str, *flags: str, command: list[str]) -> Submitted:
        """`berth run submit` from the example's folder, as a user types it."""
        name = f"digits-{purpose.replace(' ', '-')}"
        flags = ("--quiet", "--name", name, *ASKED, *self.place.flags, *flags)
        done = subprocess.run(
            [*BERTH, "run", "submit", *flags, "--", *self.place.program, *command],
            cwd=self.place.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DemoFailedError(f"`berth run submit` ended with {done.returncode}: {done.stderr.strip()}")
        one = Submitted(purpose, done.stdout.split()[-1])
        self.runs.append(one)
        say(f"  {one.id}  {name}")
        return one

    def stop_while_it_runs(self, one: Submitted) -> list[Member]:
        """Waits until it has logged an epoch, then stops it. Its processes as they were before: those of a pod are
        seen where its node is this machine."""
        deadline = time.monotonic() + PATIENCE
        while not self.logged(one.id):
            one.run = self.client.runs.get(one.id)
            if one.run.is_finished:
                raise DemoFailedError(f"{one.id} ended before it was stopped: {cause_of(one.run)}")
            if time.monotonic() > deadline:
                raise DemoFailedError(f"{one.id} did not log an epoch: {cause_of(one.run)}")
            time.sleep(0.2)
        members = members_of(one.id)
        if not members and not self.place.is_cluster:
            raise DemoFailedError(f"{one.id} is running, and no process of it was found")
        self.client.runs.stop(one.id)
        say(f"{one.id} was stopped while it ran" + (f" ({plural(len(members))})" if members else ""))
        return members

    def wait_for_all(self) -> None:
        """Until every run has ended, saying what changes."""
        deadline = time.monotonic() + PATIENCE
        known: dict[str, str] = {}
        while True:
            for one in self.runs:
                if one.run is None or not one.run.is_finished:
                    one.run = self.client.runs.get(one.id)
                state = one.run.state
                if known.get(one.id) != state:
                    known[one.id] = state
                    say(f"  {one.id}  {one.purpose:10} {state}")
            if all(one.run.is_finished for one in self.runs):
                return
            if time.monotonic() > deadline:
                late = [one.id for one in self.runs if not one.run.is_finished]
                raise DemoFailedError(f"these runs did not end in {PATIENCE:.0f} s: {', '.join(late)}")
            time.sleep(0.3)

    def check(self, what: str, holds: Callable[[], bool]) -> None:
        """Prints the verdict. Raises DemoFailedError when it does not hold."""
        good = holds()
        print(f"  {'ok ' if good else 'NOT'}  {what}")
        if not good:
            raise DemoFailedError(f"not so: {what}")

    def logged(self, run_id: str) -> bool:
        return bool(self.client.runs.metrics(run_id))

    def points(self, one: Submitted) -> bool:
        """Whether each series has a point for each epoch, and no other."""
        found = self.client.runs.metrics(one.id)
        expected = list(range(1, EPOCHS + 1))
        return sorted(found) == sorted(SERIES) and all(
            series.points == EPOCHS and list(series.steps) == expected for series in found.values()
        )

    def accuracy(self, one: Submitted) -> bool:
        """Downloads the model with `berth run download` and measures it anew on the same test images."""
        logged = self.client.runs.metrics(one.id)["val/accuracy"].last[-1]
        folder = Path(tempfile.mkdtemp(prefix="berth-demo-"))
        try:
            done = subprocess.run(
                [*BERTH, "run", "download", one.id, "model.npz", "-o", str(folder)],
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise DemoFailedError(f"`berth run download` ended with {done.returncode}: {done.stderr.strip()}")
            measured = measure(folder / "model.npz")
        finally:
            shutil.rmtree(folder)
        return abs(measured - logged) <= 1e-9

    def clean_up(self) -> None:
        """Ends what is still going, whatever went wrong before."""
        for one in self.runs:
            if one.run is None or not one.run.is_finished:
                try:
                    self.client.runs.stop(one.id)
                    self.client.runs.wait(one.id, timeout=30)
                except BerthError as error:
                    print(f"{one.id} could not be ended: {error}", file=sys.stderr)


def measure(model: Path) -> float:
    """The accuracy of a downloaded model on the example's test images, computed here anew."""
    import numpy as np

    from app.trial.example.train import load, split

    _, _, images, labels = split(*load())
    with np.load(model) as file:
        scores = np.tanh(images @ file["w1"] + file["b1"]) @ file["w2"] + file["b2"]
    return float(np.mean(np.argmax(scores, axis=1) == labels))


def failed_as_it_should(run: Any) -> bool:
    """State, exit code and first error line, as the API tells them."""
    return bool(
        run.state == "failed" and run.exit_code == 1 and "FileNotFoundError" in (run.first_error or run.why or "")
    )


def cause_of(run: Any) -> str:
    """What is known of why it ended, or waits."""
    return str(run.first_error or run.why or run.state)


def members_of(run_id: str) -> list[Member]:
    """The living processes that have the run's id in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("BERTH_RUN_ID") == run_id:
                found.append(Member(process, os.getpgid(process.pid)))
    return found


def is_gone(run_id: str, members: list[Member]) -> bool:
    """Whether no process of the run lives, nor any in a process group that was its own."""
    groups = {member.group for member in members}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) in groups and is_alive(process):
                return False
    return not members_of(run_id) and not any(is_alive(member.process) for member in members)


def plural(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def say(text: str) -> None:
    print(text, flush=True)

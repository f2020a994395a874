"""docs/benchmarks-kubernetes.md from what was measured."""

import os
import platform
import textwrap
from collections.abc import Iterator, Sequence

from bench import machine
from bench.kubernetes.latency import Ending, Submission, parts, quantiles
from bench.kubernetes.many import Many
from bench.kubernetes.resync import Resync

BEYOND_MS, CALLS, GROWTH = 40, 6.0, 1.1
CALLS_TITLE = "API calls for each run, beyond watches and logs"


Goal = tuple[str, str, str, bool]


def document(
    when: str,
    found: Sequence[Goal],
    submissions: Sequence[Submission],
    endings: Sequence[Ending],
    many: Many,
    resync: Resync,
) -> str:
    """The whole page."""
    head = [*_head(when), *table(found), *_submitting(submissions), *_ending(endings)]
    return "\n".join([*head, *_many(many), *_resync(resync)])


def goals(submissions: Sequence[Submission], many: Many) -> Iterator[Goal]:
    """(what, goal, figure, whether it is met)."""
    beyond = _beyond_ms(submissions)
    yield (
        "Submission to accepted Job, p95 beyond a bare client's",
        f"at most {BEYOND_MS} ms",
        f"{beyond:.0f} ms",
        beyond <= BEYOND_MS,
    )
    per_run = calls_for_runs(many)
    yield CALLS_TITLE, f"at most {CALLS:g}", f"{per_run:.2f}", per_run <= CALLS
    if len(many.memory) > 1:
        grown = many.memory[max(many.memory)] / many.memory[min(many.memory)]
        first, last = min(many.memory), max(many.memory)
        title = f"Worker's memory after {last:,} runs beside that after {first:,}"
        yield title, f"flat: at most {GROWTH} x", f"{grown:.2f} x", grown <= GROWTH


def calls_for_runs(many: Many) -> float:
    """Calls for Jobs, their pods and Secrets, for each run. What is asked by the clock is not for runs."""
    of_runs = (number for name, number in many.calls.items() if name.split()[1] in _OF_RUNS and name != _BY_THE_CLOCK)
    return sum(of_runs) / many.runs


_OF_RUNS = {"jobs", "pods", "secrets", "services", "events"}
_BY_THE_CLOCK = "get secrets"  # the registries' credentials, by whoever looks after namespaces


def table(found: Sequence[Goal]) -> Iterator[str]:
    """The goals in Markdown."""
    yield "| What | Goal | Measured | |"
    yield "| --- | --- | --- | --- |"
    for what, goal, figure, is_met in found:
        yield f"| {what} | {goal} | {figure} | {'met' if is_met else '**missed**'} |"
    yield ""


def _text(paragraph: str) -> list[str]:
    return textwrap.wrap(paragraph, 118, break_long_words=False, break_on_hyphens=False)


def _beyond_ms(submissions: Sequence[Submission]) -> float:
    accepted = quantiles([one.accepted for one in submissions])[1]
    return (accepted - quantiles([one.bare for one in submissions])[1]) * 1e3


def _head(when: str) -> Iterator[str]:
    yield from (
        "# Benchmarks on Kubernetes",
        "",
        *_text(
            "Written by `make bench-kubernetes`: a real Berth, with one worker of four threads, and the cluster of"
            " [testcluster.md](testcluster.md), all on one machine. The API server writes down each call of Berth's"
            " with its times, so calls are counted, and arrivals and answers are timed, by the API server and not by"
            " Berth. Counts and processor time hold on a busy machine, too; times on the clock do not."
        ),
        "",
        f"- {when}, {machine.describe()}, Python {platform.python_version()}; load at the end {os.getloadavg()[0]:.1f}",
        "",
    )


def _submitting(found: Sequence[Submission]) -> Iterator[str]:
    yield "## From a submission to its Job"
    yield ""
    yield from _text(
        f"{len(found)} runs, one by one. When each has ended, a bare client posts the same Job to the same"
        " namespace, with the same account and library, on a connection that is kept. Time begins when the request"
        " is sent (to Berth, or to the API server) and ends when the API server has answered the POST of the Job,"
        " by its own record. A submission goes through Postgres, admission, the dispatcher, the broker and the"
        " worker."
    )
    yield ""
    yield "| | p50 | p95 |"
    yield "| --- | --- | --- |"
    rows = [("Berth: submission sent -> Job accepted", quantiles([one.accepted for one in found]))]
    rows += [("bare client: POST sent -> Job accepted", quantiles([one.bare for one in found]))]
    for name, (p50, p95) in [*rows, *((f"of Berth's: {name}", value) for name, value in parts(found))]:
        yield f"| {name} | {p50 * 1e3:.0f} ms | {p95 * 1e3:.0f} ms |"
    yield ""


def _ending(found: Sequence[Ending]) -> Iterator[str]:
    yield "## From the end of a program to the final state"
    yield ""
    yield from _text(
        f"{len(found)} real pods whose program says what time it is and ends. A run is final when its log and"
        " outputs are stored, so the pod's keeper, which sends the outputs, has to end first; that is the keeper's"
        " and the kubelet's time. Berth's part begins with the pod's end at a bare watch and ends with the final"
        " state in the answer to GET of the run, which is asked every 20 ms."
    )
    yield ""
    yield "| | p50 | p95 |"
    yield "| --- | --- | --- |"
    for name, figures in (
        ("kubelet: program's end -> container ended, at a bare watch", [one.container for one in found]),
        ("keeper and kubelet: -> pod ended, at a bare watch", [one.pod - one.container for one in found]),
        ("Berth: -> final state", [one.final - one.pod for one in found]),
        ("all of it", [one.final for one in found]),
    ):
        p50, p95 = quantiles(figures)
        yield f"| {name} | {p50 * 1e3:,.0f} ms | {p95 * 1e3:,.0f} ms |"
    yield ""


def _many(found: Many) -> Iterator[str]:
    yield f"## {found.runs:,} runs through one worker"
    yield ""
    yield from _text(
        "Pods on simulated nodes that run for a second. Runs are submitted by four connections as fast as they"
        " are taken; the time ends when the last one was cleaned up. The cluster's own controllers use the same"
        " processors."
    )
    yield ""
    rate = f"{found.rate:.1f} runs a second, from submission to clean-up"
    yield f"- {found.succeeded:,} of {found.runs:,} succeeded in {found.seconds:.0f} s: {rate}"
    costs = ", ".join(f"{name} {cost:.1f}" for name, cost in found.cpu_ms.items())
    yield f"- CPU-ms for each run: {costs} (admission is a loop of the controller)"
    for name, memory in (("worker", found.memory), ("controller", found.controller_memory)):
        sizes = ", ".join(f"{size:.0f} after {number:,}" for number, size in sorted(memory.items()))
        yield f"- Resident MiB of the {name}: {sizes}"
    refused = ", ".join(f"{name} {number}" for name, number in found.refused.items()) or "none"
    yield f"- Calls that were refused: {refused}"
    yield ""
    yield from _text(
        f"Calls for runs: {calls_for_runs(found):.2f} for each. Those for the project's namespace and for looks at"
        " the cluster come by the clock."
    )
    yield ""
    yield "| Call | number | for each run |"
    yield "| --- | --- | --- |"
    for name, number in found.calls.items():
        yield f"| {name} | {number:,} | {number / found.runs:.2f} |"
    for name, number in found.streams.items():
        yield f"| stream: {name} | {number:,} | {number / found.runs:.2f} |"
    yield ""


def _resync(found: Resync) -> Iterator[str]:
    yield f"## Listing {found.objects:,} objects anew"
    yield ""
    yield from _text(
        "Half Jobs as Berth makes them, half pods, in a process that has the controller's mirrors and nothing"
        " else. While they are listed anew, the old copy is held beside the new one."
    )
    yield ""
    yield "| | time | CPU | resident |"
    yield "| --- | --- | --- | --- |"
    yield f"| before | | | {found.rest_mib:.0f} MiB |"
    first, again = f"{found.list_seconds:.2f} s | {found.list_cpu:.2f} s", f"{found.relist_seconds:.2f} s"
    yield f"| first list (Jobs and pods at once) | {first} | {found.held_mib:.0f} MiB |"
    peak = f"{found.peak_mib:.0f} MiB at most"
    yield f"| listed anew (one after the other) | {again} | {found.relist_cpu:.2f} s | {peak} |"
    yield f"| {found.statuses:,} statuses from it | | {found.statuses_cpu * 1e3:.0f} ms | |"
    yield ""

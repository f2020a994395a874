"""Goals and what was measured, as a table for the terminal and as docs/benchmarks.md."""

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import machine
from bench.cases import POINTS, Case
from bench.installation import Installation
from bench.rounds import Results

FLAT, EQUAL = 1.25, 1.2
PAGE_BYTES = 20 * 1024
WEB_MIB, ALL_MIB = 110, 350
# CPU-ms of the first limits that were measured for the design, on the machine that its name says: a floor that
# costs much more here would make Berth look better than it is.
REFERENCE_MACHINE = "AMD EPYC"
REFERENCE = {"submit": 0.66, "get": 0.56, "page": 1.08, "deep": 1.08, "html": 2.45, "points": 11.0}
REFERENCE_LIMIT = 1.3

# Why a goal is missed where it is, by the row's key. Whoever finds another reason writes it here.
MISSES: dict[str, str] = {
    "submit": "a submission writes the run with eight indexes, its capsule, its event and its audit row with six; the"
    " floor writes one row with three. On a busy machine that takes 0.6 CPU-ms of Postgres with eight connections,"
    " where event, audit row and capsule are 0.1 to 0.15 each, and the statement that asks who submits 0.15 more. In"
    " Python the spec is checked, written twice (as sent, and with all defaults for the manifest) and hashed.",
    "get": "one statement against one, but it finds who asks, all memberships, and reads 40 columns with the attempts"
    " of the run in place of 7; and a hop to a thread. Keeping identities in memory would save more; it is not done"
    " because a disabled user must be out with the next request.",
    "page": "the statement that asks who lists costs what a whole request of the floor to one row costs. The list"
    " itself is made into JSON by Postgres.",
    "deep": "as the first page; its depth costs nothing.",
    "html": "the page has three times the floor's bytes: its frame, menus, dialogs, and the marks that its polls need.",
    "web": "structlog loads `rich` where it is installed, 3.6 MiB. Tools of the development environment bring it;"
    " an installation from the wheel has none, and is within the limit.",
}


@dataclass(frozen=True)
class Row:
    """One goal. `is_met` is None where there is none, only a figure."""

    key: str
    title: str
    goal: str
    figure: str
    is_met: bool | None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "**missed**", None: ""}[self.is_met]


def rows(results: Results, cases: Sequence[Case], installation: Installation | None) -> Iterator[Row]:
    """Every goal with its figure."""
    berths = [target for target in results.targets if target.runs]
    names = {case.name for case in cases}
    for case in cases:
        ratios = [results.ratio(case.name, target.name) for target in berths]
        if case.name == "points":
            rate = min(
                results.median("points", target.name, lambda pair: pair.loaded.rate) for target in berths
            ) / results.median("points", "floor", lambda pair: pair.loaded.rate)
            figure = f"{rate:.2f} of the floor's rate ({_list(ratios)} x its CPU)"
            yield Row("points", f"{POINTS:,} metric points", "at least half the floor's rate", figure, rate >= 0.5)
            continue
        yield Row(
            case.name, case.title, f"at most {case.limit} x the floor", f"{_list(ratios)} x", max(ratios) <= case.limit
        )
    if {"page", "deep"} <= names:
        equal = [results.ratio("deep", target.name, target.name, "page") for target in berths]
        yield Row(
            "equal",
            "Page at 90 % depth beside the first",
            f"equal: at most {EQUAL} x",
            f"{_list(equal)} x",
            max(equal) <= EQUAL,
        )
    if "page" in names:
        size = max(results.median("page", target.name, lambda pair: pair.loaded.answer_bytes) for target in berths)
        yield Row("bytes", "Bytes of a page of 50, JSON", f"at most {PAGE_BYTES:,}", f"{size:,.0f}", size <= PAGE_BYTES)
    if len(berths) > 1:
        yield from _flat(results, cases, berths[0].name, berths[-1].name)
    if installation is not None:
        yield from _installed(installation)


def _flat(results: Results, cases: Sequence[Case], small: str, large: str) -> Iterator[Row]:
    for case in cases:
        found = results.ratio(case.name, large, small)
        title = f"{case.title}: the largest table beside the smallest"
        yield Row(f"flat-{case.name}", title, f"at most {FLAT} x", f"{found:.2f} x", found <= FLAT)


def _installed(found: Installation) -> Iterator[Row]:
    figure = f"p50 {found.p50 * 1e3:.0f} ms, p95 {found.p95 * 1e3:.0f} ms ({found.starts} runs, one by one)"
    yield Row("start", "From submitting to the start of the process", "", figure, None)
    web = found.memory["web"]
    yield Row(
        "web", "Memory (PSS) of the web process at rest", f"at most {WEB_MIB} MiB", f"{web:.0f} MiB", web <= WEB_MIB
    )
    parts = ", ".join(f"{name} {size:.0f}" for name, size in found.memory.items())
    figure = f"{found.whole_memory:.0f} MiB ({parts})"
    yield Row(
        "memory",
        "Memory (PSS) of all of Berth's own processes",
        f"at most {ALL_MIB} MiB",
        figure,
        found.whole_memory <= ALL_MIB,
    )


def is_void(results: Results, cases: Sequence[Case]) -> list[str]:
    """The cases whose floor costs too much beside the reference; empty on any other machine."""
    if REFERENCE_MACHINE not in machine.describe():
        return []
    return [case.name for case in cases if _floor(results, case.name) > REFERENCE_LIMIT * REFERENCE[case.name]]


def _floor(results: Results, case: str) -> float:
    return results.median(case, "floor", lambda pair: pair.loaded.cpu_ms)


def terminal(found: Sequence[Row]) -> str:
    """The table in plain text."""
    width = max(len(row.title) for row in found)
    return "\n".join(
        f"{row.title:{width}}  {row.goal:30}  {row.figure}  {row.verdict.strip('*')}".rstrip() for row in found
    )


def document(
    found: Sequence[Row], results: Results, cases: Sequence[Case], postgres: str, when: str, load: tuple[float, ...]
) -> str:
    """docs/benchmarks.md."""
    sizes = " / ".join(f"{target.runs:,}" for target in results.targets if target.runs)
    void = is_void(results, cases)
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`: Berth's web process beside the least that does the same work (bare FastAPI with a",
        "psycopg pool, `bench/floor.py`), in one run, in turns, on the same durable Postgres. What counts is the CPU",
        "time of the server and of Postgres for each request, at eight connections: the time on the clock of a machine",
        "with neighbours is noise. The figures are medians of the rounds in which others used least of the machine,",
        "ratios are taken within each round.",
        "",
        f"- {when}, {machine.describe()}; load at the end {load[0]:.1f}",
        f"- {_versions(postgres)}",
        f"- Several figures are for {sizes} runs stored, in 20 projects; {_rounds(results, cases)}",
        "",
        "| What | Goal | Measured | |",
        "| --- | --- | --- | --- |",
        *(f"| {row.title} | {row.goal} | {row.figure} | {row.verdict} |" for row in found),
        "",
    ]
    missed = [row for row in found if row.is_met is False]
    if missed:
        lines += ["## What is missed, and why", ""]
        lines += [f"- {row.title}: {MISSES.get(row.key, 'not yet explained.')}" for row in missed] + [""]
    if void:
        lines += [f"**The floor of {', '.join(void)} cost too much here: the table is void.**", ""]
    lines += ["## Absolute figures", "", *_absolute(results, cases), "", *_reference(results, cases), ""]
    return "\n".join(lines)


def _absolute(results: Results, cases: Sequence[Case]) -> Iterator[str]:
    yield "CPU-ms for each request (server + Postgres), requests a second and median ms at eight connections, and the"
    yield "median ms of a single one."
    yield ""
    yield "| | | CPU-ms | /s | p50 at 8 | p50 at 1 | bytes |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for case in cases:
        for target in results.targets:

            def of(figure: str, case: Case = case, name: str = target.name, single: bool = False) -> float:
                return results.median(
                    case.name, name, lambda pair: float(getattr(pair.single if single else pair.loaded, figure))
                )

            name = f"Berth, {target.runs:,} runs" if target.runs else "floor"
            cpu = f"{of('server_cpu_ms'):.2f} + {of('database_cpu_ms'):.2f} = {of('cpu_ms'):.2f}"
            times = f"{of('rate'):.0f} | {of('p50_ms'):.1f} | {of('p50_ms', single=True):.1f}"
            yield f"| {case.title} | {name} | {cpu} | {times} | {of('answer_bytes'):,.0f} |"


def _reference(results: Results, cases: Sequence[Case]) -> Iterator[str]:
    yield "## The floor beside an earlier one"
    yield ""
    yield "The floor was measured before Berth was built, by other code on the same machine. A floor of more than"
    yield f"{REFERENCE_LIMIT} x that would void the table."
    yield ""
    yield "| | then, CPU-ms | now | |"
    yield "| --- | --- | --- | --- |"
    for case in cases:
        now, then = _floor(results, case.name), REFERENCE[case.name]
        yield f"| {case.title} | {then:.2f} | {now:.2f} | {now / then:.2f} x |"


def _rounds(results: Results, cases: Sequence[Case]) -> str:
    counted = min(len(results.counted(case.name)) for case in cases)
    foreign = max(results.foreign(case.name) for case in cases)
    return f"{counted} rounds or more count for each, with at most {foreign:.0%} of the machine used by others"


def _versions(postgres: str) -> str:
    names = ("fastapi", "starlette", "uvicorn", "pydantic", "psycopg", "SQLAlchemy", "Jinja2")
    found = [f"{name} {importlib.metadata.version(name)}" for name in names]
    return ", ".join([f"Python {platform.python_version()}", f"Postgres {postgres}", *found])


def _list(figures: Sequence[float]) -> str:
    return " / ".join(f"{figure:.2f}" for figure in figures)

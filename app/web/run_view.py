"""What the page of one run shows, made from the repositories' rows. No I/O: time, zone and rows are arguments."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from app.domain.names import RUN_ID
from app.domain.pod_reasons import NEVER_RAN
from app.domain.quantities import parse_duration
from app.domain.states import TERMINAL, RunState
from app.errors import N_
from app.repositories.clusters import LOCAL
from app.web import formats, reasons, statuses
from app.web.run_phases import Phase, View, build_phases
from app.web.run_rows import growing_since, is_stopping, resources, spans
from app.web.run_tables import AttemptRow, EventRow, OutputRow
from app.web.start_view import Step
from app.web.templating import with_markup
from app.workloads.debugging import MOST_TTL, USUAL_TTL, exec_command

_COMMAND = 240
_RUN_IDS = re.compile(f"({RUN_ID.pattern})")


@dataclass(frozen=True)
class Item:
    """A label and its value in a list of facts."""

    label: str
    value: str
    is_code: bool = False
    wraps: bool = False


@dataclass(frozen=True)
class Fact:
    """One of the large figures; `part` in thousandths draws a bar below it, `since` (ms) is set while it grows."""

    label: str
    value: str
    unit: str = ""
    part: int | None = None
    since: int | None = None


@dataclass(frozen=True)
class Check:
    """A line of the card that says why a run waits."""

    kind: str
    sign: str
    text: str


@dataclass(frozen=True)
class Waiting:
    """Why it waits: the sentence with its arithmetic, where it stands, and what to do."""

    sentence: str
    checks: list[Check]
    fix: str
    title: str
    url: str


@dataclass(frozen=True)
class Ended:
    """How it ended, when that was not well."""

    kind: str
    sign: str
    sentence: str
    fix: str
    first_error: str
    log_url: str
    title: str
    url: str


@dataclass(frozen=True)
class Banner:
    """Something about the place where it runs that everybody should know."""

    title: str
    text: str


@dataclass(frozen=True)
class Mute:
    """Whether nothing is sent about the run, to oneself and by the project, and whether one may change the latter."""

    is_mine: bool
    is_all: bool
    may_all: bool


@dataclass(frozen=True)
class Ttl:
    """How long a debug run may be asked to last."""

    value: str
    text: str
    is_usual: bool


@dataclass
class RunPage:
    """The page of one run. `live_url` and `after_url` are what its two polls ask for."""

    url: str
    name: str
    status: Markup
    tags: list[str]
    experiment: str
    experiment_url: str
    is_archived: bool
    subtitle: Markup
    is_live: bool
    is_stopping: bool
    may_write: bool
    phases: list[Phase]
    phases_sentence: str
    facts: list[Fact]
    waiting: Waiting | None
    ended: Ended | None
    banner: Banner | None
    attempts: list[AttemptRow] = field(default_factory=list)
    outputs: list[OutputRow] = field(default_factory=list)
    outputs_size: str = ""
    outputs_note: str = ""
    output_count: str = "0"
    events: list[EventRow] = field(default_factory=list)
    details: list[Item] = field(default_factory=list)
    parameters: list[Item] = field(default_factory=list)
    place: list[Item] = field(default_factory=list)
    mute: Mute | None = None
    charts: list[Any] = field(default_factory=list)
    metric_rows: list[Any] = field(default_factory=list)
    series_count: int = 0
    chart_start: float = 0.0
    stop_warning: str = ""
    metrics_url: str = ""
    live_url: str = ""
    clone_url: str = ""
    after_url: str = ""
    swap_actions: bool = False
    log: Any = None
    next_steps: list[Step] = field(default_factory=list)
    is_debug: bool = False
    may_debug: bool = False
    ttls: list[Ttl] = field(default_factory=list)
    shells: list[str] = field(default_factory=list)


def build(
    view: View,
    row: Any,
    *,
    may_write: bool,
    facts: Mapping[str, Any],
    error_line: int | None,
    holders: Mapping[str, str],
) -> RunPage:
    """The parts of the page that the run's own row decides. `facts` are the cluster's; `holders` addresses of runs,
    by their ids, that a waiting reason may name."""
    phases = build_phases(view, row)
    url = f"/projects/{quote(row.project)}/runs/{row.public_id}"
    return RunPage(
        url=url,
        clone_url=f"/projects/{quote(row.project)}/runs/new?from={row.public_id}",
        name=row.name,
        status=statuses.chip(view.language, row.state, is_stopping=is_stopping(row)),
        tags=list(row.tags),
        experiment=row.experiment or "",
        experiment_url=f"/projects/{row.project}/runs?q={quote(f'experiment:{row.experiment}')}",
        is_archived=row.archived,
        subtitle=_subtitle(view, row),
        is_live=row.state not in TERMINAL,
        is_stopping=is_stopping(row),
        may_write=may_write,
        phases=phases,
        phases_sentence=", ".join(f"{phase.text} {phase.span}" for phase in phases),
        facts=_facts(view, row),
        waiting=_waiting(view, row, holders),
        ended=_ended(view, row, url, error_line),
        banner=_banner(view, row, facts),
        details=_details(view, row),
        parameters=[Item(name, _plain(value)) for name, value in sorted((row.spec.get("parameters") or {}).items())],
        place=_place(view, row, facts),
        stop_warning=_stop_warning(view, row),
        metrics_url=f"/api/v1/runs/{row.public_id}/metrics",
        live_url=f"{url}/live?seen={row.version}&live={int(row.state not in TERMINAL)}",
        after_url=f"{url}/after?seen={row.version}",
        is_debug=row.is_debug,
        may_debug=may_write and row.pool != LOCAL,
        ttls=[
            Ttl(one, formats.span(parse_duration(one), view.language), one == USUAL_TTL)
            for one in ("15m", "30m", "1h", "2h", "4h", "8h", MOST_TTL)
        ],
        shells=[exec_command(pod["namespace"], pod["name"]) for pod in row.pods or ()],
    )


def _subtitle(view: View, row: Any) -> Markup:
    source: Mapping[str, Any] = row.source or {}
    commit = str(source.get("git_commit") or "")
    entry = str((not row.is_debug and source.get("entry")) or _entry(row.spec))
    slots: dict[str, Any] = {
        "user": row.created_by,
        "time": Markup('<time datetime="{}" title="{}">{}</time>').format(
            row.created_at.isoformat(),
            formats.full(row.created_at, view.zone),
            formats.moment(row.created_at, view.now, view.zone),
        ),
        "command": Markup('<span class="mono">{}</span>').format(entry),
        "commit": Markup('<span class="mono">{}</span>').format(commit[:7]),
        "branch": source.get("git_branch") or "",
    }
    text = N_("{user} submitted it at {time} · {command}")
    if commit and slots["branch"]:
        text = N_("{user} submitted it at {time} · {command} at {commit} on {branch}")
    elif commit:
        text = N_("{user} submitted it at {time} · {command} at {commit}")
    parts = [with_markup(view.language, text, **slots)]
    if source.get("git_dirty"):
        parts.append(escape(view.say("with changes that are not committed")))
    if row.attempt > 1:
        parts.append(escape(view.say("attempt {number}", number=row.attempt)))
    if row.parent:
        link = Markup('<a class="link mono" href="/r/{0}">{0}</a>').format(row.parent)
        text = N_("to debug {run}") if row.is_debug else N_("again, after {run}")
        parts.append(with_markup(view.language, text, run=link))
    if row.definition:
        url = f"/projects/{quote(row.project)}/jobs/{quote(row.definition)}?version={row.definition_version}"
        link = Markup('<a class="link" href="{}">{} v{}</a>').format(url, row.definition, row.definition_version)
        parts.append(with_markup(view.language, "of job {definition}", definition=link))
    return Markup(" · ").join(parts)


def _entry(spec: Mapping[str, Any]) -> str:
    command = spec.get("command")
    text = " ".join(command) if isinstance(command, list) else str(spec.get("script") or "").strip().split("\n")[0]
    return text if len(text) <= 60 else text[:59] + "…"


def _facts(view: View, row: Any) -> list[Fact]:
    waited, ran = spans(row, view.now)
    waiting_since, running_since = growing_since(row)
    made = []
    if row.progress_total:
        done = row.progress_done or 0
        made.append(
            Fact(
                view.say("Progress"),
                formats.grouped(done),
                view.say("of {total}", total=formats.grouped(row.progress_total)),
                min(1000, 1000 * done // row.progress_total),
            )
        )
    if row.exit_code is not None:
        made.append(Fact(view.say("Exit code"), str(row.exit_code)))
    made.append(Fact(view.say("Waited"), formats.span(waited, view.language), since=waiting_since))
    if ran is not None:
        made.append(Fact(view.say("Ran"), formats.span(ran, view.language), since=running_since))
    made.append(Fact(view.say("Asks for"), resources(row)))
    usage = _usage(row)
    if usage.get("max_rss_bytes"):
        made.append(Fact(view.say("Most memory"), formats.size(int(usage["max_rss_bytes"]))))
    if usage.get("cpu_seconds") and ran:
        made.append(Fact(view.say("CPU, mean"), f"{usage['cpu_seconds'] / max(ran, 0.1):.2g}", view.say("cores")))
    return made


def _usage(row: Any) -> Mapping[str, float]:
    for attempt in reversed(row.attempts):
        for replica in attempt["replicas"]:
            if replica["usage"]:
                found: Mapping[str, float] = replica["usage"]
                return found
    return {}


def _waiting(view: View, row: Any, holders: Mapping[str, str]) -> Waiting | None:
    if row.state == RunState.STARTING and row.reason_code:
        return _held_up(view, row)
    if row.state != RunState.QUEUED:
        return None
    code = row.reason_code or "JUST_SUBMITTED"
    checks = [
        Check(
            "ok",
            "succeeded",
            view.say("It asks for {asked}, which pool {pool} can hold.", asked=resources(row), pool=row.pool),
        )
    ]
    if row.place:
        text = N_("First in line.") if row.place == 1 else N_("Number {place} in line; priority {priority}.")
        checks.append(Check("wait", "queued", view.say(text, place=row.place, priority=_priority(view, row))))
    if is_stopping(row):
        checks.append(Check("warn", "stopped", view.say("A stop was requested, so it will not start.")))
    return Waiting(
        _linked(reasons.sentence(view.language, code, row.reason), holders)
        or view.say("Submitted; the next round of admission looks at it."),
        checks,
        reasons.fix(view.language, code),
        reasons.title(view.language, code),
        f"/problems/{quote(code)}",
    )


def _held_up(view: View, row: Any) -> Waiting:
    """Its cluster has it and cannot start it yet."""
    return Waiting(
        Markup("") + reasons.sentence(view.language, row.reason_code, row.reason),
        [],
        reasons.fix(view.language, row.reason_code),
        reasons.title(view.language, row.reason_code),
        f"/problems/{quote(row.reason_code)}",
    )


def _linked(text: str, urls: Mapping[str, str]) -> Markup:
    """A text in which those ids of runs are links that have an address."""
    link = Markup('<a class="link mono" href="{}">{}</a>')
    words = _RUN_IDS.split(text)
    return Markup("").join(link.format(urls[word], word) if word in urls else escape(word) for word in words)


def _ended(view: View, row: Any, url: str, error_line: int | None) -> Ended | None:
    if row.state not in (RunState.FAILED, RunState.STOPPED):
        return None
    code = row.reason_code or ("EXIT_CODE" if row.state == RunState.FAILED else "STOPPED")
    is_failed = row.state == RunState.FAILED
    log_url = (
        f"{url}/logs?attempt={row.attempt}&line={error_line}#L{error_line}"
        if error_line
        else f"{url}/logs?attempt={row.attempt}"
    )
    return Ended(
        "bad" if is_failed else "wait",
        "failed" if is_failed else "stopped",
        reasons.sentence(view.language, code, row.reason) or statuses.word(view.language, row.state),
        reasons.fix(view.language, code),
        row.first_error or "" if is_failed else "",
        log_url if is_failed and code not in NEVER_RAN else "",  # it has no log: nothing ran
        reasons.title(view.language, code),
        f"/problems/{quote(code)}",
    )


def _banner(view: View, row: Any, facts: Mapping[str, Any]) -> Banner | None:
    if row.state == RunState.RUNNING and row.reason_code:
        said = [
            reasons.sentence(view.language, row.reason_code, row.reason),
            reasons.fix(view.language, row.reason_code),
        ]
        return Banner(reasons.title(view.language, row.reason_code), " ".join(said))
    if row.state in TERMINAL or facts.get("isolation") != "none":
        return None
    return Banner(
        view.say("This machine does not isolate projects."),
        view.say(
            "Programs of all projects run as the same user and can read each other's files."
            " Install bubblewrap to separate them; `berth doctor` says what is missing."
        ),
    )


def _details(view: View, row: Any) -> list[Item]:
    spec: Mapping[str, Any] = row.spec
    source: Mapping[str, Any] = row.source or {}
    ran = next((attempt["image"] for attempt in reversed(row.attempts) if attempt.get("image")), None)
    made = [
        Item(view.say("Run"), row.public_id, is_code=True),
        Item(view.say("Pool"), row.pool),
        Item(view.say("Asks for"), resources(row), wraps=True),
        Item(view.say("Priority"), _priority(view, row)),
        Item(view.say("Command"), _command(spec), is_code=True, wraps=True),
    ]
    optional = [
        (view.say("Image"), spec.get("image"), True),
        (view.say("Image, by digest"), ran, True),
        (view.say("Python"), (row.pool == LOCAL and spec.get("python")) or spec.get("requirements"), True),
        (view.say("Code"), (str(source.get("git_commit") or ""))[:12] or (spec.get("snapshot") or "")[:12], True),
        (view.say("Branch"), source.get("git_branch"), False),
        (view.say("Timeout"), spec.get("timeout"), False),
        (view.say("Grace"), spec.get("grace"), False),
        (view.say("Retries"), _retries(spec), False),
        (view.say("Shared memory"), spec.get("shared_memory"), False),
        (view.say("Environment"), ", ".join(sorted(spec.get("env") or {})), True),
        (view.say("Volumes"), ", ".join(f"{use['claim']}: {use['path']}" for use in spec.get("volumes") or ()), True),
        (view.say("Secrets"), ", ".join(use["name"] for use in spec.get("secrets") or ()), True),
    ]
    made += [Item(label, _plain(value), is_code=is_code, wraps=True) for label, value, is_code in optional if value]
    return made


def _command(spec: Mapping[str, Any]) -> str:
    command = spec.get("command")
    text = " ".join(map(str, command)) if isinstance(command, list) else str(spec.get("script") or "")
    return text if len(text) <= _COMMAND else f"{text[: _COMMAND - 1]}…"  # the tab of the spec has all of it


def _retries(spec: Mapping[str, Any]) -> str:
    policy = spec.get("retry") or {}
    return ", ".join(f"{cause} × {number}" for cause, number in sorted(policy.items()))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and not isinstance(value, bool) and len(str(value)) > 30:
        return f"{value:.6g}"
    return str(value)


def _priority(view: View, row: Any) -> str:
    return view.say(_PRIORITIES[row.priority]) if row.priority in _PRIORITIES else str(row.priority)


_PRIORITIES = {-10: N_("low"), 0: N_("normal"), 10: N_("high")}
_ISOLATION = {
    "none": N_("none: projects share one user"),
    "bubblewrap": N_("bubblewrap: own file system view and process list"),
}
# By what the cluster says is in force: how memory is limited, and how CPU is.
_BY_CGROUP = (N_("by cgroup"), N_("by cgroup"))
_LIMITS = {
    "cgroup v1": _BY_CGROUP,
    "cgroup v2": _BY_CGROUP,
    "watchdog and affinity": (N_("watched; ended above what it asked for"), N_("bound to as many cores")),
}


def _place(view: View, row: Any, facts: Mapping[str, Any]) -> list[Item]:
    """What is known of the cluster: host, isolation, limits in force."""
    made = [Item(view.say("Cluster"), str(facts.get("cluster") or row.pool))]
    if facts.get("host"):
        made.append(Item(view.say("Machine"), str(facts["host"])))
    if facts.get("isolation"):
        told = str(facts["isolation"])
        made.append(Item(view.say("Isolation"), view.say(_ISOLATION.get(told, told))))
    memory, cpu = _LIMITS.get(str(facts.get("limits")), ("", ""))
    if memory:
        made.append(Item(view.say("Memory limit"), view.say(memory)))
        made.append(Item(view.say("CPU limit"), view.say(cpu)))
    return made


def _stop_warning(view: View, row: Any) -> str:
    grace = _plain(row.spec.get("grace") or "30s")
    _, ran = spans(row, view.now)
    if ran is None:
        return view.say("It has not started. It leaves the line and cannot be resumed; you can run it again.")
    return view.say(
        "It has run for {span}. Its program gets a signal and {grace} to end by itself;"
        " what it wrote to its outputs so far is kept.",
        span=formats.span(ran, view.language),
        grace=grace,
    )

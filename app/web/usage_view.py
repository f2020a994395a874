"""What a run used against what it asked for, as its system tab shows it. Pure."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from app.domain.usage import Slice, Summary, buckets, enough_cpu, enough_memory
from app.errors import N_
from app.services.usage import GPU_REASONS, GpuReason, Measured, Report
from app.web import formats
from app.web.run_phases import View
from app.web.run_view import Fact

ROWS = 60
_ADVISED_SECONDS = 30.0  # of less it would be advice about how a program starts
_NEARLY = 900  # thousandths of what was asked


@dataclass(frozen=True)
class Line:
    """One line of a chart: its colour, its name, and what `system.js` makes it of."""

    name: str
    label: str
    last: str
    colour: str


@dataclass(frozen=True)
class Chart:
    """One picture; `sentence` says it in words."""

    key: str
    title: str
    lines: list[Line]
    sentence: str


@dataclass(frozen=True)
class Row:
    """A stretch of time in the table. `at` is the time of day at its end."""

    since: str
    at: str
    cpu: str
    cpu_most: str
    memory: str
    memory_most: str
    read: str
    written: str
    gpu: str


@dataclass(frozen=True)
class AttemptLink:
    """Another attempt's page."""

    number: int
    url: str
    is_on: bool


@dataclass
class SystemPage:
    """The tab. Without figures `empty_title` and `empty_text` say why; `gpu_note` why there are none of GPUs."""

    run_url: str
    url: str
    data_url: str
    is_live: bool
    attempts: list[AttemptLink]
    lead: str = ""
    facts: list[Fact] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    has_gpu: bool = False
    gpu_note: str = ""
    empty_title: str = ""
    empty_text: str = ""


_EMPTY: dict[Measured, tuple[str, str]] = {
    Measured.WAITING: (
        N_("Not started yet"),
        N_("What it uses appears here as soon as its program runs."),
    ),
    Measured.STARTING: (
        N_("Measuring"),
        N_("Its program has just started; the first figures come within a second or two."),
    ),
    Measured.SHORT: (
        N_("Too short to measure"),
        N_("It ended before its use of the machine could be measured."),
    ),
    Measured.NONE: (
        N_("Not measured"),
        N_("There are no figures of this attempt: its cluster did not measure it."),
    ),
}


def build(view: View, report: Report, run_url: str, public_id: str, attempts: Sequence[int]) -> SystemPage:
    """The page of one attempt of the run at `run_url`, whose attempts have these numbers."""
    url = f"{run_url}/system"
    chosen = f"{url}?{urlencode({'attempt': report.attempt})}"
    is_live = report.state in (Measured.WAITING, Measured.STARTING, Measured.LIVE)
    data_url = f"/api/v1/runs/{public_id}/usage?{urlencode({'attempt': report.attempt, 'buckets': 600})}"
    links = [AttemptLink(number, f"{url}?attempt={number}", number == report.attempt) for number in attempts]
    made = SystemPage(run_url, chosen, data_url, is_live, links if len(links) > 1 else [])
    summary = report.summary
    if not report.has_figures or summary is None:
        title, text = _EMPTY.get(report.state, _EMPTY[Measured.NONE])
        made.empty_title, made.empty_text = view.say(title), view.say(text)
        return made
    made.has_gpu = bool(summary.gpus)
    if report.gpu_reason is not None:
        made.gpu_note = view.say(GPU_REASONS[report.gpu_reason])
    made.lead = ("" if view.language == "zh_CN" else " ").join(_sentences(view, report, summary))
    made.facts = _facts(view, report, summary)
    made.charts = _charts(view, report, summary)
    begin = report.slices[0].end_ms - report.slices[0].span_ms
    made.rows = [_row(view, one, begin) for one in buckets(report.slices, ROWS)]
    return made


def _sentences(view: View, report: Report, summary: Summary) -> list[str]:
    asked = report.asked
    is_long = summary.seconds >= _ADVISED_SECONDS
    slots = {"used": _cores(summary.cpu_mean), "asked": _cores(asked.cpu_millis)}
    less = enough_cpu(summary, asked) if is_long else None
    if less is not None:
        slots["enough"] = _cores(less)
        text = N_("It used {used} of {asked} CPUs on average: asking for {enough} would do.")
    elif is_long and summary.cpu_part >= _NEARLY:
        text = N_("It used {used} of {asked} CPUs on average: it may be faster with more.")
    else:
        text = N_("It used {used} of {asked} CPUs on average.")
    made = [view.say(text, **slots)]
    slots = {"used": formats.size(summary.memory_high), "asked": formats.size(asked.memory_bytes)}
    less = enough_memory(summary, asked) if is_long else None
    if less is not None:
        slots["enough"] = formats.size(less)
        text = N_("Its memory peaked at {used} of {asked}: asking for {enough} would do.")
    elif summary.memory_part >= _NEARLY:
        text = N_("Its memory peaked at {used} of {asked}: with a little more it would be ended.")
    else:
        text = N_("Its memory peaked at {used} of {asked}.")
    made.append(view.say(text, **slots))
    if summary.gpus and summary.gpu_busy is not None:
        made.append(view.say("Its GPUs were {part} busy on average.", part=_percent(summary.gpu_busy)))
    elif summary.gpus == 0 and asked.gpus and report.gpu_reason == GpuReason.NOT_USED:
        made.append(view.say("It asked for GPUs, and none of its processes was on one."))
    return made


def _facts(view: View, report: Report, summary: Summary) -> list[Fact]:
    asked = report.asked
    of_cpu = view.say("of {total}", total=_cores(asked.cpu_millis))
    of_memory = view.say("of {total}", total=formats.size(asked.memory_bytes))
    made = [
        Fact(view.say("CPU, mean"), _cores(summary.cpu_mean), of_cpu, min(1000, summary.cpu_part)),
        Fact(view.say("CPU, most"), _cores(summary.cpu_high), view.say("cores")),
        Fact(view.say("Most memory"), formats.size(summary.memory_high), of_memory, min(1000, summary.memory_part)),
        Fact(view.say("Read from disk"), formats.size(summary.disk_read)),
        Fact(view.say("Written to disk"), formats.size(summary.disk_written)),
    ]
    if summary.folder is not None:
        made.append(Fact(view.say("Files it keeps"), formats.size(summary.folder)))
    if summary.gpus:
        busy = "–" if summary.gpu_busy is None else _percent(summary.gpu_busy)
        made.append(Fact(view.say("GPU, mean"), busy, f"× {summary.gpus}", summary.gpu_busy))
        if summary.gpu_memory is not None:
            made.append(Fact(view.say("GPU memory, most"), formats.size(summary.gpu_memory)))
    return made


def _charts(view: View, report: Report, summary: Summary) -> list[Chart]:
    asked, last = report.asked, report.slices[-1]
    cores, memory = _cores(last.cpu_us // last.span_ms), formats.size(last.memory_high)
    used, wanted = view.say("used"), view.say("asked for")
    cpu = [Line("cpu", used, cores, "k1"), Line("asked-cpu", wanted, _cores(asked.cpu_millis), "k3")]
    room = [Line("memory", used, memory, "k1"), Line("asked-memory", wanted, formats.size(asked.memory_bytes), "k3")]
    disk = [
        Line("disk_read", view.say("read"), _rate(last.disk_read, last.span_ms), "k1"),
        Line("disk_written", view.say("written"), _rate(last.disk_written, last.span_ms), "k2"),
    ]
    slots = {"mean": _cores(summary.cpu_mean), "most": _cores(summary.cpu_high), "asked": _cores(asked.cpu_millis)}
    made = [
        Chart(
            "cpu",
            view.say("CPU, cores"),
            cpu,
            view.say("CPU: {mean} cores on average, {most} at most, {asked} asked for", **slots),
        ),
        Chart(
            "memory",
            view.say("Memory, MiB"),
            room,
            view.say(
                "Memory: {mean} on average, {most} at most, {asked} asked for",
                mean=formats.size(summary.memory_mean),
                most=formats.size(summary.memory_high),
                asked=formats.size(asked.memory_bytes),
            ),
        ),
        Chart(
            "disk",
            view.say("Disk, MiB/s"),
            disk,
            view.say(
                "Disk: {read} read, {written} written",
                read=formats.size(summary.disk_read),
                written=formats.size(summary.disk_written),
            ),
        ),
    ]
    if summary.gpus and summary.gpu_busy is not None:
        busy = "–" if last.gpu_busy is None else _percent(last.gpu_busy)
        text = view.say("GPU: {part} busy on average", part=_percent(summary.gpu_busy))
        made.append(Chart("gpu", view.say("GPU, % busy"), [Line("gpu_busy", used, busy, "k1")], text))
    return made


def _row(view: View, one: Slice, begin: int) -> Row:
    seconds = (one.end_ms - begin) / 1000
    second = formats.UNITS.get(view.language, formats.UNITS["en"])[3]
    end = datetime.datetime.fromtimestamp(one.end_ms / 1000, datetime.UTC)
    return Row(
        since=f"{seconds:.1f}{second}" if seconds < 60 else formats.span(seconds, view.language),
        at=formats.full(end, view.zone),
        cpu=_cores(one.cpu_us // one.span_ms),
        cpu_most=_cores(one.cpu_high),
        memory=formats.size(one.memory_mean),
        memory_most=formats.size(one.memory_high),
        read=formats.size(one.disk_read),
        written=formats.size(one.disk_written),
        gpu="–" if one.gpu_busy is None else _percent(one.gpu_busy),
    )


def _cores(millis: int) -> str:
    """Thousandths of a core as cores: "0.4", "3.96", "16", "31.5"."""
    if 0 < millis < 5:
        return "< 0.01"
    return f"{millis / 1000:.{2 if millis < 9_995 else 1}f}".rstrip("0").rstrip(".")


def _percent(part: int) -> str:
    return f"{part / 10:.0f}%"


def _rate(size: int, span_ms: int) -> str:
    return f"{formats.size(1000 * size // span_ms)}/s"

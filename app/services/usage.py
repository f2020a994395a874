"""What a run used against what it asked for, the same for pages and REST."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from app.domain.states import TERMINAL, RunState
from app.domain.usage import LEAST_MS, Asked, Slice, Summary, buckets, summarise, unpack
from app.errors import N_, NotFound
from app.repositories import usage
from app.repositories.runs import RunRow


class Measured(StrEnum):
    """How far the measuring of an attempt is."""

    WAITING = "waiting"  # its program has not started
    STARTING = "starting"  # it has, and the first figures are to come
    LIVE = "live"
    ENDED = "ended"
    SHORT = "short"  # it ended before anything worth the name could be measured
    NONE = "none"  # it ended and was not measured


class GpuReason(StrEnum):
    """Why there are no figures of GPUs."""

    NO_METER = "no_meter"  # its machine has no nvidia-smi
    NO_ANSWER = "no_answer"  # it has, and it answers nothing that can be read
    NOT_USED = "not_used"  # no process of the run was on a GPU


GPU_REASONS: dict[GpuReason, str] = {
    GpuReason.NO_METER: N_("No GPU meter on this machine: it has no nvidia-smi."),
    GpuReason.NO_ANSWER: N_("The GPU meter of this machine, nvidia-smi, gives no figures."),
    GpuReason.NOT_USED: N_("No process of the run was on a GPU."),
}


@dataclass(frozen=True)
class Report:
    """One replica of one attempt. `slices` are at most as many as were asked for; `is_exact` where none were joined."""

    attempt: int
    replica: int
    state: Measured
    asked: Asked
    slices: list[Slice]
    is_exact: bool
    summary: Summary | None
    gpu_reason: GpuReason | None

    @property
    def has_figures(self) -> bool:
        return self.state in (Measured.LIVE, Measured.ENDED)


def read_report(session: Session, row: RunRow, attempt: int | None, replica: int = 0, number: int = 300) -> Report:
    """The report of an attempt, the newest by default, in at most `number` slices of time.

    Raises NotFound for an attempt or a replica that the run does not have.
    """
    chosen = row.attempt if attempt is None else attempt
    found = next((one for one in row.attempts if one["number"] == chosen), None)
    if (found is None and chosen != row.attempt) or not 0 <= replica < row.replicas:
        raise NotFound
    stored = usage.find_usage(session, row.id, chosen, replica)
    slices = unpack(stored.slices) if stored else []
    state = _state(found, slices)
    asked = Asked(*(whole // row.replicas for whole in (row.cpu_millis, row.memory_bytes, row.gpus)))
    summary = summarise(slices, asked)
    reason = None
    if stored is not None and (summary is None or not summary.gpus):
        no_use = GpuReason.NOT_USED if summary and summary.gpus == 0 else GpuReason.NO_ANSWER
        reason = no_use if stored.gpu_meter else GpuReason.NO_METER
    shown = buckets(slices, number)
    return Report(chosen, replica, state, asked, shown, len(shown) == len(slices), summary, reason)


def _state(attempt: dict[str, object] | None, slices: list[Slice]) -> Measured:
    is_over = attempt is not None and attempt["state"] in TERMINAL
    if sum(one.span_ms for one in slices) >= LEAST_MS:
        return Measured.ENDED if is_over else Measured.LIVE
    if is_over:
        return Measured.SHORT if slices or (attempt and not attempt["started_at"]) else Measured.NONE
    has_begun = attempt is not None and attempt["state"] == RunState.RUNNING
    return Measured.STARTING if has_begun else Measured.WAITING

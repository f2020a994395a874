"""Why a run waits or why it ended, and what happened to it: codes, and the sentences that go with them.

A reason is stored as its code and the values of its slots, so that list, page, CLI and API say the same
in either language, for as long as the run is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.pod_reasons import POD_REASONS
from app.errors import N_


@dataclass(frozen=True)
class Reason:
    """One dominant cause with its arithmetic. `args` fill the slots of the code's sentence."""

    code: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """`sentence` has slots; `cause` and `fix` are what the code's page says in general."""

    title: str
    sentence: str
    cause: str
    fix: str


REASONS: dict[str, Text] = {
    "JUST_SUBMITTED": Text(
        N_("Just submitted"),
        N_("Submitted; the next round of admission looks at it."),
        N_("Runs are admitted by one loop that looks at the whole line. It has not looked at this one yet."),
        N_("Nothing to do. If this stays for more than a few seconds, the controller is not running."),
    ),
    "CPU_BUSY": Text(
        N_("Waits for CPU"),
        N_("First in line for pool {pool}: needs {asked} CPU, {free} of {capacity} are free; {holders} hold the rest."),
        N_("The CPUs of the pool are held by runs that started earlier."),
        N_("Wait for one of them to end, stop one, or submit again with less CPU."),
    ),
    "MEMORY_BUSY": Text(
        N_("Waits for memory"),
        N_(
            "First in line for pool {pool}: needs {asked} of memory, {free} of {capacity} are free; {holders} hold the rest."
        ),
        N_("The memory of the pool is held by runs that started earlier."),
        N_("Wait for one of them to end, stop one, or submit again with less memory."),
    ),
    "GPU_BUSY": Text(
        N_("Waits for GPUs"),
        N_("First in line for pool {pool}: needs {asked} GPU, {free} of {capacity} are free; {holders} hold the rest."),
        N_("The GPUs of the pool are held by runs that started earlier."),
        N_("Wait for one of them to end, stop one, or submit again with fewer GPUs."),
    ),
    "BEHIND_IN_LINE": Text(
        N_("Behind others in line"),
        N_("Needs {asked} of pool {pool}, which has {capacity} in all; the runs ahead of it in line go first."),
        N_(
            "Runs start in order of priority, then of submission. One that needs more than is free holds back those behind it, so that it is not overtaken for ever."
        ),
        N_("Wait, or submit it with a higher priority."),
    ),
    "CLUSTER_AWAY": Text(
        N_("The cluster does not answer"),
        N_("Pool {pool} belongs to cluster {cluster}, which has not answered since {since}."),
        N_("Berth starts nothing on a cluster that it cannot see."),
        N_("Administrators find the cause under health. The run starts by itself when the cluster is back."),
    ),
    "CLUSTER_DRAINING": Text(
        N_("The cluster is being drained"),
        N_("Pool {pool} belongs to cluster {cluster}, which an administrator is draining: no new runs start there."),
        N_("An administrator takes the cluster out of use. What runs there goes on; nothing new starts."),
        N_("Submit it to another pool, or wait until the cluster is in use again."),
    ),
    "CLUSTER_UNCHECKED": Text(
        N_("The cluster has not passed its check"),
        N_("Pool {pool} belongs to cluster {cluster}, which has not passed its check yet: nothing starts there."),
        N_("A cluster is checked before the first run goes there: its rights, its images, and the way back to Berth."),
        N_(
            "An administrator finds under Platform, Clusters what the check found and how to mend it. The run then starts by itself."
        ),
    ),
    "EXIT_CODE": Text(
        N_("The program failed"),
        N_("The program ended with exit code {exit_code}."),
        N_("The program itself ended with an exit code other than 0."),
        N_("Read its first error line, and the log around it."),
    ),
    "OOM_KILLED": Text(
        N_("Out of memory"),
        N_("The program used more than the {memory} of memory that it asked for and was ended."),
        N_("A run that passes the memory it asked for is ended, so that it does not take its neighbours with it."),
        N_("Submit it again with more memory, or let it use less."),
    ),
    "TIMED_OUT": Text(
        N_("Timed out"),
        N_("It ran longer than its timeout of {timeout} and was ended."),
        N_("The run's own timeout had passed."),
        N_(
            "Submit it again with a longer timeout; what it wrote to its checkpoint folder is kept for its next attempt."
        ),
    ),
    "START_FAILED": Text(
        N_("Could not be started"),
        N_("The program could not be started: {message}"),
        N_("What the run needs to start was not there: its program, its interpreter, its requirements or its code."),
        N_("Correct what the sentence names and submit it again."),
    ),
    "LOST": Text(
        N_("Lost"),
        N_("Its process vanished without leaving an exit code."),
        N_("The process and the wrapper around it were killed from outside, or the machine was restarted."),
        N_("Run it again. A retry policy for lost attempts does that by itself."),
    ),
    "STOPPED": Text(
        N_("Stopped"),
        N_("Stopped by {by}."),
        N_("Somebody asked for it."),
        N_("Rerun it whenever you like."),
    ),
    "REJECTED": Text(
        N_("Refused by the cluster"),
        N_("The cluster refused it: {message}"),
        N_("The cluster says no, and would say so again."),
        N_("Correct what the sentence names and submit it again."),
    ),
}
REASONS |= {code: Text(*texts) for code, texts in POD_REASONS.items()}

# Where the evidence says which of several replicas it was.
_OF_A_REPLICA = {
    "EXIT_CODE": N_("Replica {replica} of {replicas} exited with code {exit_code}."),
    "OOM_KILLED": N_(
        "Replica {replica} of {replicas} used more than the {memory} of memory that each asked for and was ended."
    ),
    "SIGNALLED": N_("Replica {replica} of {replicas} was ended by {signal_name}."),
}
_REPLICA = N_("Replica {replica} of {replicas}: {what}")


def say_reason(say: Callable[..., str], code: str, args: Mapping[str, Any] | None) -> str:
    """The reason's sentence, translated and filled by `say(text, **slots)`; the code itself where nobody knows it."""
    text, slots = REASONS.get(code), args or {}
    if text is None:
        return code
    if "replicas" not in slots:
        return say(text.sentence, **slots)
    if code in _OF_A_REPLICA:
        return say(_OF_A_REPLICA[code], **slots)
    return say(_REPLICA, replica=slots.get("replica"), replicas=slots["replicas"], what=say(text.sentence, **slots))


# Who or what an event is about; a code that is not here belongs to none of them.
EVENT_KINDS: dict[str, tuple[str, ...]] = {
    "people": ("submitted", "stop_requested"),
    "scheduling": ("admitted", "retrying"),
    "attempts": ("started", "ended", "stopped", "retrying"),
    "files": ("logs_truncated", "outputs_truncated", "outputs_removed"),
}
EVENTS: dict[str, str] = {
    "submitted": N_("Submitted by {by}"),
    "admitted": N_("Admitted: holds {asked} of pool {pool}"),
    "started": N_("Attempt {attempt} runs"),
    "stop_requested": N_("Stop requested by {by}"),
    "ended": N_("Attempt {attempt} ended"),
    "retrying": N_("Attempt {attempt} ended ({cause}); attempt {next} is in line"),
    "stopped": N_("Stopped"),
    "logs_truncated": N_("The log is longer than what is kept; a gap marks what is missing"),
    "outputs_truncated": N_("Not all outputs were kept: {message}"),
    "outputs_removed": N_("Outputs removed by the project's rules. Files: {files}, bytes: {bytes}"),
}

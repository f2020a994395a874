"""How somebody begins: the button that runs the sample, and what to do after it. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from app.domain.states import TERMINAL, RunState
from app.errors import N_
from app.i18n import translate
from app.workloads import sample


@dataclass(frozen=True)
class Step:
    """A card: what to do, and where (`url`) or with which line (`command`). `key` is the link's id."""

    title: str
    text: str
    label: str = ""
    url: str = ""
    command: str = ""
    key: str = ""


@dataclass(frozen=True)
class Start:
    """What a page without runs shows. The button's form goes to `sample_url`; `is_first` makes it the main one."""

    title: str
    text: str
    place: str
    sample_url: str
    is_first: bool
    is_numbered: bool = False
    steps: list[Step] = field(default_factory=list)


_TRIAL = N_(
    "The sample trains a small network in plain Python for {seconds} seconds: with a log, a curve and a file at the "
    "end. It needs nothing of yours and nothing installed."
)


def build_first(language: str, project: str, projects: Collection[str]) -> Start:
    """Nothing has run yet: the sample, or one's own at once."""
    text = translate(language, _TRIAL, seconds=sample.SECONDS)
    place = translate(language, N_("It runs in the project {project}."), project=project)
    steps = _own(language, project, projects)
    return Start(translate(language, N_("Nothing has run yet")), text, place, sample_url(project), True, steps=steps)


def build_quiet(language: str, project: str, projects: Collection[str]) -> Start:
    """Something has run before, and nothing does now."""
    title = translate(language, N_("Nothing of yours is running"))
    return Start(title, "", "", sample_url(project), False, steps=_own(language, project, projects))


def build_after(language: str, project: str, projects: Collection[str], *, may_invite: bool) -> Start:
    """The sample was the last that ran."""
    title = translate(language, N_("The sample has run. Next:"))
    steps = next_steps(language, project, projects, may_invite=may_invite)
    return Start(title, "", "", sample_url(project), is_first=False, is_numbered=True, steps=steps)


def next_steps(language: str, project: str, projects: Collection[str] = (), *, may_invite: bool) -> list[Step]:
    """What to do once the sample has run, in order. `projects` are all of the visitor's, where they are known."""
    steps = _own(language, project, projects)
    if may_invite:
        steps.append(
            Step(
                translate(language, N_("Invite others")),
                translate(language, N_("Whoever is in the project sees its runs; editors submit runs of their own.")),
                translate(language, N_("Members")),
                f"/projects/{quote(project)}/settings/members",
            )
        )
    return steps


def is_over(row: Any) -> bool:
    """Whether a run is the sample and has done what it should show."""
    spec: Mapping[str, Any] = row.spec or {}
    return row.state in TERMINAL and row.state != RunState.FAILED and sample.is_sample(spec)


def sample_url(project: str) -> str:
    """Where the button sends its form."""
    return f"/projects/{quote(project)}/runs/sample"


def command_line(project: str, projects: Collection[str]) -> str:
    """What to type in the folder with one's code."""
    return f"berth run submit{project_flag(project, projects)} --cpu 1 --memory 1Gi -- python train.py"


def project_flag(project: str, projects: Collection[str]) -> str:
    """The option that names it, or "" where it is somebody's only one: the command line finds that by itself."""
    return "" if list(projects) == [project] else f" --project {project}"


def _own(language: str, project: str, projects: Collection[str]) -> list[Step]:
    return [
        Step(
            translate(language, N_("Paste your YAML")),
            translate(
                language,
                N_("What to start, with what, and where. It is checked while you write and says when it would start."),
            ),
            translate(language, N_("Write a run here")),
            f"/projects/{quote(project)}/runs/new?focus=yaml",
            key="new-run",
        ),
        Step(
            translate(language, N_("Send your code from a terminal")),
            translate(
                language,
                N_(
                    "Go to the folder with your code and hand it to Berth. The folder is sent as it is, the command "
                    "runs in it, and this page shows it at once."
                ),
            ),
            command=command_line(project, projects),
        ),
    ]

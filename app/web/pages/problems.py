"""A page for every code: errors of the API and of pages, and the reasons for which runs wait or fail."""

import json
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from app.domain import examples
from app.domain.reasons import REASONS
from app.errors import PROBLEMS, NotFound
from app.i18n import translate
from app.web.deps import visit
from app.web.templating import Crumb, Shell, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class CodeRow:
    """A code and its name."""

    code: str
    title: str


@dataclass(frozen=True)
class Group:
    """Codes of one kind."""

    title: str
    items: list[CodeRow]


@dataclass
class ProblemsPage:
    """All codes."""

    groups: list[Group] = field(default_factory=list)


@dataclass(frozen=True)
class ProblemPage:
    """One code."""

    code: str
    title: str
    what: str
    fix: str
    example_title: str = ""
    example: str = ""


@router.get("/problems")
def list_page(request: Request) -> Response:
    """Every code with a link to its page."""
    shell = _shell(request)
    say = shell.language
    reasons = [CodeRow(code, translate(say, text.title)) for code, text in REASONS.items()]
    errors = [CodeRow(code, translate(say, PROBLEMS[code].title)) for code in sorted(PROBLEMS)]
    title = translate(say, "Reasons and errors")
    shell.title, shell.crumbs = title, [Crumb(title)]
    return render(
        "problems/list.html",
        shell,
        ProblemsPage(
            [
                Group(translate(say, "Why runs wait or end"), reasons),
                Group(translate(say, "Errors of pages, CLI and API"), errors),
            ]
        ),
    )


@router.get("/problems/{code}")
def page(request: Request, code: str) -> Response:
    """What a code means and what to do; as JSON for programs that ask for it, such as `berth help CODE`.

    Raises NotFound for one that Berth does not have.
    """
    code = code.upper().replace("-", "_")
    shell = _shell(request)
    found = _reason(code, shell.language) or _error(code, shell.language)
    if found is None:
        raise NotFound
    if request.headers.get("accept", "").startswith("application/json"):
        told = {"code": code, "title": found.title, "text": found.what, "hint": found.fix}
        return JSONResponse(told, headers={"vary": "accept, accept-language", "cache-control": "private"})
    shell.title = found.title
    shell.crumbs = [Crumb(translate(shell.language, "Reasons and errors"), "/problems"), Crumb(code, is_code=True)]
    return render("problems/detail.html", shell, found)


def _shell(request: Request) -> Shell:
    with visit(request) as visitor:
        shell = visitor.shell()
    shell.current, shell.keys = "problems", ("everywhere", "lists")
    return shell


def _reason(code: str, language: str) -> ProblemPage | None:
    text = REASONS.get(code)
    if text is None:
        return None
    return ProblemPage(
        code,
        translate(language, text.title),
        translate(language, text.cause),
        translate(language, text.fix),
        translate(language, "What a run says"),
        translate(language, text.sentence, **examples.of(code, text.sentence)),
    )


def _error(code: str, language: str) -> ProblemPage | None:
    kind = PROBLEMS.get(code)
    if kind is None:
        return None
    slots = examples.of(code, kind.detail, kind.hint)
    detail = translate(language, kind.detail, **slots)
    answer = {
        "type": f"/problems/{code}",
        "title": translate(language, kind.title),
        "status": kind.status,
        "code": code,
        "detail": detail,
    }
    return ProblemPage(
        code,
        translate(language, kind.title),
        detail,
        translate(language, kind.hint, **slots),
        translate(language, "What the API answers"),
        json.dumps(answer, indent=2, ensure_ascii=False),
    )

"""Saying yes or no to a terminal that waits for `berth login`."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from app.i18n import translate
from app.services import terminals
from app.web.deps import check_form, visit
from app.web.templating import Shell, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class TerminalPage:
    """Asks for a code, then whether that terminal may sign in, then says what was decided."""

    code: str
    terminal: str | None = None
    done: str = ""
    done_text: str = ""


@router.get("/terminal")
def form(request: Request, code: str = "") -> Response:
    """The question, for the terminal behind `code`."""
    code = code.strip().upper()[:20]
    with visit(request) as visitor:
        name = terminals.find(visitor.session, visitor.actor, code) if code else None
        shell = visitor.shell()
    return _show(shell, TerminalPage(code, name))


@router.post("/terminal")
def decide(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    code: Annotated[str, Form(max_length=40)] = "",
    answer: Annotated[str, Form()] = "no",
) -> Response:
    """Keeps the answer."""
    is_yes = answer == "yes"
    with visit(request) as visitor:
        check_form(request, visitor, csrf)
        terminals.decide(visitor.session, visitor.actor, code, approve=is_yes)
        shell = visitor.shell()
    say = shell.language
    if is_yes:
        done = (
            translate(say, "The terminal is signed in"),
            translate(say, "It goes on by itself. You can close this page."),
        )
    else:
        done = translate(say, "The terminal was refused"), translate(say, "Its code does not work any more.")
    return _show(shell, TerminalPage(code, None, *done))


def _show(shell: Shell, page: TerminalPage) -> Response:
    shell.title = translate(shell.language, "Sign a terminal in")
    return render("account/terminal.html", shell, page)

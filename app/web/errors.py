"""How an error looks in a browser: a page, a toast under htmx, or the way to sign in.

`app/main.py` hands every AppError outside `/api/` to `render_error`. It must work when Postgres does not.
"""

from dataclasses import dataclass, field
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app.errors import AppError
from app.i18n import translate
from app.web.deps import own_path, preferences
from app.web.router import page_behind
from app.web.templating import Shell, render


@dataclass
class ErrorPage:
    """What went wrong, and what to do."""

    status: int
    code: str
    title: str
    detail: str
    hint: str
    errors: list[str] = field(default_factory=list)
    retry: str = ""
    trace_id: str = ""


def render_error(request: Request, error: AppError) -> Response:
    """The answer to a browser. Somebody who is not signed in is sent to sign in and comes back afterwards."""
    is_partial = request.headers.get("hx-request") == "true"
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 405:
        headers["Allow"] = ", ".join(error.fields.get("allow", ()))  # the page's hint names it
    if error.status == 401:
        return _sign_in(request, is_partial)
    if (
        request.method == "GET"
        and not is_partial
        and error.status in (404, 405)
        and (page := page_behind(request.url.path))
    ):
        return RedirectResponse(page, status_code=303, headers={"Cache-Control": "no-store"})
    language, theme = preferences(request)
    language = request.scope.get("berth.language") or language
    made = ErrorPage(
        error.status,
        error.code,
        translate(language, error.title),
        translate(language, error.detail, **error.fields),
        translate(language, error.hint, **error.fields),
        [f"{one.pointer}: {translate(language, one.message, **one.slots)}" for one in error.errors],
        retry=own_path(request) if request.method == "GET" and error.status >= 429 else "",
        trace_id=request.scope.get("berth.request_id", "") if error.status >= 500 else "",
    )
    shell = Shell(language, theme, "", own_path(request) if request.method == "GET" else "/")
    shell.mark, shell.title = "✕", made.title
    if is_partial:
        headers |= {"HX-Retarget": "#toasts", "HX-Reswap": "beforeend"}
    answer = render("errors/_toast.html" if is_partial else "errors/page.html", shell, made, error.status)
    answer.headers.update(headers)
    return answer


def _sign_in(request: Request, is_partial: bool) -> Response:
    back = own_path(request) if request.method == "GET" and not is_partial else ""
    url = f"/login?next={quote(back)}" if back and back != "/" else "/login"
    if is_partial:
        return Response(status_code=401, headers={"HX-Redirect": "/login", "Cache-Control": "no-store"})
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})

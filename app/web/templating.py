"""Templates: one environment for each language, compiled once, always escaping, strict about names.

A page is a dataclass; its template sees it as `page` and the frame around it as `shell`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from app.i18n import DEFAULT, LANGUAGES, translate, translate_plural
from app.web import assets, keys, navigation
from app.web.outage_view import OutageView

FOLDER = Path(__file__).parent.parent / "templates"
THEMES = ("light", "dark")


@dataclass(frozen=True)
class ProjectLink:
    """A project in the switcher. `colour` is a class of the style sheet."""

    name: str
    title: str
    url: str
    colour: str


@dataclass(frozen=True)
class Crumb:
    """A step of the breadcrumb; the last one has no address."""

    text: str
    url: str | None = None
    is_code: bool = False


@dataclass(frozen=True)
class TabLink:
    """A page beside others under one heading."""

    text: str
    url: str
    is_on: bool
    key: str = ""


@dataclass
class Shell:
    """The frame of a page: who looks, in which language and theme, where in the site, and what is around."""

    language: str
    theme: str | None
    csrf: str
    path: str
    user: str | None = None
    user_initials: str = ""
    user_colour: str = ""
    is_admin: bool = False
    projects: list[ProjectLink] = field(default_factory=list)
    project: ProjectLink | None = None
    crumbs: list[Crumb] = field(default_factory=list)
    mark: str = "○"
    title: str = ""
    current: str = ""
    keys: tuple[str, ...] = ("everywhere",)
    zone: str = "UTC"
    heading: str = ""
    status: Markup = field(default_factory=Markup)
    status_url: str = ""  # where `status` is asked for again; "" where it stays as it is
    tabs: list[TabLink] = field(default_factory=list)
    done: str = ""
    outage: OutageView | None = None  # on pages that show live things

    @property
    def html_language(self) -> str:
        """The BCP 47 tag."""
        return {"zh_CN": "zh-CN"}.get(self.language, self.language)


class _Environment(Environment):
    """Calls of `_`, `icon` and `asset` with constants are made when a template is compiled, not on every page."""

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        found = super()._parse(source, name, filename)
        _Folding(self.globals).visit(found)
        return found


class _Folding(NodeTransformer):
    def __init__(self, functions: Mapping[str, Any]) -> None:
        self._functions = functions

    def visit_Call(self, call: nodes.Call) -> nodes.Node:  # noqa: N802 - the visitor's convention
        self.generic_visit(call)
        name = call.node.name if isinstance(call.node, nodes.Name) else ""
        values = [argument.value for argument in call.args if isinstance(argument, nodes.Const)]
        is_plain = len(values) == len(call.args) and not (call.kwargs or call.dyn_args or call.dyn_kwargs)
        if name not in ("_", "icon", "asset") or not is_plain:
            return call
        return nodes.Const(self._functions[name](*values), lineno=call.lineno)


@lru_cache
def environment(language: str) -> Environment:
    """The environment of one language."""
    made = _Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        extensions=["jinja2.ext.i18n"],
    )
    say = partial(translate, language)
    made.globals.update(
        _=say,
        gettext=say,
        ngettext=partial(translate_plural, language),
        plurals=partial(plurals, language),
        with_markup=partial(with_markup, language),
        icon=icon,
        prose=prose,
        asset=assets.url,
        icon_uri=assets.icon_uri(),
        key_groups=keys.GROUPS,
        navigation=navigation,
        key_sheet=partial(key_sheet, language),
        languages=LANGUAGES,
    )
    return made


@lru_cache
def template(name: str, language: str) -> Template:
    """A compiled template."""
    return environment(language).get_template(name)


@lru_cache
def icon(name: str, label: str = "") -> Markup:
    """An icon of the sprite; hidden from screen readers unless it has a label."""
    said = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    use = f"{assets.url('vendor/icons.svg')}#{name}"
    return Markup(f'<svg class="i" {said}><use href="{use}"/></svg>')  # noqa: S704 - names are our own, the label is escaped


def with_markup(language: str, text: str, **slots: Any) -> Markup:
    """A translated text whose slots may be markup; what is not is escaped, and so is the text."""
    safe = {name: escape(value) for name, value in slots.items()}
    return Markup(str(escape(translate(language, text)))).format(**safe)  # noqa: S704 - escaped just now


def plurals(language: str, singular: str, plural: str) -> str:
    """Both forms of a text for a script, which takes the first for one; their slots stay, and `{number}` is none."""
    return "|".join(translate_plural(language, singular, plural, number) for number in (1, 2))


def prose(text: str) -> Markup:
    """A text with what stands between backticks as code."""
    parts = text.split("`")
    made = [Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)]
    return Markup("").join(made) if len(parts) % 2 else escape(text)


def render(name: str, shell: Shell, page: object, status: int = 200) -> HTMLResponse:
    """A whole page or a partial."""
    text = template(name, shell.language).render(shell=shell, page=page)
    return HTMLResponse(text, status_code=status, headers=dict(_HEADERS))


@lru_cache
def macro(name: str, macro_name: str, language: str) -> Callable[..., Markup]:
    """A macro of a template, for pieces that are made one by one."""
    found: Callable[..., Markup] = getattr(template(name, language).module, macro_name)
    return found


@lru_cache
def key_sheet(language: str, names: tuple[str, ...]) -> Markup:
    """The sheet of keys that work on a page: its groups' names in app/web/keys.py."""
    return render_text("components/keys.html", language, names=names)


def render_text(name: str, language: str, **context: Any) -> Markup:
    """A piece of markup outside any page."""
    return Markup(template(name, language or DEFAULT).render(**context))  # noqa: S704 - templates escape


# Pages hold what only their reader may see; going back after signing out must not show them.
_HEADERS = {"Cache-Control": "no-store, private", "Vary": "Cookie, Accept-Language"}

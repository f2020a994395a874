"""What templates must not have: texts of their own language, inline styles and scripts, unescaped output."""

import re
from pathlib import Path

import pytest
from jinja2 import nodes

from app.web.templating import FOLDER, environment

TEMPLATES = sorted(FOLDER.rglob("*.html"))
# Names and signs that are the same in every language.
NO_WORDS = {
    "run.yaml",
    "Ctrl ↵",
    "Berth",
    "SHA-256",
    "import berth",
    "with berth.run() as run",
    'run.log({"loss": 1.2}, step=10',
}


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


@pytest.fixture(params=TEMPLATES, ids=name_of)
def source(request: pytest.FixtureRequest) -> str:
    return str(Path(request.param).read_text())


def without_jinja(source: str) -> str:
    source = re.sub(r"\{% block width %\}.*?\{% endblock %\}", " ", source)  # a class, not a text
    return re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", " ", source, flags=re.DOTALL)


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_it_compiles(path: Path) -> None:
    environment("en").get_template(name_of(path))


def test_no_text_is_written_in_one_language_only(source: str) -> None:
    plain = re.sub(r'<(?:[^>"]|"[^"]*")+>', "\n", without_jinja(source), flags=re.DOTALL)
    words = {line.strip(" ·,:()#–-/") for line in plain.split("\n")}
    assert {word for word in words if re.search(r"[A-Za-z]{2}", word)} - NO_WORDS == set()


def test_attributes_that_are_read_out_are_translated(source: str) -> None:
    for name, value in re.findall(r'\b(aria-label|title|placeholder|alt)="([^"]*)"', source):
        assert "{{" in value or not re.search("[A-Za-z]", value), f'{name}="{value}"'


def test_no_inline_style_or_script(source: str) -> None:
    plain = without_jinja(source)
    assert not re.search(r"\sstyle\s*=|\son\w+\s*=|hx-on|javascript:|hx-vals|hx-vars", plain, re.IGNORECASE)
    for tag in re.findall(r"<script[^>]*>", plain):
        assert "src=" in tag, tag


def test_nothing_turns_escaping_off(source: str) -> None:
    assert not re.search(r"\|\s*safe\b|autoescape\s+false|Markup", source)


def test_no_request_leaves_the_host(source: str) -> None:
    assert not re.search(r"https?://|//[a-z]+\.", source)


def test_partials_say_so_by_their_name() -> None:
    for path in TEMPLATES:
        is_whole = any(
            isinstance(node, nodes.Extends) for node in environment("en").parse(path.read_text()).body
        ) or path.parent.name in ("layouts", "components")
        assert is_whole or path.name.startswith("_"), name_of(path)


def test_no_address_carries_the_csrf_token(source: str) -> None:
    """What GET sends stands in addresses, logs and histories: only the button of a POST may have the token there."""
    assert 'formmethod="get"' not in source.lower(), "a form of its own, without the token"
    assert not re.search(r"csrf[^\"'<>]*=\{\{|hx-include", source)
    for form in re.findall(r"<form\b.*?</form>", source, re.DOTALL | re.IGNORECASE):
        opening = form[: form.index(">")]
        if 'method="post"' in opening or 'method="dialog"' in opening:
            assert "hx-get" not in opening
            continue
        tokens = [tag for tag in re.findall(r"<\w+[^<]*\bcsrf\b[^<]*>", form) if 'formmethod="post"' not in tag]
        assert tokens == []
        assert "csrf_field" not in form

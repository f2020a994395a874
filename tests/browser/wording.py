"""Whose words stand on a page: those of the catalogues, or somebody's names; and a language made up to tell them apart.

The made-up language is no language of Berth's: `pretending` puts it beside them for the length of a test. Its texts are
made from the English msgids, two fifths longer and with accents on the vowels. So whatever has no accent was not
translated, and what is cut off was made for English.
"""

import math
import re
from collections.abc import Iterator, Set
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

from app import i18n
from app.web import templating
from tests.browser.seed import LONG, NASTY

PRETENDED = "xx"
LONGER = 1.4
_VOWELS = dict(zip("aeiouyAEIOUY", "àêîôûŷÀÊÎÔÛŶ", strict=True))
OURS = "[àêîôûŷÀÊÎÔÛŶ]"
CHINESE = "[\u4e00-\u9fff]"
# What is not for translators: slots, code between backticks, markup and notes in examples.
_KEPT = re.compile(r"(\{\w*\}|`[^`]*`|<[^>]*>|https?://\S+)")

# Everything that is said on a page, in text or for those who do not see it. What is written by people and programs -
# logs, code, files, values of fields - is no text of ours.
TEXTS = """() => {
  const found = [], skip = 'script,style,template,#lines,pre,code,kbd,textarea,.mono,[lang=en]';
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.textContent.trim() && !node.parentElement.closest(skip)) found.push(node.textContent.trim());
  }
  for (const el of document.querySelectorAll('[aria-label],[title],[placeholder]'))
    for (const name of ['aria-label', 'title', 'placeholder'])
      if (el.getAttribute(name) && !(name === 'placeholder' && el.closest('.mono')))
        found.push(el.getAttribute(name).trim());
  return found;
}"""

# Texts of ours that are cut off: by their own box, or by a button that they do not fit in. What has a title says the
# whole of it there, and on the page that it leads to;
# the last step of the path says what the heading says.
CUT_OFF = """(ours) => {
  const of = new RegExp(ours), found = [];
  for (const el of document.querySelectorAll('main *, .top *, .side *')) {
    if (!el.clientWidth || el.closest('.sr,svg,#lines,pre,textarea,select,.uplot,[title]')) continue;
    if (el.closest('.crumbs :has(> [aria-current])')) continue;
    const style = getComputedStyle(el), hides = /hidden|clip/.test(style.overflowX);
    if (!hides && !el.matches('button,.btn,.tag,.st,th')) continue;
    if (el.scrollWidth <= el.clientWidth + 1 && !(hides && el.scrollHeight > el.clientHeight + 2)) continue;
    if (style.clipPath !== 'none' || !of.test(words(el))) continue;
    const name = el.tagName.toLowerCase() + (el.id ? '#' + el.id : '') + [...el.classList].map(c => '.' + c).join('');
    found.push(`${name} ${el.scrollWidth}>${el.clientWidth} ${el.innerText.trim().slice(0, 60)}`);
  }
  return found;

  // What is cut off of a name is no loss of words.
  function words(el) {
    return [...el.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join('')
      || (el.children.length === 1 ? words(el.children[0]) : '');
  }
}"""


def pretend(text: str) -> str:
    """The text in the made-up language; its slots, its code and its addresses stay."""
    if "\n" in text:  # an example to be changed: its notes alone are words
        lines = [pretend(line) if line.startswith("#") else line for line in text.split("\n")]
        return "\n".join(lines)
    parts = _KEPT.split(text)
    words = sum(map(len, parts[::2]))
    parts[::2] = map(_accented, parts[::2])
    missing = math.ceil(LONGER * words) - sum(map(len, parts[::2]))
    longest = max(range(0, len(parts), 2), key=lambda at: len(parts[at].strip()))
    if missing > 0 and parts[longest].strip():
        bare = parts[longest].rstrip(" .:,;?!…)")
        parts[longest] = f"{bare}{'ê' * missing}{parts[longest][len(bare) :]}"
    return "".join(parts)


def _accented(text: str) -> str:
    return re.sub("[aeiouyAEIOUY]", lambda found: _VOWELS[found[0]] + _VOWELS[found[0]].lower(), text)


@cache
def _catalogue() -> dict[str, str]:
    return {english: pretend(english) for english in i18n.catalogue("en")}


@contextmanager
def pretending() -> Iterator[str]:
    """Within it the pages exist in the made-up language, too. Yields its name."""
    real, known = i18n.catalogue, i18n.known

    def catalogue(language: str) -> dict[str, str]:
        return _catalogue() if language == PRETENDED else real(language)

    with (
        patch.object(i18n, "catalogue", catalogue),
        patch.object(i18n, "known", lambda tag: PRETENDED if tag == PRETENDED else known(tag)),
    ):
        yield PRETENDED
    for cached in (templating.template, templating.environment, templating.macro, templating.key_sheet):
        cached.cache_clear()


def foreign(texts: list[str], own: str, names: Set[str]) -> list[str]:
    """Those of the texts that have words, none of them in letters that `own` matches, and that are no names.

    `names` are those of runs that other tests added to the seed's.
    """
    return sorted({text for text in texts if not re.search(own, text) and text not in names and not _is_name(text)})


def _is_name(text: str) -> bool:
    """Whether all of it is written the same in every language, or is what the seed calls something."""
    for hostile in (NASTY, LONG, NASTY[:60]):
        text = text.replace(hostile, " ")
    for part in re.split(r"[:;·→]\s", text):
        left = _digitless(_ALIKE.sub(" ", part))
        if re.search("[A-Za-z]{2}", left) and not any(one in _seeded() for one in (left, _digitless(part))):
            return False
    return True


@cache
def _seeded() -> str:
    """The sources of the seed, without digits and without the slots of numbers."""
    files = sorted(Path(__file__).parent.glob("seed*.py"))
    text = "\n".join(re.sub(r"\{\w+(:\w+)?\}", "", file.read_text()) for file in files)
    return f"{_digitless(text)} {LONG} {'x' * 99} {_COMMAND}"


def _digitless(text: str) -> str:
    return " ".join(re.sub(r"[\d…]+", "", text).split())


_COMMAND = "python train.py --lr . hidden"
# Products, formats, units, signs of keys, ids, hashes, sizes, codes; roles and scopes as the audit log has them.
_ALIKE = re.compile(
    r"<[^>]*>?|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|@\d+|\bv\d+\b|\b(?:Berth|English|Python|Postgres|Redis|Webhook|OpenAPI|CSV|JSON|PNG|YAML|SHA-256|CPU|GPU|Ctrl|Linux"
    r"|[KMGT]?i?B|[KMGT]i|editor|viewer|owner|read|write|admin|true|false|zh_CN)\b|\br-[0-9a-z]{10}\b|\bberth_[us]_\w+"
    r"|\b[0-9a-f]{12,64}\b|\b[A-Z0-9]{4}-[A-Z0-9]{4}\b|\b[A-Z]{2,}(?:_[A-Z]+)*\b|\b\w+:\S+"
    r"|(?<![\w./-])[\w-]+(?:[/.][\w-]+)+/?|(?<![\w./-])[\w-]+/"
)

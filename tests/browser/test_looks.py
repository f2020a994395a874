"""Twelve core pages look as they did: their pictures are compared with those in `baseline/`.

The data is that of the seed; what depends on the day (times, spans, counts that run) is drawn as zeros, and ids are
the same each time. Fonts of letters are Berth's own files. A picture is taken at half its size and compared by the
means of blocks of 8 x 8 points, 16 x 16 of the page: anti-aliasing, hinting and another version of Chromium change
these by a few hundredths, a part that is gone, moved by a line or has another colour changes many of them by much
more. A block differs when the mean of a channel does by more than `BLOCK`; a picture does when more than `SHARE` of
its blocks differ.

`python -m pytest tests/browser/test_looks.py --renew-baseline` writes the pictures anew; look at them before they are
committed. A failure writes what was seen, and where it differs in red, to test-results/looks.
"""

from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from sqlalchemy import func, update

from app import db
from app.models import Cluster
from tests.browser.conftest import Site, empty
from tests.browser.gallery import Look, show
from tests.browser.registry import PAGES
from tests.browser.seed import seed

BASELINE = Path(__file__).parent / "baseline"
RESULTS = Path(__file__).parents[2] / "test-results/looks"
HEIGHT = 900
HALVED, SIDE = 2, 8
BLOCK, SHARE = 14, 0.012  # of 255; of the blocks
COLOURS = 160  # of a kept picture: enough for means of blocks, and a third of the bytes

CORE = {
    "home": Look("light", "en", 1280),
    "runs": Look("light", "en", 1280),
    "run-running": Look("light", "en", 1280),
    "run-queued": Look("dark", "en", 1280),
    "run-failed": Look("dark", "en", 390),
    "logs-failed": Look("dark", "en", 1280),
    "metrics": Look("light", "en", 1280),
    "compare": Look("light", "zh_CN", 1280),
    "new": Look("light", "en", 1280),
    "job": Look("dark", "zh_CN", 768),
    "output-table": Look("light", "en", 1280),
    "audit": Look("light", "en", 1280),
}

# What differs from day to day: the digits of times and spans, and how far along something is.
_STILL = r"""() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const still = node.data.replace(/\d\d-\d\d (?=\d\d:\d\d)/g, '').replace(/\d/g, '0');
    if (still !== node.data) node.data = still;
  }
  for (const one of document.querySelectorAll('input[type=datetime-local],.caret')) one.style.visibility = 'hidden';
  for (const one of document.querySelectorAll('.phases rect,progress')) one.style.visibility = 'hidden';
  document.activeElement?.blur();
}"""


@pytest.fixture(scope="module")
def fresh(site: Site) -> Site:
    """The site as it is seeded, whatever other tests have left in it."""
    empty()
    with db.unit_of_work() as session:
        site.seed = seed(session)
    return site


@pytest.mark.parametrize("name", CORE)
def test_a_core_page_looks_as_it_did(
    chromium: Any, fresh: Site, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with db.unit_of_work() as session:  # nothing watches the cluster; after a minute it would count as away
        session.execute(update(Cluster).values(seen_at=func.now()))
    look, spec = CORE[name], next(page for page in PAGES if page.name == name)
    context = chromium.new_context(viewport={"width": look.width, "height": HEIGHT}, reduced_motion="reduce")
    context.add_cookies(fresh.cookies(spec.user, language=look.language, theme=look.theme, zone="UTC"))
    page = context.new_page()
    show(page, fresh, spec)
    page.evaluate(_STILL)
    page.wait_for_timeout(100)
    page.screenshot(path=tmp_path / "seen.png", animations="disabled", caret="hide")
    context.close()
    seen = _small(Image.open(tmp_path / "seen.png"))
    kept = BASELINE / f"{name}-{look}.png"
    if request.config.getoption("--renew-baseline", default=False):
        BASELINE.mkdir(exist_ok=True)
        seen.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(kept, optimize=True)
        return
    assert kept.exists(), "there is no picture to compare with; see --renew-baseline"
    differs = differences(Image.open(kept).convert("RGB"), seen)
    share = float(differs.mean())
    if share > SHARE:
        pytest.fail(f"{share:.1%} of the blocks differ; see {_report(name, seen, differs)}")


def test_what_is_noticed_and_what_is_not() -> None:
    name = f"runs-{CORE['runs']}.png"
    kept = Image.open(BASELINE / name).convert("RGB")
    pixels = numpy.asarray(kept).astype(int)
    noise = numpy.random.default_rng(1).integers(-12, 13, pixels.shape)
    assert _share(kept, (pixels + noise).clip(0, 255)) == 0, "noise, as of another way to smooth letters"
    moved = pixels.copy()
    moved[120:] = pixels[116:-4]
    assert _share(kept, moved) > SHARE, "everything below the filter stands 8 px lower"
    gone = pixels.copy()
    gone[:, :100] = pixels[-1, 0]
    assert _share(kept, gone) > SHARE, "no navigation"
    painted = pixels.copy()
    painted[40:60, 540:630] = (200, 30, 30)
    assert _share(kept, painted) > 0.002, "a button in another colour"


def differences(kept: Image.Image, seen: Image.Image) -> Any:
    """Whether each block differs, as an array of rows of truths; all of them if the sizes do."""
    if kept.size != seen.size:
        return numpy.ones((seen.height // SIDE, seen.width // SIDE), bool)
    return (abs(_means(kept) - _means(seen)) > BLOCK).any(axis=2)


def _share(kept: Image.Image, pixels: Any) -> float:
    return float(differences(kept, Image.fromarray(pixels.astype("uint8"))).mean())


def _small(picture: Image.Image) -> Image.Image:
    size = (picture.width // HALVED, picture.height // HALVED)
    return picture.convert("RGB").resize(size, Image.Resampling.BOX)


def _means(picture: Image.Image) -> Any:
    pixels = numpy.asarray(picture).astype(float)
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    cut = pixels[: rows * SIDE, : columns * SIDE]
    return cut.reshape(rows, SIDE, columns, SIDE, 3).mean(axis=(1, 3))


def _report(name: str, seen: Image.Image, differs: Any) -> Path:
    RESULTS.mkdir(parents=True, exist_ok=True)
    seen.save(RESULTS / f"{name}-seen.png")
    mask = numpy.kron(differs, numpy.ones((SIDE, SIDE), bool))
    pixels = numpy.asarray(seen).copy()
    pixels[: mask.shape[0], : mask.shape[1]][mask] = (255, 0, 0)
    Image.fromarray(pixels).save(RESULTS / f"{name}-differs.png")
    return RESULTS

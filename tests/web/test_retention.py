"""The page of the rules that keep outputs."""

from tests.web.conftest import Console

URL = "/projects/vision/settings/retention"


def test_names_that_no_run_has_are_told_in_the_preview_and_once_they_are_saved(console: Console) -> None:
    form = {"keep_days": "30", "keep_tags": "", "keep_experiments": "digitss, <i>"}
    told = ("No run is in experiment digitss.", "No run is in experiment &lt;i&gt;.")
    seen = console.get(f"{URL}?preview=1&keep_days=30&keep_experiments=digitss,%3Ci%3E", "alice").text
    assert all(text in seen for text in told)
    assert console.post(URL, form, "alice").status_code == 303
    saved = console.get(URL, "alice").text
    assert all(text in saved for text in told)
    assert "没有任何运行属于实验 digitss。" in console.get(URL, "alice", **{"Accept-Language": "zh"}).text

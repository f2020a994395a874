"""The page that compares runs: parts with many rows show the first ones, and the address says which are whole."""

import re

from tests.web.conftest import Console

NEW = "/projects/vision/runs/new"


def _submit(console: Console, value: int) -> str:
    many = "".join(f"  p{number:02}: {value}\n" for number in range(30))
    text = f"name: run-{value}\nscript: echo {value}\ncpu: {value}\nparameters:\n{many}"
    answer = console.post(NEW, {"text": text, "was": text}, "alice")
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"].rpartition("/")[2])


def test_long_parts_are_folded_and_the_address_unfolds_them(console: Console) -> None:
    first, second = _submit(console, 1), _submit(console, 2)
    url = f"/projects/vision/compare?runs={first},{second}"

    def page(more: str = "") -> str:
        return str(console.get(f"{url}&smooth=0.20{more}", "alice").text)

    def names(text: str) -> list[str]:
        return re.findall(r'<th scope="row" class="mono">(p\d\d)</th>', text)

    folded = page()
    assert names(folded) == [f"p{number:02}" for number in range(8)]
    assert "Show all 30: " in folded
    assert f"{url}&amp;smooth=0.20&amp;all=parameters#part-parameters" in folded
    assert folded.count("#part-") == 1, "a short part is whole"
    whole = page("&all=parameters")
    assert len(names(whole)) == 30
    assert "Show fewer: " in whole
    assert f"{url}&amp;smooth=0.20#part-parameters" in whole
    assert names(page("&all=nothing,resources")) == names(folded)


def test_runs_of_one_name_are_told_apart_by_their_ids(console: Console) -> None:
    first, second, other = _submit(console, 3), _submit(console, 3), _submit(console, 4)
    text = console.get(f"/projects/vision/compare?runs={first},{second},{other}", "alice").text
    heads = re.findall(r'<th scope="col"><a href="[^"]+" title="([^"]+)">', text)
    assert heads[:3] == [f"run-3 {first}", f"run-3 {second}", "run-4"]

"""The short form of every fault experiment: with all guards nothing goes wrong, without its guard something does."""

from collections.abc import Iterator

import pytest

from tests.chaos.catalogue import EXPERIMENTS
from tests.chaos.experiment import HEADER, row, run
from tests.chaos.servers import Servers

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.close()


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "guard out"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_faults(name: str, guarded: bool, servers: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(EXPERIMENTS[name], servers, full=False, guarded=guarded)
    with capsys.disabled():
        print(f"\n{HEADER}\n{row(result)}", end="")
    assert result.complaints() == []

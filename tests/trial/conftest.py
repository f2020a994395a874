"""These tests start Berth as a user would: what other tests put into the environment is not theirs."""

import os
import time
from collections.abc import Iterator

import psutil
import pytest


@pytest.fixture(scope="module", autouse=True)
def _own_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("BERTH_") and not name.startswith("BERTH_TEST_")]:
            patch.delenv(name)
        yield


def wait_for_environment(pid: int) -> None:
    """Returns when /proc shows the environment of a new process, which it does a moment after Popen has returned."""
    until = time.monotonic() + 60
    while not psutil.Process(pid).environ():
        assert time.monotonic() < until, f"process {pid} has no environment"
        time.sleep(0.001)

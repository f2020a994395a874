"""Named places where a process can be made to die, for the fault experiments in tests/chaos.

`BERTH_CRASH_AT=<name>` ends this process as SIGKILL would, the first time it comes by. A test finds all
names in the source and drives each one.
"""

import os
import signal

from app.settings import get_settings


def crash_point(name: str) -> None:
    """Dies here if the settings say so; costs a comparison otherwise.

    Placed where there is something to lose: not on rounds in which nothing happened.
    """
    if get_settings().crash_at == name:
        os.kill(os.getpid(), signal.SIGKILL)

"""Python loads this at the start of every process of the fleet (it is on their PYTHONPATH).

`BERTH_CHAOS=<name,...>` takes guards out or plants faults; see tests/chaos/inject/switches.py. Without it nothing
happens, so the processes are those that a user starts.
"""

import os

if os.environ.get("BERTH_CHAOS"):
    from tests.chaos.inject import switches

    switches.install(os.environ["BERTH_CHAOS"].split(","))

"""`python -m tests.chaos [--kubernetes] [F1 F2 ...] [--full|--short]`: runs the experiments and prints their table.

Each is run with all guards, where every counter must stay 0, and once without the guard that it proves, where
one of its counters must rise (on Kubernetes not all have one that is Berth's own). The exit status is 1 when one of
them did not go as it must.
"""

import argparse
import signal
import sys
import traceback

from deploy.testcluster.cluster import cannot
from tests.chaos.catalogue import EXPERIMENTS, ON_KUBERNETES
from tests.chaos.experiment import HEADER, Experiment, row, run
from tests.chaos.servers import Servers


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="F1", help=f"which: {', '.join(EXPERIMENTS)}; all by default")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="at the full size (the default)")
    size.add_argument("--short", action="store_true", help="at the size of `make test`")
    parser.add_argument("--kubernetes", action="store_true", help=f"on the test cluster: {', '.join(ON_KUBERNETES)}")
    parser.add_argument("--guarded", action="store_true", help="with all guards only")
    options = parser.parse_args()
    known = ON_KUBERNETES if options.kubernetes else EXPERIMENTS
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"there is no experiment {unknown[0]}; there are {', '.join(known)}")
    if options.kubernetes and (reason := cannot()):
        parser.error(reason)
    # What was started is ended by the blocks that started it, so an end from outside must unwind them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    servers = Servers()
    failed = False
    try:
        print(HEADER, flush=True)
        for name in options.names or known:
            for guarded in (True, False):
                if guarded or (known[name].letters and not options.guarded):
                    failed |= _run_one(known[name], servers, full=not options.short, guarded=guarded)
    finally:
        servers.close()
    return 1 if failed else 0


def _run_one(experiment: Experiment, servers: Servers, *, full: bool, guarded: bool) -> bool:
    """Whether it did not go as it must; what breaks one experiment does not keep the others from being made."""
    try:
        result = run(experiment, servers, full=full, guarded=guarded)
    except Exception:
        traceback.print_exc()
        print(f"{experiment.name:4} {'in' if guarded else 'OUT':5} could not be finished", flush=True)
        return True
    print(row(result), *(f"     {complaint}" for complaint in result.complaints()), sep="\n", flush=True)
    return bool(result.complaints())


if __name__ == "__main__":
    sys.exit(main())

"""Entry: `python -I -S <this file> <attempt folder> <options as JSON>`, started by app/clusters/local.py.

Forks at once and lets the caller go when it is settled who runs the attempt, so that the wrapper is nobody's
child. The site is not read: the folder above `app` is put last on the path by hand.
"""

import os
import sys


def main() -> None:
    """Never returns. Exit code 0: this attempt has a wrapper or has ended; 1: no, stderr says why."""
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        answer = os.read(told, 1)
        os._exit(0 if answer == b"+" else 1)
    os.close(told)
    os.setsid()
    sys.path.append(str(__file__).rsplit("/app/clusters/", 1)[0])
    from app.clusters.local_wrapper import attempt

    attempt.run(sys.argv[1], sys.argv[2], tell)
    os._exit(0)


if __name__ == "__main__":
    main()

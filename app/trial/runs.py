"""What the supervisor asks about the runs when Berth is stopped: how many are alive, and please stop them.

`python -m app.trial.runs count|stop` prints one number: how many are alive, or still are after stopping.
A process of its own, because it needs the database.
"""

import sys
import time

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db import unit_of_work
from app.domain.access import Actor
from app.services.runs import stop_run

LONGEST_GRACE = 60.0

_ALIVE = text("select public_id from run where state in ('starting', 'running') order by id")
_OPERATOR = text(
    "select id, name from \"user\" where kind = 'person' and is_admin and disabled_at is null order by id limit 1"
)


def alive(session: Session) -> list[str]:
    """Public ids of the runs that have processes, or are getting them."""
    return list(session.scalars(_ALIVE))


def stop_all(patience: float = LONGEST_GRACE) -> int:
    """Asks every living run to end, as the first platform admin, and waits. How many have not ended then."""
    with unit_of_work() as session:
        operator = session.execute(_OPERATOR).one_or_none()
        if operator is None:
            return len(alive(session))
        actor = Actor(user_id=operator.id, name=operator.name, is_admin=True)
        for public_id in alive(session):
            stop_run(session, actor, public_id)
    deadline = time.monotonic() + patience
    while True:
        with unit_of_work() as session:
            left = len(alive(session))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def main(what: str) -> int:
    """Prints the number; 2 for a word that is not known."""
    if what == "count":
        with unit_of_work() as session:
            print(len(alive(session)))
        return 0
    if what == "stop":
        print(stop_all())
        return 0
    print(f"unknown: {what}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

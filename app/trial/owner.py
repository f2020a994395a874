"""What the owner of the machine may have: a sign-in link, and a token of the oldest administrator for an hour.

`python -m app.trial.owner link|token` prints JSON. For app/trial/demo_server.py; whoever can read the home can
open the database anyway.
"""

import json
import sys

from sqlalchemy import text

from app.db import unit_of_work
from app.domain.access import Actor
from app.services.tokens import create_own
from app.services.users import create_sign_in_link

OLDEST_ADMIN = text(
    "select id, name from \"user\" where kind = 'person' and is_admin and disabled_at is null"
    " order by created_at, id limit 1"
)


def main(what: str) -> int:
    """1 when there is no administrator yet, 2 for a word that is not known."""
    with unit_of_work() as session:
        if what == "link":
            print(json.dumps({"link": create_sign_in_link(session)}))
            return 0
        if what != "token":
            print(f"unknown: {what}", file=sys.stderr)
            return 2
        admin = session.execute(OLDEST_ADMIN).one_or_none()
        if admin is None:
            print("there is no administrator yet", file=sys.stderr)
            return 1
        actor = Actor(user_id=admin.id, name=admin.name, is_admin=True)
        made = create_own(session, actor, "demo", "admin", expires_in="1h")
        print(json.dumps({"user": admin.name, "token": made.token, "id": str(made.id)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

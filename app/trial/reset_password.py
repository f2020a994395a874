"""`berth admin reset-password NAME`: the way back for an admin who is locked out, for whoever owns the machine.

Works on the database itself, whether Berth is running or not; the audit log says that it was done.
"""

import os
import sys

from app.trial.embedded import embedded
from app.trial.postgres import EmbeddedError
from app.trial.state import running_record
from app.trial.supervisor import home_folder


def main(name: str) -> int:
    """Prints a link with which `name` chooses a new password; 1 when there is none to make."""
    home = home_folder()
    record = running_record(home)
    if record is not None:
        os.environ.setdefault("BERTH_WEB__PORT", str(record["port"]))
    elif not (home / "postgres").exists() and "BERTH_DATABASE__URL" not in os.environ:
        print(f"error: there is no Berth in {home}; BERTH_HOME names another folder", file=sys.stderr)
        return 1
    try:
        with embedded(home) as servers:
            os.environ.update(servers.environment())
            link = make_link(name)
    except EmbeddedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if link is None:
        print(f"error: there is no enabled user named {name}", file=sys.stderr)
        return 1
    print(link)
    if record is None:
        print("Berth is not running: start it with `berth up`, then open the link.", file=sys.stderr)
    return 0


def make_link(name: str) -> str | None:
    """The link, or None where there is no such user or it is disabled. Old links and sessions end."""
    from app import db, schema
    from app.errors import AppError
    from app.services.users import reset_password
    from app.settings import get_settings

    get_settings.cache_clear()
    schema.upgrade(db.engine())
    try:
        with db.unit_of_work() as session:
            return reset_password(session, name)
    except AppError:
        return None
    finally:
        db.engine().dispose()

"""`berth admin reencrypt-secrets`: every project secret, every chat's address and every cluster's credentials under
the newest key.

Works on the database itself, whether Berth is running or not. A key is rotated in three steps: put the new one
first in BERTH_ENCRYPTION_KEYS and restart, run this, and take the old one away once this says that nothing is left.
"""

import os
import sys
import uuid

from app.home import add_generated_key
from app.trial.embedded import embedded
from app.trial.postgres import EmbeddedError
from app.trial.state import running_record
from app.trial.supervisor import home_folder


def main(new_key: bool) -> int:
    """0 when all is under the newest key; 1 when some could not be opened, or when there is no Berth here."""
    home = home_folder()
    is_trial = "BERTH_ENCRYPTION_KEYS" not in os.environ
    if new_key and not is_trial:
        print("error: put the new key first in BERTH_ENCRYPTION_KEYS; --new-key is for one machine", file=sys.stderr)
        return 1
    if running_record(home) is None and not (home / "postgres").exists() and "BERTH_DATABASE__URL" not in os.environ:
        print(f"error: there is no Berth in {home}; BERTH_HOME names another folder", file=sys.stderr)
        return 1
    if new_key:
        add_generated_key(home, "encryption_keys")
    try:
        with embedded(home) as servers:
            os.environ.update(servers.environment())
            done, lost = reencrypt_all()
    except EmbeddedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{done} re-encrypted")
    if lost:
        print(f"error: no known key opens {', '.join(lost)}; set them again", file=sys.stderr)
    return 1 if lost else 0


def reencrypt_all() -> tuple[int, list[str]]:
    """(how many were done, names of those that no known key opens). Each step is a transaction of its own."""
    from app import db, schema
    from app.services import cluster_credentials, cluster_registries
    from app.services.notification_targets import reseal
    from app.services.secrets import reencrypt
    from app.settings import get_settings

    get_settings.cache_clear()
    schema.upgrade(db.engine())
    done: int = 0
    lost: list[str] = []
    try:
        for one_step in (reencrypt, reseal, cluster_credentials.reseal):
            last: uuid.UUID | None = None
            while True:
                with db.unit_of_work() as session:
                    step = one_step(session, last)
                done, last = done + step.done, step.last
                lost += step.lost
                if last is None:
                    break
        with db.unit_of_work() as session:
            registries, unknown = cluster_registries.reseal(session)
        return done + registries, lost + unknown
    finally:
        db.engine().dispose()

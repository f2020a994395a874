"""What is read by the statement that finds out who asks: one round trip in place of two.

Such a part of a statement is put beside the row `who`: whoever asks, as `services/identity.py` finds them. It starts
from `IN_SIGHT`, as every other read starts from what the caller may see, and its first column is never null.
"""

from typing import Any, NamedTuple


class Beside(NamedTuple):
    """A select of one row that may speak of `who`, made of constants only, and its values."""

    statement: str = ""
    values: tuple[Any, ...] = ()


NOTHING = Beside()

# A run r of a project p that `who` may see: in a project of theirs, or for a job's own token that very run.
IN_SIGHT = """
  p.deleted_at is null and (r.id = who.run or who.run is null and (who.is_admin or r.project_id = any(who.ids))
    and (who.only_project is null or r.project_id = who.only_project))
"""

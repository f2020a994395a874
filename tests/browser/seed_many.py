"""A run with as much of everything as its pages must bear: 2,000 metrics and 250 events."""

import datetime
import uuid

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.db import driver
from app.models import RunEvent

METRICS = 2000
EVENTS = 250
_POINTS = 60

_SERIES = """
  insert into metric_series (run_id, name, points, last_step, last_at, last_value, min_value, max_value)
  select %(run)s, 'layer/' || lpad((n / 10)::text, 3, '0') || '/probe-' || mod(n, 10),
    %(points)s, %(points)s, %(start)s::timestamptz + interval '1 hour', n / 100.0, 0, n / 50.0
  from generate_series(0, %(count)s - 1) n
"""
_VALUES = """
  insert into metric_point (series_id, step, at, value)
  select s.id, step, %(start)s::timestamptz + step * interval '1 minute', 1.0 / step + sin(step / 5.0 + s.id) / 20
  from (select id from metric_series where run_id = %(run)s order by name limit 200) s,
    generate_series(1, %(points)s) step
"""


def add_many(session: Session, run_id: uuid.UUID, start: datetime.datetime) -> None:
    """Rows for a run that is there. Points are only those of the first 200 metrics: no page asks for the others'."""
    session.flush()
    values = {"run": run_id, "points": _POINTS, "count": METRICS, "start": start}
    driver(session).execute(_SERIES, values)
    driver(session).execute(_VALUES, values)
    rows = []
    for number in range(EVENTS):
        code, data = ("started", {}) if number % 2 else ("retrying", {"cause": "node lost", "next": number % 3 + 1})
        at = start + datetime.timedelta(seconds=30 * number)
        rows.append({"run_id": run_id, "at": at, "code": code, "attempt": number % 3 + 1, "data": data})
    session.execute(insert(RunEvent), rows)

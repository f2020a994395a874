"""The times of attempts, which Postgres writes inside of JSON, look like all others of the API."""

import pytest

from app.api.schemas.runs import _utc


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-22T07:06:32.7155+00:00", "2026-11-22T07:06:32.715500Z"),
        ("2026-11-22T07:06:32+00:00", "2026-11-22T07:06:32.000000Z"),
        ("2026-11-22T09:06:32.5+02:00", "2026-11-22T07:06:32.500000Z"),
        (None, None),
    ],
)
def test_times_of_attempts(text: str | None, shown: str | None) -> None:
    assert _utc(text) == shown

"""Scalars that runs log."""

import uuid

from sqlalchemy import BigInteger, Double, ForeignKey, Identity
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Time


class MetricSeries(Base):
    """A named sequence of numbers of one run, with what lists and facts show of it."""

    __tablename__ = "metric_series"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    # Kept with every batch, so that lists and facts never read the points. NaN counts, and is never an extreme.
    points: Mapped[int] = mapped_column(default=0, server_default="0")
    last_step: Mapped[int | None]
    last_at: Mapped[Time | None]
    last_value: Mapped[float | None] = mapped_column(Double)
    min_value: Mapped[float | None] = mapped_column(Double)
    max_value: Mapped[float | None] = mapped_column(Double)


class MetricPoint(Base):
    """One value. Its key is what the client said, so a batch that is sent twice is stored once."""

    __tablename__ = "metric_point"

    series_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[Time] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(Double)

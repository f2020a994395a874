"""Who leads: one row per loop of the controller."""

from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Time


class Lease(Base):
    """`term` rises with every new holder; every write of a leader is fenced by it."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    term: Mapped[int]
    until: Mapped[Time]

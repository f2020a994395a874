"""Who leads each loop of the controller. A leader's every write is fenced by its term, because a paused
leader does not know that it lost: it finds out when it writes."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

_ACQUIRE = text("""
insert into lease (name, holder, term, until) values (:name, :holder, 1, now() + make_interval(secs => :seconds))
on conflict (name) do update
   set holder = excluded.holder,
       until = excluded.until,
       term = lease.term + case when lease.holder = excluded.holder and lease.until > now() then 0 else 1 end
 where lease.holder = excluded.holder or lease.until <= now()
returning term
""")
_FENCE = text(
    "select 1 from lease where name = :name and holder = :holder and term = :term and until > now() for share"
)
_RELEASE = text("update lease set until = now() where name = :name and holder = :holder and term = :term")


class FenceLost(Exception):
    """Another leads now: what was about to be written must be thrown away."""


@dataclass(frozen=True)
class Term:
    """A time of leading; `number` rises with every change of leader."""

    name: str
    holder: str
    number: int


def acquire(session: Session, name: str, holder: str, seconds: float) -> Term | None:
    """Takes or prolongs the lease, by the database's clock; None while another holds it."""
    number = session.scalar(_ACQUIRE, {"name": name, "holder": holder, "seconds": seconds})
    return Term(name, holder, number) if number is not None else None


def fence(session: Session, term: Term) -> None:
    """Holds the term fast until the transaction ends. Raises FenceLost."""
    found = session.scalar(_FENCE, {"name": term.name, "holder": term.holder, "term": term.number})
    if found is None:
        raise FenceLost(term.name)


def release(session: Session, term: Term) -> None:
    """Lets another lead at once; nothing happens if another does already."""
    session.execute(_RELEASE, {"name": term.name, "holder": term.holder, "term": term.number})

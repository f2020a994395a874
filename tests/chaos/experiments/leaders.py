"""F11: a leader is stopped, another takes over, and the first wakes and still believes that it leads."""

import signal
import time
from typing import Any

import psycopg

from tests.chaos.experiment import Experiment, Scale
from tests.chaos.processes import Member
from tests.chaos.world import Plan, World

# Notes each write that only a leader may make, with who made it and who led, in the writer's transaction.
_WITNESS = """
create table chaos_write (at timestamptz default clock_timestamp(), who text, loop text, holder text);
grant all on chaos_write to public;
create function chaos_note() returns trigger language plpgsql as $$
begin
  if session_user like 'chaos_controller%' then
    insert into chaos_write (who, loop, holder)
    select session_user, tg_argv[0], holder from lease where name = tg_argv[0];
  end if;
  return null;
end $$;
create trigger witness after insert on reservation for each row execute function chaos_note('admission');
create trigger witness after insert or update on observation for each row execute function chaos_note('watch:local');
"""

# Where a leader is stopped: anywhere, just after it took the lead, with a list it has read but not yet written,
# and with a transaction open.
_PLACES = ("", "lead-admission", "after-statuses", "lead-dispatch", "at-admission.before_commit")
_TAKEOVER_SECONDS = 15.0


def stop_leaders(world: World, scale: Scale) -> None:
    """Stops the leading controller, waits until another acts, wakes it, and asks whose writes got in."""
    controllers = world.fleet.of("controller")
    _sign_in_by_name(world, controllers)
    takeovers: list[float] = []
    with world.load(scale.runs, in_flight=10):
        for number in range(scale.faults):
            # A transaction that is left open is ended by Postgres after 10 s: in the short form, once.
            place = _PLACES[number % len(_PLACES)]
            if place.startswith("at-") and number >= len(_PLACES) and not scale.is_full:
                place = _PLACES[1]
            leader = _stop(world, controllers, place)
            if leader is None:
                break
            began = time.monotonic()
            world.checker.note_fault()
            _wait_for_another(world, leader)
            takeovers.append(time.monotonic() - began)
            world.checker.note_disturbance()
            time.sleep(max(0.0, scale.seconds - takeovers[-1]))
            leader.signal(signal.SIGCONT)
            world.wait_for_progress()
            _count_stale(world, controllers)
    world.notes["stale writes"] = str(len(world.checker.counters.regressed))
    world.note_times("standby acts", takeovers, _TAKEOVER_SECONDS)


def _sign_in_by_name(world: World, controllers: list[Member]) -> None:
    """Each controller gets a database role of its own, so that its writes can be told from the others'."""
    url = world.database_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_WITNESS)
        for member in controllers:
            role = f"chaos_{member.name}"
            connection.execute(
                f"do $$ begin create role {role} superuser login password 'chaos'; "
                "exception when duplicate_object then null; end $$"
            )
    for member in controllers:
        member.kill()
        member.environment["BERTH_DATABASE__URL"] = url.replace("//berth:", f"//chaos_{member.name}:", 1)
        member.start()
    world.wait(lambda: _leader(world, controllers, "admission") is not None, 60, "nobody leads")


def _leader(world: World, controllers: list[Member], loop: str) -> Member | None:
    rows = world.checker.query("select holder from lease where name = %s and until > now()", loop)
    pid = int(rows[0]["holder"].split(":")[1]) if rows else 0
    return next((member for member in controllers if member.is_alive and member.pid == pid), None)


def _stop(world: World, controllers: list[Member], place: str) -> Member | None:
    """SIGSTOP to who leads, or the file that makes it stop itself at that place; who it was."""
    found: list[Member] = []
    if place:
        (world.folder / f"pause-{place}").touch()

    def is_stopped() -> bool:
        if world.is_over:
            return True
        if not place:
            leader = _leader(world, controllers, "admission")
            if leader is not None:
                leader.signal(signal.SIGSTOP)
                found.append(leader)
        for path in world.folder.glob(f"paused-{place}.*"):
            pid = int(path.suffix[1:])
            path.unlink()
            found.extend(member for member in controllers if member.is_alive and member.pid == pid)
        return bool(found)

    world.wait(is_stopped, 60, f"no leader came by {place or 'anywhere'}")
    return found[0] if found else None


def _wait_for_another(world: World, stopped: Member) -> None:
    """Until all that the stopped one led is led by others, and a run that is submitted now has moved on."""
    run = world.submit(seconds=0.1)

    def acts() -> bool:
        rows: list[dict[str, Any]] = world.checker.query(
            "select name from lease where holder like %s and name in ('admission', 'dispatch', 'watch:local')",
            f"%:{stopped.pid}:%",
        )
        return not rows and world.checker.state(run) not in ("", "queued")

    world.wait(acts, 90, "no standby took over")


def _count_stale(world: World, controllers: list[Member]) -> None:
    pids = {f"chaos_{member.name}": str(member.pid) for member in controllers}
    for row in world.checker.query("select * from chaos_write"):
        if row["holder"].split(":")[1] != pids[row["who"]]:
            world.checker.counters.regressed.add(f"stale write of {row['who']} in {row['loop']} at {row['at']}")


def stop_before_writing(world: World, scale: Scale) -> None:
    """Only where a leader has read and not yet written."""
    stop_leaders(world, scale)


F11 = Experiment(
    name="F11",
    title="zombie leader",
    body=stop_leaders,
    short=Scale(runs=30, faults=6, seconds=0.0),
    full=Scale(runs=500, faults=10, seconds=60.0, is_full=True),
    plan=Plan(controllers=2, own_postgres=True, chaos={"controller": "pausable"}),
    guard="a leader's writes are fenced by its term",
    taken_out={"controller": "no-fence"},
    letters="R",
    body_without=stop_before_writing,
    note="full: 10 stops of 60 s",
)

"""Rounds of measurements: every case at every target, side by side, as often as wanted; the quietest rounds count."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import load
from bench.cases import Case
from bench.load import Sample
from bench.servers import Target

QUIET = 0.10  # of all processors, used by others
KEPT = 3
# In the first round, whatever the share: psycopg prepares a statement once each of its connections has executed it five
# times, and until then Postgres plans it anew, which for a submission costs more than all the rest.
_WARMING = 160
_TICK_MS = 0.001  # a few requests may take less time than the kernel counts


@dataclass(frozen=True)
class Pair:
    """One case at one target in one round: eight connections for the CPU, one for the time that somebody waits."""

    loaded: Sample
    single: Sample


@dataclass
class Results:
    """All rounds, by case and target."""

    pairs: dict[tuple[str, str], list[Pair]]
    targets: Sequence[Target]

    def median(self, case: str, target: str, figure: Callable[[Pair], float]) -> float:
        """Over the rounds that count."""
        found = self.pairs[case, target]
        return statistics.median(figure(found[number]) for number in self.counted(case))

    def ratio(self, case: str, target: str, to: str = "floor", to_case: str | None = None) -> float:
        """How many times the CPU of another target it costs, compared within each round."""
        ours, theirs = self.pairs[case, target], self.pairs[to_case or case, to]
        return statistics.median(
            ours[number].loaded.cpu_ms / max(theirs[number].loaded.cpu_ms, _TICK_MS) for number in self.counted(case)
        )

    def foreign(self, case: str) -> float:
        """The largest part of the machine that others used in a round that counts."""
        return max(self._foreign(case, number) for number in self.counted(case))

    def counted(self, case: str) -> list[int]:
        """The rounds in which others used little of the machine, or else the quietest."""
        rounds = range(len(self.pairs[case, self.targets[0].name]))
        quiet = [number for number in rounds if self._foreign(case, number) < QUIET]
        return quiet if len(quiet) >= KEPT else sorted(rounds, key=lambda number: self._foreign(case, number))[:KEPT]

    def _foreign(self, case: str, number: int) -> float:
        return max(self.pairs[case, target.name][number].loaded.foreign for target in self.targets)


def measure(
    targets: Sequence[Target],
    cases: Sequence[Case],
    database: int,
    *,
    rounds: int,
    share: float = 1.0,
    say: Callable[[str], None] = print,
) -> Results:
    """`share` of each case's requests in each round; the first round is for warming up and is thrown away."""
    results = Results({(case.name, target.name): [] for case in cases for target in targets}, targets)
    for number in range(rounds + 1):
        for case in cases:
            for target in targets if number % 2 else reversed(targets):
                pair = _measure(case, target, database, max(16 if number else _WARMING, round(case.count * share)))
                if number:
                    results.pairs[case.name, target.name].append(pair)
        say(f"round {number} of {rounds}" if number else "warmed up")
    return results


def _measure(case: Case, target: Target, database: int, count: int) -> Pair:
    def send(requests: int, connections: int) -> Sample:
        return load.measure(
            target.port,
            case.make(target, requests),
            connections,
            server=[target.pid],
            database=[database],
            status=case.answer(target),
        )

    return Pair(send(count, 8), send(max(8, count // 10), 1))

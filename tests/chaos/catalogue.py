"""All experiments, in the order of their names."""

from tests.chaos.experiment import Experiment
from tests.chaos.experiments import (
    brokers,
    cancels,
    crash_points,
    databases,
    leaders,
    supervisors,
    webs,
    workers,
)

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        workers.F1,
        crash_points.F2,
        brokers.F3,
        brokers.F4,
        brokers.F5,
        workers.F7,
        databases.F8,
        leaders.F11,
        webs.F13,
        cancels.F20,
        supervisors.F28,
    )
}

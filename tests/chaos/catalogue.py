"""All experiments, in the order of their names."""

from tests.chaos.experiment import Experiment
from tests.chaos.experiments import (
    brokers,
    cancels,
    crash_points,
    databases,
    leaders,
    pods_api,
    pods_cluster,
    pods_processes,
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

# The same faults where runs are pods, and those that only a cluster has (`--kubernetes`).
ON_KUBERNETES: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        pods_processes.F1,
        pods_api.F14,
        pods_api.F15,
        pods_api.F16,
        pods_api.F17,
        pods_api.F18,
        pods_cluster.F19,
        pods_processes.F20,
        pods_processes.F24,
        pods_cluster.F27,
        pods_cluster.F31,
        pods_cluster.F32,
        pods_cluster.F33,
    )
}

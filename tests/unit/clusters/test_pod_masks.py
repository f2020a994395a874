"""That neither the log of a pod nor what is told of its end shows a run's token."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from app.clusters.base import ObjectStatus, ReplicaStatus
from app.clusters.kubernetes_api import Api
from app.clusters.pod_logs import PodLogs, hide_tokens
from app.clusters.pod_masks import PodMasks
from app.services.run_tokens import run_token


@pytest.fixture
def token() -> str:
    return run_token("r-2345678923", 1)


class _Silent:
    """An API server that has one log, and that nothing else may be asked."""

    def __init__(self, log: bytes) -> None:
        self._log = log

    def stream(self, path: str, **query: object) -> Iterator[bytes]:
        yield self._log


def test_a_token_is_known_by_its_form(token: str) -> None:
    assert hide_tokens(f"BERTH_TOKEN={token}, and {token}".encode()) == b"BERTH_TOKEN=***, and ***"
    assert (
        hide_tokens(b"tokens begin with berth_r_, as berth_r_... do")
        == b"tokens begin with berth_r_, as berth_r_... do"
    )


def test_a_log_does_not_show_it(token: str) -> None:
    logs = PodLogs(cast(Api, _Silent(f"2026-11-22T22:49:00.123456789Z BERTH_TOKEN={token}\n".encode())))
    piece = logs.read("/pod", "main", 0, 1000, is_over=True)
    assert piece.data.endswith(b" o BERTH_TOKEN=***\n")


def test_what_is_told_of_an_end_does_not_show_it(token: str) -> None:
    job: dict[str, Any] = {"metadata": {"uid": "1", "name": "r-1", "namespace": "x"}}
    replica = ReplicaStatus(0, "gone", exit_code=1, first_error=f"KeyError: {token}", message=f"said {token}")
    status = PodMasks(cast(Api, _Silent(b""))).applied(job, ObjectStatus("r-1", 1, [replica], gone=True))
    (found,) = status.replicas
    assert (found.first_error, found.message) == ("KeyError: ***", "said ***")

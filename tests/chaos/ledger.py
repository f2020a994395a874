"""What was promised: every id that the API accepted, from the client's side, and every answer it gave."""

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx


class Ledger:
    """A client that repeats what was not answered, with the same Idempotency-Key, and writes down what was."""

    def __init__(self, ports: Sequence[int], token: str, project: str) -> None:
        self._bases = [f"http://127.0.0.1:{port}" for port in ports]
        self._turns = itertools.count()
        self._headers = {"authorization": f"Bearer {token}"}
        self._project = project
        self._local = threading.local()
        self._clients: list[httpx.Client] = []
        self._lock = threading.Lock()
        self.accepted: dict[str, str] = {}  # key -> run
        self.changed: list[str] = []  # keys that were answered with two different runs
        self.answers: Counter[str] = Counter()
        self.slowest = 0.0
        self.pending = 0  # requests that wait for their answer

    def submit(self, spec: dict[str, Any], *, patience: float = 60.0) -> str:
        """The id of the run. Repeats until it is accepted; raises TimeoutError after `patience` seconds."""
        key = uuid.uuid4().hex
        answer = self._repeat("POST", f"/api/v1/projects/{self._project}/runs", {"spec": spec}, key, patience)
        run = str(answer["id"])
        with self._lock:
            if self.accepted.setdefault(key, run) != run:
                self.changed.append(key)
        return run

    def stop(self, run: str, *, patience: float = 60.0) -> None:
        """Asks for a run's end until somebody has heard it."""
        self._repeat("POST", f"/api/v1/runs/{run}:stop", {}, None, patience)

    def close(self) -> None:
        """Ends the connections of all threads that have asked."""
        with self._lock:
            for client in self._clients:
                client.close()

    def runs(self) -> set[str]:
        """The ids that were accepted so far."""
        with self._lock:
            return set(self.accepted.values())

    def forget(self, runs: Sequence[str]) -> None:
        """These are not promised any more: the database was put back to before them."""
        with self._lock:
            self.accepted = {key: run for key, run in self.accepted.items() if run not in runs}

    def _repeat(self, method: str, path: str, body: dict[str, Any], key: str | None, patience: float) -> dict[str, Any]:
        headers = self._headers | ({"idempotency-key": key} if key else {})
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            base = self._bases[next(self._turns) % len(self._bases)]
            began = time.monotonic()
            with self._lock:
                self.pending += 1
            try:
                response = self._client().request(method, base + path, json=body, headers=headers)
            except httpx.HTTPError as error:
                self._note(type(error).__name__, began)
                time.sleep(0.2)
                continue
            self._note(str(response.status_code), began)
            if response.status_code < 300:
                answer: dict[str, Any] = response.json()
                return answer
            if response.status_code < 500 and response.status_code != 429:
                raise AssertionError(f"refused: {response.status_code} {response.text}")
            time.sleep(0.1)
        raise TimeoutError(f"{method} {path} was not accepted in {patience:.0f} s: {dict(self.answers)}")

    def _note(self, what: str, began: float) -> None:
        with self._lock:
            self.pending -= 1
            self.answers[what] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def _client(self) -> httpx.Client:
        if not hasattr(self._local, "client"):
            self._local.client = httpx.Client(timeout=20)
            with self._lock:
                self._clients.append(self._local.client)
        client: httpx.Client = self._local.client
        return client

"""What is measured: for each case, the request to the floor and the request to Berth."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from bench import load, rows
from bench.servers import FLOOR_ROWS, SPEC, Target, submit

API = "/api/v1"
POINTS = 1000


@dataclass(frozen=True)
class Case:
    """`requests(target, count)` makes that many requests, distinct where that matters; `status` is their answer's.

    `limit` is how many times the floor's CPU Berth may cost.
    """

    name: str
    title: str
    requests: Callable[[Target, int], list[bytes]]
    floor_requests: Callable[[Target, int], list[bytes]]
    count: int
    limit: float
    status: int = 200
    floor_status: int = 200

    def make(self, target: Target, count: int) -> list[bytes]:
        """Requests to this target."""
        return (self.requests if target.runs else self.floor_requests)(target, count)

    def answer(self, target: Target) -> int:
        """The status that this target answers with."""
        return self.status if target.runs else self.floor_status


def cases() -> list[Case]:
    """All of them, in the order of the table."""
    return [
        Case("submit", "Submit a run", _submits, _inserts, 1200, 2.5, 202, 201),
        Case("get", "Read one run", _reads, _selects, 1500, 2.0),
        Case("page", "First page of 50, JSON", _first_pages, _floor_pages, 800, 2.0),
        Case("deep", "Page of 50 at 90 % depth, JSON", _deep_pages, _floor_pages, 800, 2.0),
        Case("html", "Page of 50 runs, HTML", _html_pages, _floor_html, 400, 1.6),
        Case("points", "1,000 metric points", _points, _floor_points, 120, 2.0, 202),
    ]


def _bearer(token: str = rows.TOKEN) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _submits(target: Target, count: int) -> list[bytes]:
    return [submit(target.port, rows.OTHER_PROJECT)] * count


def _inserts(target: Target, count: int) -> list[bytes]:
    body = {
        "project": 1,
        "name": SPEC["name"],
        "image": "registry.example/train:1",
        "command": SPEC["command"],
        "gpus": 8,
        "env": SPEC["env"],
        "labels": {"team": "vision"},
    }
    return [load.request("POST", target.port, "/runs", body=json.dumps(body).encode())] * count


def _reads(target: Target, count: int) -> list[bytes]:
    """Runs of the project, from all over the table."""
    numbers = [rows.PROJECTS * random.randrange(target.runs // rows.PROJECTS) + rows.PLACE for _ in range(count)]
    return [load.request("GET", target.port, f"{API}/runs/{rows.public_id(number)}", _bearer()) for number in numbers]


def _selects(target: Target, count: int) -> list[bytes]:
    return [load.request("GET", target.port, f"/runs/{random.randint(1, FLOOR_ROWS)}") for _ in range(count)]


def _first_pages(target: Target, count: int) -> list[bytes]:
    return [load.request("GET", target.port, f"{API}/projects/{rows.PROJECT}/runs", _bearer())] * count


def _deep_pages(target: Target, count: int) -> list[bytes]:
    path = f"{API}/projects/{rows.PROJECT}/runs"
    found = [load.request("GET", target.port, f"{path}?after={cursor}", _bearer()) for cursor in deep_cursors(target)]
    return [found[place % len(found)] for place in range(count)]


def deep_cursors(target: Target) -> list[str]:
    """A few cursors at 90 % of the project's runs, found as a client finds them: page by page."""
    path = f"{API}/projects/{rows.PROJECT}/runs?fields=id"
    whole = target.runs // rows.PROJECTS
    size = min(200, whole // 10)
    found: list[str] = []
    after = ""
    for page in range(whole * 9 // 10 // size):
        answer = load.ask(target.port, load.request("GET", target.port, f"{path}&limit={size}{after}", _bearer()))
        after = f"&after={answer['next']}"
        if page * size >= whole * 8 // 10:
            found.append(answer["next"])
    return found[-8:]


def _floor_pages(target: Target, count: int) -> list[bytes]:
    return [load.request("GET", target.port, f"/runs?project=3&before={_before()}") for _ in range(count)]


def _floor_html(target: Target, count: int) -> list[bytes]:
    return [load.request("GET", target.port, f"/page?project=3&before={_before()}") for _ in range(count)]


def _before() -> int:
    return random.randint(2000, FLOOR_ROWS)


def _html_pages(target: Target, count: int) -> list[bytes]:
    headers = {"cookie": f"__Host-berth={rows.COOKIE}", "accept": "text/html", "sec-fetch-site": "same-origin"}
    return [load.request("GET", target.port, f"/projects/{rows.PROJECT}/runs", headers)] * count


def _points(target: Target, count: int) -> list[bytes]:
    """New points in ten series of a run, as its job sends them; the runs take turns."""
    logging = rows.logging_runs(target.url)
    first = random.randint(0, 2**40)
    made = []
    for place in range(count):
        run, token = logging[place % len(logging)]
        points = [
            [f"metric-{k % 10}", first + place * 100 + k // 10, 1_790_000_000_000 + k, 0.5 + k] for k in range(POINTS)
        ]
        body = json.dumps({"points": points}).encode()
        made.append(load.request("POST", target.port, f"{API}/runs/{run}/metrics", _bearer(token), body))
    return made


def _floor_points(target: Target, count: int) -> list[bytes]:
    first = random.randint(0, 2**40)
    made = []
    for place in range(count):
        points = [
            {
                "key": f"metric-{k % 10}",
                "value": 0.5 + k,
                "timestamp": 1_790_000_000_000,
                "step": first + place * 100 + k // 10,
            }
            for k in range(POINTS)
        ]
        body = json.dumps({"run": place % rows.LOGGING, "metrics": points}).encode()
        made.append(load.request("POST", target.port, "/metrics", body=body))
    return made

"""The floor: the smallest honest servers for the same work, bare FastAPI and a psycopg pool.

No sign-in, no rights, no filters, no history: one statement each, on a table with the indexes it needs.
`python -m bench` serves this by one uvicorn process, as it serves Berth, with FLOOR_DSN as its database.
"""

import datetime
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

SCHEMA = """
  create table runs (
    id bigint generated always as identity primary key,
    project int not null,
    name text not null,
    status text not null,
    created timestamptz not null default now(),
    spec jsonb not null,
    labels jsonb not null
  );
  create index on runs (project, id desc);
  create index on runs (project, status, id desc);
  create table metrics (run bigint, key text, step bigint, value float8, ts bigint);
  create index on metrics (run, key, step);
"""
# 20 projects; a row is as large as in the peers that were measured before Berth was built.
FILL = """
  insert into runs (project, name, status, spec, labels)
  select 1 + n %% 20, 'train-' || n, (array['queued', 'running', 'succeeded', 'failed'])[1 + n / 20 %% 4],
    jsonb_build_object('image', 'registry.example/train:1', 'command', jsonb_build_array('python', 'train.py'),
                       'gpus', n %% 9, 'env', jsonb_build_object('LR', '0.1')),
    jsonb_build_object('team', 't' || n %% 7)
  from generate_series(1, %(rows)s::int) as n
"""

_INSERT = (
    "insert into runs (project, name, status, spec, labels) values (%s, %s, 'queued', %s, %s) returning id, created"
)
_SELECT = "select id, project, name, status, created, spec, labels from runs where id = %s"
_PAGE = """
  select id, project, name, status, created, labels from runs
  where project = %s and id < %s order by id desc limit 50
"""
_POINTS = """
  insert into metrics (run, key, step, value, ts)
  select %s, * from unnest(%s::text[], %s::bigint[], %s::float8[], %s::bigint[])
"""
_TABLE = Environment(autoescape=True).from_string("""<!doctype html>
<html><head><title>{{ title }}</title></head><body>
<nav>{% for name in menu %}<a href="/{{ name }}">{{ name }}</a>{% endfor %}</nav>
<table><thead><tr>{% for head in heads %}<th>{{ head }}</th>{% endfor %}</tr></thead><tbody>
{% for run in runs %}
<tr id="r{{ run.id }}" class="{{ 'ok' if run.status == 'succeeded' else 'bad' if run.status == 'failed' else '' }}">
<td><a href="/runs/{{ run.id }}">{{ run.name }}</a></td><td>{{ run.project }}</td>
<td><span class="pill {{ run.status }}">{{ run.status }}</span></td><td>{{ run.owner }}</td>
<td>{{ run.created }}</td><td>{{ run.gpus }}</td><td>{{ run.duration }}</td>
<td><button hx-post="/runs/{{ run.id }}/stop" hx-target="#r{{ run.id }}">Stop</button></td></tr>
{% endfor %}
</tbody></table></body></html>""")
_HEADS = ("Run", "Project", "Status", "Owner", "Created", "GPU", "Duration", "")


class NewRun(BaseModel):
    """What the bare insert takes and checks."""

    project: int
    name: str
    image: str
    command: list[str]
    gpus: int = 0
    env: dict[str, str] = {}
    labels: dict[str, str] = {}


@asynccontextmanager
async def _connected(app: FastAPI) -> AsyncIterator[None]:
    pool = AsyncConnectionPool(
        os.environ["FLOOR_DSN"], min_size=10, max_size=10, open=False, kwargs={"autocommit": True}
    )
    await pool.open()
    app.state.pool = pool
    yield
    await pool.close()


app = FastAPI(lifespan=_connected, openapi_url=None)


@app.get("/hello", response_model=None)
async def hello() -> dict[str, str]:
    """No work at all; also what says that the server is ready."""
    return {"hello": "world"}


@app.post("/runs", status_code=201, response_model=None)
async def insert(run: NewRun, request: Request) -> dict[str, Any]:
    """The bare insert."""
    spec, labels = run.model_dump_json(), json.dumps(run.labels)
    async with request.app.state.pool.connection() as connection:
        cursor = await connection.execute(_INSERT, (run.project, run.name, spec, labels))
        key, created = await cursor.fetchone()
    return {"id": key, "created": created.isoformat()}


@app.get("/runs/{key}", response_model=None)
async def select(key: int, request: Request) -> dict[str, Any]:
    """One row by its key."""
    async with request.app.state.pool.connection() as connection:
        row = await (await connection.execute(_SELECT, (key,))).fetchone()
    return {**_listed(row), "spec": row[5], "labels": row[6]}


@app.get("/runs")
async def page(request: Request, project: int, before: int) -> JSONResponse:
    """50 rows by keyset."""
    return JSONResponse([{**_listed(row), "labels": row[5]} for row in await _rows(request, project, before)])


@app.get("/page")
async def page_html(request: Request, project: int, before: int) -> HTMLResponse:
    """The same rows as a table."""
    runs = [
        {
            "id": row[0],
            "project": row[1],
            "name": row[2],
            "status": row[3],
            "created": row[4],
            "gpus": 8,
            "duration": "1h",
            "owner": "ana",
        }
        for row in await _rows(request, project, before)
    ]
    return HTMLResponse(_TABLE.render(title="Runs", menu=("a", "b", "c"), heads=_HEADS, runs=runs))


@app.post("/metrics", response_model=None)
async def log_batch(request: Request) -> dict[str, str]:
    """A batch of points in one statement."""
    body = json.loads(await request.body())
    points = body["metrics"]
    columns = [[point[name] for point in points] for name in ("key", "step", "value", "timestamp")]
    async with request.app.state.pool.connection() as connection:
        await connection.execute(_POINTS, (body["run"], *columns))
    return {}


async def _rows(request: Request, project: int, before: int) -> list[tuple[Any, ...]]:
    async with request.app.state.pool.connection() as connection:
        found: list[tuple[Any, ...]] = await (await connection.execute(_PAGE, (project, before))).fetchall()
    return found


def _listed(row: tuple[Any, ...]) -> dict[str, Any]:
    created: datetime.datetime = row[4]
    return {"id": row[0], "project": row[1], "name": row[2], "status": row[3], "created": created.isoformat()}

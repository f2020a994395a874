"""Namespaces of projects on the wire: registries of a cluster, drift, and read-only kubeconfigs. Passwords come in and
never go out."""

import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.api.schemas.base import Body, Line, Moment
from app.services.namespace_drift import Drift
from app.services.project_kubeconfigs import HOURS, MOST_HOURS, Kubeconfig


class RegistrySet(Body):
    """What signs in at an image registry. The password is kept encrypted and never shown again."""

    username: Line
    password: Annotated[SecretStr, Field(max_length=10_000)]

    model_config = ConfigDict(json_schema_extra={"examples": [{"username": "puller", "password": "a long one"}]})


class RegistryRead(BaseModel):
    """An image registry that pods of the cluster pull from with credentials, and who gave them."""

    server: str
    username: str
    updated_at: Moment
    updated_by: str


class RegistryList(BaseModel):
    """By server; 20 at most."""

    items: list[RegistryRead]


class DriftRead(BaseModel):
    """A field that somebody changed of what Berth applies. `was` and `should` are JSON, empty for nothing; where the
    whole object was gone, `field` is empty, too. Values of secrets are shown as dots.

    It was put right but for where `trouble` says why not. `times` is how often it was found, last at `last_at`.
    """

    namespace: str
    project: str | None
    object: str
    field: str
    was: str
    should: str
    repaired: bool
    trouble: str | None
    times: int
    first_at: Moment
    last_at: Moment


class DriftList(BaseModel):
    """The newest first; 100 at most. `deleting` are namespaces of deleted projects that are not gone yet."""

    items: list[DriftRead]
    deleting: list[str]


class KubeconfigRequest(Body):
    """Which cluster, and for how many hours."""

    cluster: Line
    hours: Annotated[int, Field(ge=1, le=MOST_HOURS)] = HOURS

    model_config = ConfigDict(json_schema_extra={"examples": [{"cluster": "east", "hours": 8}]})


class KubeconfigRead(BaseModel):
    """A kubeconfig that was asked for. `ready` ones can be fetched once, within ten minutes of asking.

    `trouble` is why it failed; `expires_at` is when its token ends.
    """

    id: uuid.UUID
    cluster: str
    state: Literal["requested", "ready", "failed", "fetched", "expired"]
    trouble: str | None
    created_at: Moment
    expires_at: Moment | None


class KubeconfigFetched(BaseModel):
    """The text of the kubeconfig, which Berth has forgotten now."""

    kubeconfig: str


def drift_item(one: Drift) -> dict[str, Any]:
    """As in lists."""
    return {**one._asdict(), "repaired": one.trouble is None}


def kubeconfig_item(one: Kubeconfig) -> dict[str, Any]:
    """Without its content."""
    return one._asdict()

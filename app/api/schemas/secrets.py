"""Secrets on the wire. A value comes in and never goes out: no model here for answers has a field for it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.api.schemas.base import Body, Line, Moment, Page

Value = Annotated[SecretStr, Field(max_length=65_536, description="At most 65,536 bytes in UTF-8. Never shown again.")]


class SecretSet(Body):
    """What is left out stays; a new secret needs a value."""

    value: Value | None = None
    description: Line | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"value": "hf_0123456789", "description": "read-only, of the team"}]}
    )


class SecretRun(BaseModel):
    """A run that was given the secret."""

    id: str
    name: str
    used_at: Moment


class SecretRead(BaseModel):
    """What is known of a secret. `version` counts its values, `last_runs` are the five that were given it last."""

    name: str
    description: str
    version: int
    created_at: Moment
    created_by: str
    updated_at: Moment
    updated_by: str
    last_runs: list[SecretRun]


class SecretPage(Page):
    """By name."""

    items: list[SecretRead]

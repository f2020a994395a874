"""What the metrics routes take and give; for the documentation and the tests, not for validating points one by one."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.domain.comparing import Direction

NotFinite = Literal["nan", "inf", "-inf"]
Point = tuple[Annotated[str, Field(min_length=1, max_length=200)], int, int, float | NotFinite]


class ProgressWrite(BaseModel):
    """How much is done, of how much where that is known."""

    model_config = ConfigDict(extra="forbid")

    done: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)] | None = None


class MetricBatch(BaseModel):
    """Points as [name, step, time in milliseconds, value]. A point is known by its first three: sending it twice
    stores it once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"points": [["loss", 1, 1795325000000, 0.71]], "progress": {"done": 1, "total": 20}}]
        },
    )

    points: Annotated[list[Point], Field(max_length=5000)] = []
    progress: ProgressWrite | None = None


class SeriesRead(BaseModel):
    """One series, column by column. Where `is_exact`, every point is given; otherwise each place is a bucket with
    its last point, and `min` and `max` of the bucket. Values that are not finite are texts. `better` says which values
    are the better ones: of loss, error and perplexity the lower, of all else the higher."""

    name: str
    better: Direction
    is_exact: bool
    points: int
    step: list[int]
    at_ms: list[int]
    last: list[float | NotFinite]
    min: list[float | NotFinite | None] | None = None
    max: list[float | NotFinite | None] | None = None


class MetricsRead(BaseModel):
    """The series that were asked for, by name."""

    series: list[SeriesRead]


def shown(value: float | None) -> Any:
    """A number as JSON can hold it."""
    if value is None or value - value == 0:
        return value
    return "nan" if value != value else "inf" if value > 0 else "-inf"

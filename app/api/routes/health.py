"""How well Berth's parts are, for platform administrators."""

from starlette.responses import Response

from app.api import wire
from app.api.deps import allowed
from app.api.routing import new_router
from app.api.schemas.health import HealthRead
from app.domain.access import Action
from app.domain.health import worst
from app.i18n import translate
from app.services import health

router = new_router("health")


@router.get("/health", response_model=HealthRead)
@allowed(Action.HEALTH_READ)
def get_health() -> Response:
    """Each part of Berth: what was found, how old that is, and what to do. Takes some seconds when one is away."""
    checks = health.list_checks()
    items = [
        {
            "part": check.part,
            "health": check.health,
            "says": translate("en", check.says, **check.slots),
            "fix": translate("en", check.fix, **check.slots) if check.fix else None,
            "age_seconds": None if check.age_seconds is None else round(check.age_seconds, 3),
            "took_ms": None if check.took_ms is None else round(check.took_ms, 3),
        }
        for check in checks
    ]
    return wire.json_response({"health": worst(checks), "checks": items})

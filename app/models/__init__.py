"""Tables, one file per noun. Importing this package registers all of them."""

from app.models.audit import AuditEntry
from app.models.base import Base
from app.models.capsule import Capsule, Environment
from app.models.cluster import Cluster, Installation, Pool, Reservation
from app.models.definition import Definition, DefinitionVersion
from app.models.idempotency import IdempotencyKey
from app.models.lease import Lease
from app.models.log import LogChunk
from app.models.metric import MetricPoint, MetricSeries
from app.models.namespace import ClusterRegistry, NamespaceDrift, ProjectKubeconfig, ProjectNamespace
from app.models.notification import (
    Notification,
    NotificationAttempt,
    NotificationEvent,
    NotificationMessage,
    NotificationMute,
)
from app.models.output import Output
from app.models.project import Membership, Project
from app.models.retention import RetentionPlan, RetentionPlanRun, RetentionRules
from app.models.run import Attempt, Observation, Replica, Run, RunEvent
from app.models.secret import Secret, SecretUse
from app.models.snapshot import Snapshot
from app.models.token import ApiToken
from app.models.usage import Usage
from app.models.user import OneTimeLink, User, UserSession
from app.models.view import RunColumns, SavedView

__all__ = [
    "ApiToken",
    "Attempt",
    "AuditEntry",
    "Base",
    "Capsule",
    "Cluster",
    "ClusterRegistry",
    "Definition",
    "DefinitionVersion",
    "Environment",
    "IdempotencyKey",
    "Installation",
    "Lease",
    "LogChunk",
    "Membership",
    "MetricPoint",
    "MetricSeries",
    "NamespaceDrift",
    "Notification",
    "NotificationAttempt",
    "NotificationEvent",
    "NotificationMessage",
    "NotificationMute",
    "Observation",
    "OneTimeLink",
    "Output",
    "Pool",
    "Project",
    "ProjectKubeconfig",
    "ProjectNamespace",
    "Replica",
    "Reservation",
    "RetentionPlan",
    "RetentionPlanRun",
    "RetentionRules",
    "Run",
    "RunColumns",
    "RunEvent",
    "SavedView",
    "Secret",
    "SecretUse",
    "Snapshot",
    "Usage",
    "User",
    "UserSession",
]

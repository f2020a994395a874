"""Who may do what: one table, read by every transport.

An action is refused unless a row grants it. What a person may not even see is answered as not found.
"""

import uuid
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Role(IntEnum):
    """A member's role in a project; each includes the ones below it."""

    VIEWER = 1
    EDITOR = 2
    OWNER = 3

    @classmethod
    def of(cls, name: str) -> "Role":
        return cls[name.upper()]


class Scope(IntEnum):
    """What a token may be used for; a browser session has all of it. RUN is what a job's own token may do."""

    RUN = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


class Action(StrEnum):
    """Everything that can be asked for, named as in the audit log."""

    ACCOUNT_READ = "account.read"
    ACCOUNT_WRITE = "account.write"
    TOKEN_CREATE = "token.create"
    USER_READ = "user.read"
    USER_WRITE = "user.write"
    AUDIT_READ = "audit.read"
    HEALTH_READ = "health.read"
    CLUSTER_READ = "cluster.read"
    CLUSTER_WRITE = "cluster.write"
    PROJECT_CREATE = "project.create"
    PROJECT_READ = "project.read"
    PROJECT_WRITE = "project.write"
    PROJECT_DELETE = "project.delete"
    PROJECT_KUBECONFIG = "project.kubeconfig"
    PROJECT_AUDIT = "project.audit"
    MEMBER_READ = "member.read"
    MEMBER_WRITE = "member.write"
    DEFINITION_READ = "definition.read"
    DEFINITION_WRITE = "definition.write"
    NOTIFICATION_READ = "notification.read"
    NOTIFICATION_WRITE = "notification.write"
    OWN_NOTIFICATION_READ = "own_notification.read"
    OWN_NOTIFICATION_WRITE = "own_notification.write"
    RUN_READ = "run.read"
    RUN_WRITE = "run.write"
    RUN_LOG = "run.log"
    SECRET_READ = "secret.read"
    SECRET_WRITE = "secret.write"
    VIEW_WRITE = "view.write"


@dataclass(frozen=True)
class Rule:
    """`role`: the least role in the project, or None where no project is involved. `scope`: the token's.

    `admin`: only platform admins. `run`: a job's own token may do it, to its own run.
    """

    scope: Scope
    role: Role | None = None
    admin: bool = False
    run: bool = False


RULES: dict[Action, Rule] = {
    Action.ACCOUNT_READ: Rule(Scope.READ),
    Action.ACCOUNT_WRITE: Rule(Scope.ADMIN),
    Action.TOKEN_CREATE: Rule(Scope.ADMIN),
    Action.USER_READ: Rule(Scope.READ, admin=True),
    Action.USER_WRITE: Rule(Scope.ADMIN, admin=True),
    Action.AUDIT_READ: Rule(Scope.READ, admin=True),
    Action.HEALTH_READ: Rule(Scope.READ, admin=True),
    Action.CLUSTER_READ: Rule(Scope.READ, admin=True),
    Action.CLUSTER_WRITE: Rule(Scope.ADMIN, admin=True),
    Action.PROJECT_CREATE: Rule(Scope.ADMIN, admin=True),
    Action.PROJECT_READ: Rule(Scope.READ, Role.VIEWER),
    Action.PROJECT_WRITE: Rule(Scope.ADMIN, Role.OWNER),
    Action.PROJECT_DELETE: Rule(Scope.ADMIN, Role.OWNER),
    # No viewers: what a kubelet keeps of a log has the values of secrets in it, if a program prints them.
    Action.PROJECT_KUBECONFIG: Rule(Scope.WRITE, Role.EDITOR),
    Action.PROJECT_AUDIT: Rule(Scope.READ, Role.OWNER),
    Action.MEMBER_READ: Rule(Scope.READ, Role.VIEWER),
    Action.MEMBER_WRITE: Rule(Scope.ADMIN, Role.OWNER),
    Action.DEFINITION_READ: Rule(Scope.READ, Role.VIEWER),
    Action.DEFINITION_WRITE: Rule(Scope.WRITE, Role.EDITOR),
    # Owners only, because the address of a webhook may itself be a secret.
    Action.NOTIFICATION_READ: Rule(Scope.READ, Role.OWNER),
    Action.NOTIFICATION_WRITE: Rule(Scope.ADMIN, Role.OWNER),
    Action.OWN_NOTIFICATION_READ: Rule(Scope.READ),
    Action.OWN_NOTIFICATION_WRITE: Rule(Scope.ADMIN),
    Action.RUN_READ: Rule(Scope.READ, Role.VIEWER),
    Action.RUN_WRITE: Rule(Scope.WRITE, Role.EDITOR),
    Action.RUN_LOG: Rule(Scope.WRITE, Role.EDITOR, run=True),
    # Names only: no action reads a value.
    Action.SECRET_READ: Rule(Scope.READ, Role.VIEWER),
    Action.SECRET_WRITE: Rule(Scope.WRITE, Role.EDITOR),
    Action.VIEW_WRITE: Rule(Scope.WRITE, Role.VIEWER),
}


@dataclass(frozen=True)
class Actor:
    """Who asks, as one look at the database resolved it. `roles` are by project id.

    `only_project` narrows a token to one project, `run` (its key) a job's token to one run. `session_hash`
    is set for a browser.
    """

    user_id: uuid.UUID
    name: str
    is_admin: bool = False
    is_service_account: bool = False
    scope: Scope = Scope.ADMIN
    roles: dict[uuid.UUID, Role] = field(default_factory=dict)
    only_project: uuid.UUID | None = None
    run: uuid.UUID | None = None
    session_hash: bytes | None = None
    language: str | None = None
    theme: str | None = None
    address: str = ""
    request_id: str = ""

    def role_in(self, project_id: uuid.UUID) -> Role | None:
        """The role in a project, or None for one that this actor cannot see. Admins own everything."""
        if self.only_project is not None and self.only_project != project_id:
            return None
        if self.is_admin:
            return Role.OWNER
        return self.roles.get(project_id)

    @property
    def sees_all_projects(self) -> bool:
        return self.is_admin and self.only_project is None


class Verdict(StrEnum):
    """The answer: yes; no; or as if it did not exist."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"
    HIDDEN = "hidden"


def can(actor: Actor, action: Action, project_id: uuid.UUID | None = None, run: uuid.UUID | None = None) -> Verdict:
    """Whether `actor` may do `action`, in `project_id` where the action is about a project."""
    rule = RULES[action]
    if actor.scope == Scope.RUN:
        own = rule.run and run is not None and run == actor.run
        return Verdict.ALLOWED if own else Verdict.HIDDEN
    if rule.role is not None:
        role = actor.role_in(project_id) if project_id is not None else None
        if role is None:
            return Verdict.HIDDEN
        if role < rule.role:
            return Verdict.FORBIDDEN
    elif actor.only_project is not None and action not in _OF_THE_TOKEN_ITSELF:
        return Verdict.FORBIDDEN
    if rule.admin and not actor.is_admin:
        return Verdict.FORBIDDEN
    return Verdict.ALLOWED if actor.scope >= rule.scope else Verdict.FORBIDDEN


# What a token that is narrowed to a project may still ask about outside any project.
_OF_THE_TOKEN_ITSELF = frozenset({Action.ACCOUNT_READ})

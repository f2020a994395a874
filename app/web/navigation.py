"""What the sidebar leads to: a table for each of its parts, in the order in which it is shown."""

from dataclasses import dataclass

from app.domain.access import Action
from app.errors import N_


@dataclass(frozen=True)
class Place:
    """`url` is a pattern with {project} where it is about one. A page is where its shell's `current` says."""

    key: str
    text: str
    icon: str
    url: str


@dataclass(frozen=True)
class Tab:
    """A page of settings; shown to those who may do `action`, or to everybody who sees the others."""

    key: str
    text: str
    url: str
    action: Action | None = None
    icon: str = ""


HOME = Place("home", N_("Home"), "home", "/")
PROJECT = (
    Place("runs", N_("Runs"), "run", "/projects/{project}/runs"),
    Place("jobs", N_("Jobs"), "job", "/projects/{project}/jobs"),
    Place("experiments", N_("Experiments"), "table", "/projects/{project}/experiments"),
    Place("settings", N_("Settings"), "settings", "/projects/{project}/settings"),
)
PLATFORM = (
    Place("users", N_("Users"), "users", "/admin/users"),
    Place("projects", N_("Projects"), "projects", "/admin/projects"),
    Place("clusters", N_("Clusters"), "devices", "/admin/clusters"),
    Place("audit", N_("Audit log"), "time", "/admin/audit"),
    Place("health", N_("Health"), "health", "/admin/health"),
)
HELP = (
    Place("problems", N_("Reasons and errors"), "book", "/problems"),
    Place("api", N_("REST API"), "terminal", "/docs/api"),
)

# After the run's own address.
RUN = (
    Tab("overview", N_("Overview"), ""),
    Tab("logs", N_("Logs"), "/logs"),
    Tab("metrics", N_("Metrics"), "/metrics"),
    Tab("system", N_("System"), "/system"),
    Tab("outputs", N_("Outputs"), "/outputs"),
    Tab("spec", N_("Spec"), "/spec"),
    Tab("events", N_("Events"), "/events"),
)
SETTINGS = (
    Tab("general", N_("General"), "/projects/{project}/settings", Action.PROJECT_READ),
    Tab("members", N_("Members"), "/projects/{project}/settings/members", Action.MEMBER_READ),
    Tab("accounts", N_("Service accounts"), "/projects/{project}/settings/service-accounts", Action.MEMBER_READ),
    Tab("secrets", N_("Secrets"), "/projects/{project}/settings/secrets", Action.SECRET_READ),
    Tab("notifications", N_("Notifications"), "/projects/{project}/settings/notifications", Action.NOTIFICATION_READ),
    Tab("retention", N_("Retention"), "/projects/{project}/settings/retention"),
    Tab("tokens", N_("Tokens"), "/projects/{project}/settings/tokens", Action.MEMBER_WRITE),
    Tab("audit", N_("Audit log"), "/projects/{project}/settings/audit", Action.PROJECT_AUDIT),
)
ACCOUNT = (
    Tab("profile", N_("Profile"), "/me", icon="user"),
    Tab("tokens", N_("API tokens"), "/me/tokens", icon="key"),
    Tab("notifications", N_("Notifications"), "/me/notifications", icon="mail"),
    Tab("sessions", N_("Sessions"), "/me/sessions", icon="devices"),
)

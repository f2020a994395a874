"""Every page in every state it can have. A route of the web router that is not here fails a test."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.browser.seed import LONG, NASTY, Seed

VISION = "/projects/vision/runs"


@dataclass(frozen=True)
class Page:
    """One state of one page: its route, its address, who looks, and what is to be found on it."""

    name: str
    route: str
    url: Callable[[Seed], str]
    user: str | None = "alice"
    status: int = 200
    mark: str = "○"
    shows: str = ""  # a text that is there in every language
    is_variant: bool = False  # other data in the same elements: two corners of the matrix are enough for axe
    is_outage: bool = False  # the controller does not answer


def _run(key: str, query: str = "") -> Callable[[Seed], str]:
    return lambda seed: f"{VISION}/{seed.runs[key]}{query}"


def _diff(key: str, other: str) -> Callable[[Seed], str]:
    return lambda seed: f"{VISION}/{seed.runs[key]}/spec?diff={seed.runs[other]}"


def _at(path: str) -> Callable[[Seed], str]:
    return lambda _: path


def _asked(state: str) -> Callable[[Seed], str]:
    return lambda seed: f"/projects/vision/settings/kubeconfig?key={seed.ids['kubeconfig ' + state]}"


def _compare(*keys: str) -> Callable[[Seed], str]:
    return lambda seed: f"/projects/vision/compare?runs={','.join(seed.runs[key] for key in keys)}"


RUN = "/projects/{project}/runs/{run}"
COMPARE = "/projects/{project}/compare"
LIST = "/projects/{project}/runs"
SECRETS = "/projects/{project}/settings/secrets"
SETTINGS = "/projects/{project}/settings"
JOBS = "/projects/{project}/jobs"
VISION_JOBS = "/projects/vision/jobs"
LOGS = f"{RUN}/logs"
METRICS = f"{RUN}/metrics"
EVENTS = f"{RUN}/events"
OUTPUTS = f"{RUN}/outputs"
SPEC = f"{RUN}/spec"
FILE = f"{RUN}/outputs/{{path:path}}"
SYSTEM = f"{RUN}/system"
RETENTION = "/projects/{project}/settings/retention"

PAGES = [
    Page("login", "/login", _at("/login"), user=None),
    Page("login-next", "/login", _at(f"/login?next={VISION}"), user=None, is_variant=True),
    Page("setup", "/setup", lambda seed: f"/setup?k={seed.keys['setup']}", user=None),
    Page("setup-used", "/setup", _at("/setup?k=nothing"), user=None, status=404, mark="✕", is_variant=True),
    Page("invitation", "/invitation", lambda seed: f"/invitation?k={seed.keys['invitation']}", user=None, shows="bob"),
    Page("sign-in-link", "/", lambda seed: f"/?k={seed.keys['sign_in']}", user=None),
    Page("terminal-ask", "/terminal", _at("/terminal")),
    Page("terminal-unknown", "/terminal", _at("/terminal?code=ZZZZ-ZZZZ"), shows="ZZZZ", is_variant=True),
    Page("terminal", "/terminal", lambda seed: f"/terminal?code={seed.keys['terminal']}", shows="laptop"),
    Page("home-empty", "/", _at("/"), user="nobody"),
    Page("home", "/", _at("/"), mark="●", shows="resnet50-imagenet-b512"),
    Page("home-quiet", "/", _at("/"), user="bob", shows="vision", is_variant=True),
    Page("api", "/docs/api", _at("/docs/api"), shows="/api/v1/projects/{project}/runs"),
    Page("api-operation", "/docs/api/{operation}", _at("/docs/api/create-run"), shows="IDEMPOTENCY_KEY_REUSED"),
    Page("search", "/search", _at("/search?project=vision"), shows="/search"),
    Page("search-hits", "/search", _at("/search?project=vision&q=resnet"), shows="resnet50-imagenet-b512"),
    Page("search-none", "/search", _at("/search?q=nothing-is-called-so"), shows="nothing-is-called-so"),
    Page("projects", "/projects", _at("/projects"), shows=NASTY),
    Page("projects-none", "/projects", _at("/projects"), user="nobody", is_variant=True),
    Page("runs", LIST, _at(VISION), mark="●", shows="resnet50-imagenet-b512"),
    Page("runs-oldest", LIST, _at(f"{VISION}?sort=created&q=sweep-trial-00"), shows="sweep-trial-000", is_variant=True),
    Page("runs-viewer", LIST, _at(f"{VISION}?q=-tag:sweep"), user="bob", mark="●", is_variant=True),
    Page("runs-filtered", LIST, _at(f"{VISION}?q=status:failed"), shows="digits-lr-10", is_variant=True),
    Page("runs-no-match", LIST, _at(f"{VISION}?q=tag:nothing-has-this"), shows=""),
    Page("runs-bad-filter", LIST, _at(f"{VISION}?q=stats:failed"), mark="●", shows="stats"),
    Page("runs-empty", LIST, _at("/projects/empty-project/runs"), shows="berth run submit"),
    Page("runs-archived", LIST, _at(f"{VISION}?q=archived:yes"), shows="archived-trial", is_variant=True),
    Page("runs-by-name", LIST, _at(f"{VISION}?sort=name"), mark="●", is_variant=True),
    Page("runs-columns-off", LIST, _at(f"{VISION}?columns=-"), mark="●", shows="resnet50", is_variant=True),
    Page("runs-metric", LIST, _at(f"{VISION}?columns=metric,progress&metric=train/loss"), mark="●", shows="train/loss"),
    Page("columns", f"{LIST}/columns", _at(f"{VISION}/columns?q=status:failed"), shows="train/loss"),
    Page("runs-view-taken", LIST, _at(f"{VISION}?taken=My%20failures"), mark="●", shows="My failures", is_variant=True),
    Page("runs-did", LIST, _at(f"{VISION}?did=stop.38.2"), mark="●", shows="38", is_variant=True),
    Page(
        "experiments", "/projects/{project}/experiments", _at("/projects/vision/experiments"), mark="●", shows="digits"
    ),
    Page(
        "experiments-empty",
        "/projects/{project}/experiments",
        _at("/projects/empty-project/experiments"),
        shows="--experiment",
    ),
    Page("compare", COMPARE, _compare("running", "succeeded", "failed"), mark="●", shows="batch_size"),
    Page("compare-viewer", COMPARE, _compare("succeeded", "failed"), user="bob", shows="lr", is_variant=True),
    Page("compare-same", COMPARE, _compare("old-1", "old-2"), is_variant=True),
    Page("compare-nasty", COMPARE, _compare("nasty", "long", "succeeded"), shows=LONG, is_variant=True),
    Page("compare-one", COMPARE, _compare("running"), status=422, mark="✕", shows="COMPARE_COUNT", is_variant=True),
    Page(
        "compare-unknown",
        COMPARE,
        _at("/projects/vision/compare?runs=r-7f3k2m9qwa,r-2222222222"),
        status=404,
        mark="✕",
        shows="r-2222222222",
        is_variant=True,
    ),
    Page("new", f"{LIST}/new", _at(f"{VISION}/new"), shows="run.yaml"),
    Page("new-viewer", f"{LIST}/new", _at(f"{VISION}/new"), user="bob", status=403, mark="✕", is_variant=True),
    Page("new-from", f"{LIST}/new", lambda seed: f"{VISION}/new?from={seed.runs['running']}", shows="r-"),
    Page(
        "new-with-problems", f"{LIST}/new", lambda seed: f"{VISION}/new?from={seed.runs['nasty']}", shows="parameters"
    ),
    Page("run-queued", RUN, _run("queued"), mark="◌", shows="r-7f3k2m9qwa"),
    Page("run-outage", RUN, _run("running"), mark="●", shows='data-key="controller', is_outage=True),
    Page(
        "runs-outage",
        LIST,
        _at(VISION),
        user="bob",
        mark="●",
        shows='data-key="controller',
        is_variant=True,
        is_outage=True,
    ),
    Page("home-outage", "/", _at("/"), mark="●", shows='data-key="controller', is_variant=True, is_outage=True),
    Page("run-starting", RUN, _run("starting"), mark="◔", is_variant=True),
    Page("run-running", RUN, _run("running"), mark="●", shows="batch_size"),
    Page("run-running-viewer", RUN, _run("running"), user="bob", mark="●", is_variant=True),
    Page("run-succeeded", RUN, _run("succeeded"), mark="✓", shows="model.pkl"),
    Page("run-failed", RUN, _run("failed"), mark="✕", shows="ValueError: loss is not finite"),
    Page("run-out-of-memory", RUN, _run("oom"), mark="✕", shows="OOM_KILLED", is_variant=True),
    Page("run-stopped-long", RUN, _run("long"), mark="■", shows=LONG, is_variant=True),
    Page("run-nasty", RUN, _run("nasty"), mark="✓", shows=NASTY, is_variant=True),
    Page("run-many", RUN, _run("many"), mark="✓", shows="/metrics", is_variant=True),
    Page("logs", LOGS, _run("running", "/logs"), mark="●", shows="epoch"),
    Page("logs-failed", LOGS, _run("failed", "/logs"), mark="✕", shows="ValueError"),
    Page("logs-first-attempt", LOGS, _run("failed", "/logs?attempt=1"), mark="✕", is_variant=True),
    Page("logs-queued", LOGS, _run("queued", "/logs"), mark="◌"),
    Page("logs-starting", LOGS, _run("starting", "/logs"), mark="◔", is_variant=True),
    Page("logs-nasty", LOGS, _run("nasty", "/logs"), mark="✓", shows=NASTY, is_variant=True),
    Page("logs-at-a-line", LOGS, _run("running", "/logs?line=120#L120"), mark="●", shows="epoch", is_variant=True),
    Page("logs-search", LOGS, _run("running", "/logs?q=slow+batch"), mark="●", shows="slow", is_variant=True),
    Page("metrics", METRICS, _run("running", "/metrics"), mark="●", shows="val/accuracy"),
    Page("metrics-table", METRICS, _run("succeeded", "/metrics?show=table"), mark="✓", shows="train/loss"),
    Page("metrics-many", METRICS, _run("many", "/metrics"), mark="✓", shows="2,004"),
    Page("metrics-filtered", METRICS, _run("many", "/metrics?q=layer/01"), mark="✓", shows="layer/01", is_variant=True),
    Page("metrics-no-match", METRICS, _run("running", "/metrics?q=nothing"), mark="●", shows="nothing"),
    Page("metrics-none", METRICS, _run("queued", "/metrics"), mark="◌", shows="run.log"),
    Page("metrics-never", METRICS, _run("old-1", "/metrics"), mark="✓", shows="run.log", is_variant=True),
    Page("metrics-nasty", METRICS, _run("nasty", "/metrics?log=1&x=relative"), mark="✓", shows=NASTY, is_variant=True),
    Page("events", EVENTS, _run("running", "/events"), mark="●", shows="alice"),
    Page("events-attempts", EVENTS, _run("failed", "/events?attempt=2"), mark="✕", shows="2"),
    Page("events-none", EVENTS, _run("queued", "/events?kind=files"), mark="◌"),
    Page("events-many", EVENTS, _run("many", "/events"), mark="✓", shows="before="),
    Page("secrets", SECRETS, _at("/projects/vision/settings/secrets"), shows="HF_TOKEN"),
    Page("secrets-viewer", SECRETS, _at("/projects/vision/settings/secrets"), user="bob", shows="HF_TOKEN"),
    Page("secrets-empty", SECRETS, _at("/projects/empty-project/settings/secrets"), shows="berth secret set"),
    Page("secrets-end", SECRETS, _at("/projects/vision/settings/secrets?after=zz"), is_variant=True),
    Page("secret", f"{SECRETS}/{{secret}}", _at("/projects/vision/settings/secrets/HF_TOKEN"), shows="HF_TOKEN"),
    Page(
        "secret-nasty",
        f"{SECRETS}/{{secret}}",
        _at("/projects/vision/settings/secrets/wandb.api-key?said=saved"),
        shows=NASTY,
        is_variant=True,
    ),
    Page("settings", SETTINGS, _at("/projects/vision/settings"), shows="Vision"),
    Page("settings-deletable", SETTINGS, _at("/projects/empty-project/settings"), shows="empty-project"),
    Page("settings-viewer", SETTINGS, _at("/projects/vision/settings"), user="bob", shows="Vision", is_variant=True),
    Page("members", f"{SETTINGS}/members", _at("/projects/vision/settings/members"), shows="bob"),
    Page(
        "members-viewer",
        f"{SETTINGS}/members",
        _at("/projects/vision/settings/members"),
        user="bob",
        shows="alice",
        is_variant=True,
    ),
    Page(
        "accounts", f"{SETTINGS}/service-accounts", _at("/projects/vision/settings/service-accounts"), shows="nightly"
    ),
    Page("accounts-none", f"{SETTINGS}/service-accounts", _at("/projects/empty-project/settings/service-accounts")),
    Page(
        "account",
        f"{SETTINGS}/service-accounts/{{account}}",
        _at("/projects/vision/settings/service-accounts/nightly"),
        shows="berth_s_",
    ),
    Page("project-tokens", f"{SETTINGS}/tokens", _at("/projects/vision/settings/tokens"), shows="nightly"),
    Page("project-tokens-none", f"{SETTINGS}/tokens", _at("/projects/empty-project/settings/tokens"), is_variant=True),
    Page("project-audit", f"{SETTINGS}/audit", _at("/projects/vision/settings/audit"), shows="member.set"),
    Page("me", "/me", _at("/me"), shows="alice"),
    Page("me-tokens", "/me/tokens", _at("/me/tokens"), shows="laptop"),
    Page("me-tokens-none", "/me/tokens", _at("/me/tokens"), user="nobody", is_variant=True),
    Page("me-sessions", "/me/sessions", _at("/me/sessions"), shows="127.0.0.1"),
    Page("users", "/admin/users", _at("/admin/users"), shows="nobody"),
    Page("users-no-match", "/admin/users", _at("/admin/users?q=zzz"), shows="zzz"),
    Page("user", "/admin/users/{user}", _at("/admin/users/bob"), shows="vision"),
    Page("users-hidden", "/admin/users", _at("/admin/users"), user="bob", status=404, mark="✕", is_variant=True),
    Page("admin-projects", "/admin/projects", _at("/admin/projects"), shows="empty-project"),
    Page("kubeconfig", f"{SETTINGS}/kubeconfig", _at("/projects/vision/settings/kubeconfig"), shows="gpu-east"),
    Page("kubeconfig-ready", f"{SETTINGS}/kubeconfig", _asked("ready"), is_variant=True),
    Page("kubeconfig-failed", f"{SETTINGS}/kubeconfig", _asked("failed"), is_variant=True),
    Page("kubeconfig-waits", f"{SETTINGS}/kubeconfig", _asked("requested"), is_variant=True),
    Page("clusters", "/admin/clusters", _at("/admin/clusters"), shows="gpu-east"),
    Page("cluster", "/admin/clusters/{cluster}", _at("/admin/clusters/gpu-east"), shows="v1.34.2"),
    Page("cluster-away", "/admin/clusters/{cluster}", _at("/admin/clusters/gpu-west"), is_variant=True),
    Page("cluster-local", "/admin/clusters/{cluster}", _at("/admin/clusters/local"), is_variant=True),
    Page("audit", "/admin/audit", _at("/admin/audit"), shows="session.create"),
    Page("audit-filtered", "/admin/audit", _at("/admin/audit?verb=member.set"), shows="editor", is_variant=True),
    Page("audit-no-match", "/admin/audit", _at("/admin/audit?verb=nothing&since=2026-01-01T10:00"), is_variant=True),
    Page("audit-bad-filter", "/admin/audit", _at("/admin/audit?since=yesterday&project=no-such"), is_variant=True),
    Page("health", "/admin/health", _at("/admin/health"), mark="✕", shows="Postgres"),
    Page("jobs", JOBS, _at(VISION_JOBS), shows="train-digits"),
    Page("jobs-viewer", JOBS, _at(VISION_JOBS), user="bob", is_variant=True),
    Page("jobs-archived", JOBS, _at(f"{VISION_JOBS}?archived=1"), shows="old-pipeline"),
    Page("jobs-none-archived", JOBS, _at("/projects/empty-project/jobs?archived=1"), is_variant=True),
    Page("jobs-empty", JOBS, _at("/projects/empty-project/jobs"), shows="berth job apply"),
    Page("job", f"{JOBS}/{{name}}", _at(f"{VISION_JOBS}/train-digits"), shows="Learning rate"),
    Page("job-viewer", f"{JOBS}/{{name}}", _at(f"{VISION_JOBS}/train-digits"), user="bob", shows="Learning rate"),
    Page("job-older", f"{JOBS}/{{name}}", _at(f"{VISION_JOBS}/train-digits?version=1"), shows="Ask before"),
    Page("job-archived", f"{JOBS}/{{name}}", _at(f"{VISION_JOBS}/old-pipeline"), shows="Old pipeline"),
    Page("job-nasty", f"{JOBS}/{{name}}", _at(f"{VISION_JOBS}/nasty"), shows=NASTY, is_variant=True),
    Page("job-new", f"{JOBS}/new", _at(f"{VISION_JOBS}/new"), shows="spec:"),
    Page("job-edit", f"{JOBS}/{{name}}/edit", _at(f"{VISION_JOBS}/train-digits/edit"), shows="Ask before"),
    Page("job-diff", f"{JOBS}/{{name}}/diff", _at(f"{VISION_JOBS}/train-digits/diff?from=1&to=3"), shows="1000"),
    Page("system", SYSTEM, _run("running", "/system"), mark="●", shows="GiB"),
    Page("system-gpu", SYSTEM, _run("succeeded", "/system"), mark="✓", shows="× 2"),
    Page("system-full", SYSTEM, _run("failed", "/system?attempt=1"), mark="✕", shows="MiB", is_variant=True),
    Page("system-short", SYSTEM, _run("oom", "/system"), mark="✕", is_variant=True),
    Page("system-none", SYSTEM, _run("long", "/system"), mark="■", is_variant=True),
    Page("system-waiting", SYSTEM, _run("queued", "/system"), mark="◌"),
    Page("outputs", OUTPUTS, _run("outputs", "/outputs"), mark="✓", shows="model.safetensors"),
    Page("spec", SPEC, _run("succeeded", "/spec"), mark="✓", shows="train.py"),
    Page("spec-diff", SPEC, _diff("failed", "succeeded"), mark="✕", shows="numpy 2.1.0 → 2.2.1"),
    Page("spec-same", SPEC, _diff("oom", "starting"), mark="✕", is_variant=True),
    Page("spec-viewer", SPEC, _run("running", "/spec"), user="bob", mark="●", is_variant=True),
    Page("spec-waiting", SPEC, _run("queued", "/spec"), mark="◌", is_variant=True),
    Page("spec-nasty", SPEC, _run("nasty", "/spec"), mark="✓", is_variant=True),
    Page("spec-long", SPEC, _diff("long", "running"), mark="■", shows=LONG, is_variant=True),
    Page(
        "spec-unknown",
        SPEC,
        _run("succeeded", "/spec?diff=r-2222222222"),
        status=404,
        mark="✓",
        shows="r-2222222222",
        is_variant=True,
    ),
    Page("outputs-none", OUTPUTS, _run("queued", "/outputs"), mark="◌", is_variant=True),
    Page(
        "outputs-folder", FILE, _run("outputs", "/outputs/checkpoints"), mark="✓", shows="step-00000", is_variant=True
    ),
    Page("output-text", FILE, _run("outputs", "/outputs/train.log"), mark="✓", shows="epoch 2 loss 1.0"),
    Page("output-json", FILE, _run("outputs", "/outputs/config.json"), mark="✓", shows='"layers"', is_variant=True),
    Page("output-table", FILE, _run("outputs", "/outputs/metrics.csv"), mark="✓", shows="accuracy"),
    Page("output-jsonl", FILE, _run("outputs", "/outputs/samples.jsonl"), mark="✓", shows="line 4", is_variant=True),
    Page("output-image", FILE, _run("outputs", "/outputs/plots/curve.png"), mark="✓", shows="480 × 270"),
    Page("output-tensors", FILE, _run("outputs", "/outputs/model.safetensors"), mark="✓", shows="512 × 64"),
    Page("output-lying", FILE, _run("outputs", "/outputs/lying.safetensors"), mark="✓", shows="4611686018427387904"),
    Page("output-hex", FILE, _run("outputs", "/outputs/weights.bin"), mark="✓", shows="00000010"),
    Page("output-empty", FILE, _run("outputs", "/outputs/empty"), mark="✓", is_variant=True),
    Page(
        "output-html", FILE, _run("outputs", "/outputs/hostile/page.html"), mark="✓", shows="<script>", is_variant=True
    ),
    Page("output-removed", FILE, _run("outputs", "/outputs/old.ckpt"), mark="✓", shows="30"),
    Page("output-none", FILE, _run("outputs", "/outputs/nothing"), status=404, mark="✕", shows="404", is_variant=True),
    Page("retention", RETENTION, _at("/projects/vision/settings/retention"), shows="GiB"),
    Page("retention-none", RETENTION, _at("/projects/empty-project/settings/retention"), is_variant=True),
    Page(
        "retention-preview",
        RETENTION,
        _at("/projects/vision/settings/retention?preview=1&keep_last=1"),
        shows="digits-lr",
    ),
    Page(
        "retention-bad",
        RETENTION,
        _at("/projects/vision/settings/retention?preview=1&keep_days=soon"),
        status=422,
        shows="soon",
        is_variant=True,
    ),
    Page("notifications", f"{SETTINGS}/notifications", _at("/projects/vision/settings/notifications"), shows=NASTY),
    Page(
        "notifications-log",
        f"{SETTINGS}/notifications",
        lambda seed: f"/projects/vision/settings/notifications?show={seed.ids['notification']}",
        shows="503",
    ),
    Page("notifications-none", f"{SETTINGS}/notifications", _at("/projects/speech/settings/notifications")),
    Page(
        "notifications-viewer",
        f"{SETTINGS}/notifications",
        _at("/projects/vision/settings/notifications"),
        user="bob",
        status=403,
        mark="✕",
        is_variant=True,
    ),
    Page("my-notifications", "/me/notifications", _at("/me/notifications"), user="bob", shows="hooks.example.org"),
    Page("problems", "/problems", _at("/problems"), shows="OOM_KILLED"),
    Page("problem-reason", "/problems/{code}", _at("/problems/OOM_KILLED"), shows="OOM_KILLED"),
    Page("problem-error", "/problems/{code}", _at("/problems/NOT_FOUND"), user=None, shows="NOT_FOUND"),
    Page("not-found", LIST, _at("/projects/nothing-here/runs"), status=404, mark="✕", shows="404"),
    Page("no-such-page", "", _at("/nothing/here"), user=None, status=404, mark="✕", shows="404", is_variant=True),
]

# Routes that are no page of their own, and why.
NO_PAGES = {
    "GET /static/{asked}/{name:path}": "files",
    "GET /r/{run}": "redirects to the run",
    "GET /projects/{project}": "redirects to the project's runs",
    "GET /projects/{project}/runs/changes": "partial of the list",
    f"GET {RUN}/menu": "partial of the list; tests/browser/test_row_menu.py looks at it",
    "POST /projects/{project}/runs/columns": "form of the page",
    "POST /projects/{project}/runs/new": "form of the page",
    "POST /projects/{project}/runs/sample": "form of the start page and of a list without runs",
    "POST /projects/{project}/runs/new/check": "partial of the page",
    "POST /projects/{project}/jobs/check": "partial of the pages on which a job's YAML is written",
    "GET /projects/{project}/runs/{run}/live": "partial of the run's page",
    "GET /projects/{project}/runs/{run}/state": "partial of the run's pages",
    "GET /projects/{project}/runs/{run}/after": "partial of the run's page",
    "GET /projects/{project}/runs/{run}/events/new": "partial of the events' page",
    "GET /projects/{project}/runs/{run}/metrics.csv": "a file",
    "POST /projects/{project}/runs/{run}/metrics/pins": "form of the metrics' page",
    "GET /projects/{project}/runs/{run}/output-image/{path:path}": "a picture of the page",
    "POST /projects/{project}/settings/retention": "form of the page",
    "POST /login": "form of the page",
    "POST /logout": "form of every page",
    "POST /preferences": "form of every page",
    "POST /setup": "form of the page",
    "POST /invitation": "form of the page",
    "POST /terminal": "form of the page",
    "POST /projects/{project}/settings/notifications": "forms of the page",
    "POST /me/notifications": "forms of the page",
    "POST /sign-in": "form of the start page with a link",
    "POST /projects/{project}/runs/bulk": "form of the list; tests/browser/test_bulk.py looks at what it answers",
    "POST /projects/{project}/views": "form of the list",
    "POST /projects/{project}/views/{view}/delete": "form of the list",
    "POST /projects/{project}/runs/{run}/stop": "form of the run's page",
    "POST /projects/{project}/runs/{run}/mute": "form of the run's page",
    "POST /projects/{project}/runs/{run}/debug": "form of the run's page",
    "POST /projects/{project}/runs/{run}/rerun": "form of the run's page",
    "POST /projects/{project}/runs/{run}/rerun-exact": "form of the run's pages",
    "POST /projects/{project}/settings/secrets": "form of the page",
    "POST /projects/{project}/settings/secrets/{secret}": "form of the page",
    "POST /projects/{project}/settings/secrets/{secret}/delete": "form of the page",
    "GET /admin/audit.csv": "a file",
    f"GET {SETTINGS}/audit.csv": "a file",
    f"POST {SETTINGS}": "form of the page",
    f"POST {SETTINGS}/delete": "form of the settings",
    f"POST {SETTINGS}/members": "form of the page",
    f"POST {SETTINGS}/members/{{user}}/remove": "form of the members",
    f"POST {SETTINGS}/service-accounts": "form of the page",
    f"POST {SETTINGS}/service-accounts/{{account}}": "form of the page",
    f"POST {SETTINGS}/service-accounts/{{account}}/tokens": "form of the account's page",
    f"POST {SETTINGS}/service-accounts/{{account}}/tokens/{{token}}/revoke": "form of the account's page",
    f"POST {SETTINGS}/tokens/{{token}}/revoke": "form of the tokens",
    "POST /me": "form of the page",
    "POST /me/password": "form of the account",
    "POST /me/tokens": "form of the page",
    "POST /me/tokens/{token}/revoke": "form of the tokens",
    "POST /me/sessions/{session_id}/end": "form of the sessions",
    "POST /me/sessions/end-others": "form of the sessions",
    "POST /admin/users": "form of the page",
    "POST /admin/users/{user}": "form of the page",
    "POST /admin/users/{user}/end-sessions": "form of the user's page",
    "POST /admin/users/{user}/reset": "form of the user's page",
    "POST /admin/projects": "form of the page",
    "POST /admin/clusters": "form of the page",
    "POST /admin/clusters/{cluster}/settings": "form of the cluster's page",
    "POST /admin/clusters/{cluster}/check": "form of the cluster's page",
    "POST /admin/clusters/{cluster}/drain": "form of the cluster's page",
    "POST /admin/clusters/{cluster}/credentials": "form of the cluster's page",
    "POST /admin/clusters/{cluster}/remove": "form of the cluster's page",
    "POST /admin/clusters/{cluster}/registries": "form of the cluster's page",
    "POST /admin/clusters/{cluster}/registries/remove": "form of the cluster's page",
    f"POST {SETTINGS}/kubeconfig": "form of the page",
    f"POST {SETTINGS}/kubeconfig/download": "form of the page; answers with a file",
    "POST /projects/{project}/jobs/new": "form of the page",
    "POST /projects/{project}/jobs/{name}/edit": "form of the page",
    "POST /projects/{project}/jobs/{name}/check": "partial of the definition's page",
    "POST /projects/{project}/jobs/{name}/run": "form of the definition's page",
    "POST /projects/{project}/jobs/{name}/archive": "form of the definition's page",
}

"""Everything that can be set, in one class; the only reader of the environment.

`BERTH_HOME` is one folder with all state of a trial on one machine. What is generated there at the first
start (`secrets.json`) is read here, so that a trial needs no settings and a real installation none of the
files. Nested groups are set as `BERTH_WEB__PORT`.
"""

import base64
from functools import cached_property, lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.home import default_home, generated_secret


class DatabaseSettings(BaseModel):
    """Postgres. The pool is as large as the number of requests that are worked on at once."""

    url: SecretStr | None = None
    pool_size: Annotated[int, Field(ge=1, le=500)] = 16
    pool_timeout: Annotated[float, Field(gt=0)] = 5.0
    statement_timeout_ms: Annotated[int, Field(ge=100)] = 15_000


class RedisSettings(BaseModel):
    """Redis, or anything that speaks its protocol. It holds hints only; losing it loses nothing."""

    url: SecretStr | None = None


class WebSettings(BaseModel):
    """The web process. `url` is what people type: cookies, links and the Host check follow from it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8800
    url: str | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    session_hours: Annotated[int, Field(ge=1)] = 24 * 14
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    login_per_minute: Annotated[int, Field(ge=1)] = 10


class LimitSettings(BaseModel):
    """Bounds on what users may send and keep."""

    waiting_runs_per_project: Annotated[int, Field(ge=1)] = 100_000
    snapshot_bytes: Annotated[int, Field(ge=1)] = 200 << 20
    snapshot_unpacked_bytes: Annotated[int, Field(ge=1)] = 1 << 30
    snapshot_files: Annotated[int, Field(ge=1)] = 20_000
    metrics_per_run: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    log_bytes_per_attempt: Annotated[int, Field(ge=1024)] = 256 << 20
    output_files: Annotated[int, Field(ge=1)] = 10_000
    output_bytes: Annotated[int, Field(ge=1)] = 100 << 30


class ConvergenceSettings(BaseModel):
    """How often Berth looks by itself, and how long a holder may be silent before another takes over."""

    sweep_seconds: Annotated[float, Field(gt=0)] = 5.0
    lease_seconds: Annotated[float, Field(gt=0)] = 30.0
    leader_seconds: Annotated[float, Field(gt=0)] = 10.0
    resync_seconds: Annotated[float, Field(gt=0)] = 60.0
    redeliver_seconds: Annotated[float, Field(gt=0)] = 10.0
    worker_threads: Annotated[int, Field(ge=1, le=64)] = 4

    @property
    def away_seconds(self) -> float:
        """A cluster that was not seen for so long does not answer: three looks were missed, and some patience."""
        return 3 * self.sweep_seconds + 15


class LocalSettings(BaseModel):
    """The cluster that is this machine. Capacity is what the machine has unless it is set here."""

    enabled: bool = True
    cpus: Annotated[float | None, Field(gt=0)] = None
    memory_bytes: Annotated[int | None, Field(gt=0)] = None
    isolate: bool = True
    cgroups: bool = True


class ObjectSettings(BaseModel):
    """Where snapshots, sealed logs and outputs are kept: a folder below the home, a bucket, or any obstore URL.

    A bucket is of Amazon's S3, or of whoever speaks the same at `endpoint`. Without keys the credentials are
    those of the machine.
    """

    url: str | None = None
    bucket: Annotated[str | None, Field(min_length=1)] = None
    endpoint: Annotated[str | None, Field(pattern=r"^https?://[^/]+/?$")] = None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: SecretStr | None = None
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]*$")] = ""
    path_style: bool = True

    @model_validator(mode="after")
    def _one_place(self) -> "ObjectSettings":
        if self.url and self.bucket:
            raise ValueError("BERTH_OBJECTS__URL and BERTH_OBJECTS__BUCKET name two places; set one of them")
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("BERTH_OBJECTS__ACCESS_KEY and BERTH_OBJECTS__SECRET_KEY belong together")
        if self.bucket is None and (self.endpoint or self.access_key):
            raise ValueError("BERTH_OBJECTS__BUCKET must be set where an endpoint or keys are")
        return self


class MailSettings(BaseModel):
    """The server that takes mail. Without a host there is no mail. `domains` bounds the receivers; empty is all."""

    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    sender: str = "berth@localhost"
    domains: list[str] = []


class NotificationSettings(BaseModel):
    """What users may have sent. `networks` are private ones that webhooks may reach, such as ["fd12:3456::/48"]."""

    networks: list[str] = []
    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 10.0
    per_owner: Annotated[int, Field(ge=1, le=1000)] = 50
    keep_days: Annotated[int, Field(ge=2)] = 30

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, texts: list[str]) -> list[str]:
        return [str(ip_network(text)) for text in texts]


class ClusterSettings(BaseModel):
    """How the controller reaches the cluster that it runs in: the files of its pod, and the API server's name; and how
    long clusters try to pull an image before the attempt is given up."""

    in_cluster_folder: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    in_cluster_server: str = "https://kubernetes.default.svc"
    image_patience_seconds: float = Field(default=600.0, ge=0)


class Settings(BaseSettings):
    """All settings. `trial` is one machine with generated secrets; without it, secrets must be given."""

    model_config = SettingsConfigDict(
        env_prefix="BERTH_", env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )

    home: Path = Field(default_factory=default_home)
    trial: bool = True
    secret_key: SecretStr | None = None
    encryption_keys: SecretStr | None = None
    crash_at: str = ""  # a named crash point, for the fault experiments only
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    web: WebSettings = WebSettings()
    limits: LimitSettings = LimitSettings()
    convergence: ConvergenceSettings = ConvergenceSettings()
    local: LocalSettings = LocalSettings()
    objects: ObjectSettings = ObjectSettings()
    mail: MailSettings = MailSettings()
    notifications: NotificationSettings = NotificationSettings()
    clusters: ClusterSettings = ClusterSettings()

    @model_validator(mode="after")
    def _secrets_outside_trial(self) -> "Settings":
        if not self.trial:
            given = {
                "BERTH_SECRET_KEY": self.secret_key,
                "BERTH_ENCRYPTION_KEYS": self.encryption_keys,
                "BERTH_DATABASE__URL": self.database.url,
                "BERTH_REDIS__URL": self.redis.url,
                "BERTH_WEB__URL": self.web.url,
            }
            missing = [name for name, value in given.items() if not value]
            if missing:
                raise ValueError(f"outside trial mode these must be set: {', '.join(missing)}")
        if self.secret_key is not None and len(self.secret_key.get_secret_value()) < 32:
            raise ValueError("BERTH_SECRET_KEY must have at least 32 characters")
        if self.encryption_keys is not None:
            read_keys(self.encryption_keys.get_secret_value())
        return self

    @property
    def console_url(self) -> str:
        """Where people find the console, without a slash at the end."""
        everywhere = self.web.host in ("", "127.0.0.1", "::1", "0.0.0.0", "::", "localhost")  # noqa: S104 - compared only
        own = f"http://localhost:{self.web.port}" if everywhere else self.run_url
        return (self.web.url or own).rstrip("/")

    @property
    def run_url(self) -> str:
        """Where runs on this machine reach the web process."""
        host = "127.0.0.1" if self.web.host in ("", "0.0.0.0", "::") else self.web.host  # noqa: S104 - compared only
        return f"http://[{host}]:{self.web.port}" if ":" in host else f"http://{host}:{self.web.port}"

    @property
    def is_secure(self) -> bool:
        """Whether browsers take `Secure` cookies from the console: over TLS, and from localhost."""
        url = urlsplit(self.console_url)
        host = url.hostname or ""
        return url.scheme == "https" or host == "localhost" or host.endswith(".localhost")

    @property
    def database_url(self) -> str:
        """A SQLAlchemy URL with the psycopg driver. Raises RuntimeError where no database was named."""
        if self.database.url is None:
            raise RuntimeError("no database: set BERTH_DATABASE__URL, or start Berth with `berth up`")
        url = self.database.url.get_secret_value()
        return url.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def redis_url(self) -> str:
        """Raises RuntimeError where no Redis was named."""
        if self.redis.url is None:
            raise RuntimeError("no Redis: set BERTH_REDIS__URL, or start Berth with `berth up`")
        return self.redis.url.get_secret_value()

    @cached_property
    def signing_key(self) -> bytes:
        """The key that cursors and CSRF tokens are signed with; generated once per home in a trial."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value().encode()
        return generated_secret(self.home, "signing_key").encode()

    def load_encryption_keys(self) -> list[bytes]:
        """What project secrets are encrypted with, newest first; each has 32 bytes.

        Those of a trial are read from its home each time, so that a key that was added counts at once.
        """
        if self.encryption_keys is not None:
            return read_keys(self.encryption_keys.get_secret_value())
        return read_keys(generated_secret(self.home, "encryption_keys"))


def read_keys(text: str) -> list[bytes]:
    """Keys of 32 bytes in base64url, by commas. Raises ValueError, which never says what stands there."""
    keys = []
    for number, part in enumerate((part.strip() for part in text.split(",")), 1):
        try:
            key = base64.b64decode(part.rstrip("=") + "=" * (-len(part.rstrip("=")) % 4), altchars=b"-_", validate=True)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise ValueError(f"BERTH_ENCRYPTION_KEYS: key {number} is not 32 bytes in base64url")
        keys.append(key)
    return keys


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()


def describe(error: ValidationError) -> str:
    """A line per setting that cannot be used."""
    lines = []
    for part in error.errors():
        place = "__".join(str(name).upper() for name in part["loc"])
        lines.append(f"BERTH_{place}: {part['msg']}" if place else part["msg"].removeprefix("Value error, "))
    return "; ".join(lines)

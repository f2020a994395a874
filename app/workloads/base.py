"""What every kind of work has in common: the fields of its spec, and the contract of a kind."""

import math
import re
from typing import Annotated, Any, Literal, Protocol

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

from app.domain import images
from app.domain.quantities import parse_cpu, parse_duration, parse_memory
from app.domain.quota import Resources
from app.domain.states import MAX_ATTEMPTS, Cause
from app.errors import N_, BadValue
from app.workloads import patterns
from app.workloads.rules import Ruled, rule

# What changes how the program's own loader or interpreter starts would let a job pass for another, so these
# are Berth's to set.
_RESERVED_ENV = re.compile(r"(LD_|DYLD_|BERTH_|GCONV_PATH$|PATH$|PYTHONPATH$|PYTHONHOME$|PYTHONSTARTUP$|HOME$)")
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PARAMETER_LENGTH = 4096
STORED = "stored"
"""The context in which a spec is read that was taken before, perhaps by an older Berth that refused less."""

PRIORITIES = {"low": -10, "normal": 0, "high": 10}


def _quantity(parse: Any) -> Any:
    """A validator that keeps the text as written and refuses what `parse` cannot read, with its fix."""

    def check(value: Any) -> Any:
        if isinstance(value, bool):
            raise BadValue(N_("must be text such as the examples show"))
        text = str(value) if isinstance(value, int | float) else value
        if not isinstance(text, str):
            raise BadValue(N_("must be text such as the examples show"))
        parse(text)
        return text.strip()

    return BeforeValidator(check)


def plain_text(value: str) -> str:
    """No control characters (a tab in a script is text), no NUL, no lone surrogates."""
    if _NO_TEXT.search(value):
        raise BadValue(N_("must not contain control characters"))
    return value


def _one_line(value: str) -> str:
    if "\n" in value or "\r" in value:
        raise BadValue(N_("must be a single line"))
    return plain_text(value)


def _scalar(value: Any) -> Any:
    """One answer for what is none of a parameter's types, in place of one for each of them."""
    if isinstance(value, str):
        if len(value) > _PARAMETER_LENGTH:
            raise BadValue(N_("the number of characters must be at most {max_length}"), max_length=_PARAMETER_LENGTH)
        return plain_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValue(N_("must be a finite number"))
    if not isinstance(value, int | float):
        raise BadValue(N_("must be a text, a number, or true or false"))
    return value


def _stays_inside(value: str) -> str:
    if ".." in value.split("/"):
        raise BadValue(N_("must stay inside the folder of the snapshot"))
    return value


def _image(value: str, info: ValidationInfo) -> str:
    return value if info.context == STORED else images.checked(value)


def _env_name(name: str | None) -> str | None:
    if name is None:
        return None
    if not _ENV_NAME.fullmatch(name):
        raise BadValue(N_("{name} is not a name for an environment variable"), name=repr(name[:40]))
    if _RESERVED_ENV.match(name):
        raise BadValue(N_("{name} is set by Berth and cannot be set here"), name=name)
    return name


Cpu = Annotated[str, _quantity(parse_cpu), Field(max_length=32, examples=["1", "500m"])]
Memory = Annotated[str, _quantity(parse_memory), Field(max_length=32, examples=["1Gi", "512Mi"])]
Duration = Annotated[str, _quantity(parse_duration), Field(max_length=32, examples=["8h", "30s"])]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_one_line)]
Value = Annotated[str, StringConstraints(max_length=8192), AfterValidator(plain_text)]
Script = Annotated[str, StringConstraints(min_length=1, max_length=65_536), AfterValidator(plain_text)]
# Names are checked one by one, as values are: a rule over the whole would be silent while one value is wrong.
Env = Annotated[dict[Annotated[str, AfterValidator(_env_name)], Value], Field(max_length=200)]
ParameterName = Annotated[str, StringConstraints(pattern=patterns.PARAMETER)]
Text = Annotated[str, StringConstraints(max_length=_PARAMETER_LENGTH)]
Parameter = Annotated[Text | int | float | bool, BeforeValidator(_scalar)]
Tag = Annotated[str, StringConstraints(pattern=patterns.LABEL)]
Experiment = Annotated[str, StringConstraints(pattern=patterns.LABEL)]
Digest = Annotated[str, StringConstraints(pattern=patterns.DIGEST)]
RelativePath = Annotated[str, StringConstraints(pattern=patterns.RELATIVE_PATH), AfterValidator(_stays_inside)]
AbsolutePath = Annotated[str, StringConstraints(pattern=patterns.ABSOLUTE_PATH)]
Image = Annotated[str, StringConstraints(pattern=patterns.IMAGE), AfterValidator(_image)]


MOST_REPLICAS = 128
"""Each costs the controller a connection while its log is followed."""


def _each_once(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


class SecretUse(Ruled):
    """A secret of the project, by name, and where the program finds it: an environment variable or a file.

    A run's row and plan hold this and never the value.
    """

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(pattern=patterns.SECRET), Field(examples=["HF_TOKEN"])]
    env: Annotated[
        str | None, AfterValidator(_env_name), Field(description="The environment variable.", examples=["HF_TOKEN"])
    ] = None
    file: Annotated[
        str | None,
        StringConstraints(pattern=patterns.SECRET_FILE),
        Field(description="The name of a file in the folder $BERTH_SECRETS.", examples=[None]),
    ] = None

    @rule("env", "file")
    def _one_place(self) -> None:
        if (self.env is None) == (self.file is None):
            raise BadValue(N_("give either env or file"))


_KEPT_FOLDERS = ("berth", "dev", "proc", "sys")


def _mountable(path: str) -> str:
    if path.split("/")[1] in _KEPT_FOLDERS:
        raise BadValue(N_("{path} is Berth's own or the system's; choose another folder, such as /mnt/data"), path=path)
    return path


class VolumeUse(Ruled):
    """A volume claim of the project's namespace, by name, and the folder at which the program finds it."""

    model_config = ConfigDict(extra="forbid")

    claim: Annotated[str, StringConstraints(pattern=patterns.CLAIM), Field(examples=["datasets"])]
    path: Annotated[
        str, StringConstraints(pattern=patterns.FOLDER), AfterValidator(_mountable), Field(examples=["/mnt/datasets"])
    ]
    read_only: Annotated[bool, Field(strict=True, description="Whether the program may only read it.")] = False


class Spec(Ruled):
    """What a user says of a piece of work. Fields that nobody knows are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Annotated[Line, Field(description="What people see in lists; it need not be unique.")]
    tags: Annotated[
        list[Tag], Field(max_length=50, description="Words to find it by."), AfterValidator(_each_once)
    ] = []
    experiment: Annotated[Experiment | None, Field(description="The experiment that it is part of.")] = None
    image: Annotated[Image | None, Field(description="The container image, used on clusters.")] = None
    env: Annotated[Env, Field(description="Environment variables.")] = {}
    secrets: Annotated[
        list[SecretUse],
        Field(max_length=20, description="Secrets of the project that the program is given, by name."),
    ] = []
    volumes: Annotated[
        list[VolumeUse],
        Field(max_length=20, description="Volume claims of the project's namespace that it mounts, on clusters."),
    ] = []
    parameters: Annotated[
        dict[ParameterName, Parameter],
        Field(max_length=500, description="Values the program reads; each is also BERTH_PARAM_<NAME>."),
    ] = {}
    cpu: Annotated[Cpu, Field(description="CPU cores for each replica.")] = "1"
    memory: Annotated[Memory, Field(description="Memory for each replica, in binary units.")] = "1Gi"
    shared_memory: Annotated[
        Memory | None,
        Field(description="Size of /dev/shm, a part of the memory, on clusters; half of the memory unless said."),
    ] = None
    gpus: Annotated[int, Field(ge=0, le=1024, strict=True, description="Whole GPUs for each replica.")] = 0
    pool: Annotated[str, StringConstraints(pattern=patterns.POOL), Field(description="Node pool.")] = "local"
    priority: Annotated[Literal["low", "normal", "high"], Field(description="Place in line.")] = "normal"
    retry: Annotated[
        dict[
            Literal["failed", "oom_killed", "timed_out", "start_failed", "lost"],
            Annotated[int, Field(ge=0, le=20)],
        ],
        Field(description="How many more attempts may follow one that ended for this cause."),
    ] = {"lost": 2}
    timeout: Annotated[Duration | None, Field(description="How long an attempt may run.")] = None
    grace: Annotated[Duration, Field(description="Time between the request to end and the kill.")] = "30s"
    replicas: Annotated[
        int,
        Field(
            ge=1,
            le=MOST_REPLICAS,
            strict=True,
            description="Pods that run side by side and find each other, on clusters.",
        ),
    ] = 1
    snapshot: Annotated[Digest | None, Field(description="SHA-256 of the uploaded code.")] = None
    python: Annotated[
        AbsolutePath | None,
        Field(description="The interpreter on this machine whose environment the job uses."),
    ] = None
    requirements: Annotated[
        RelativePath | None,
        Field(description="A requirements file of the snapshot to make an environment from."),
    ] = None

    @rule("shared_memory", "memory")
    def _shared_memory_of_memory(self) -> None:
        if self.shared_memory is not None and parse_memory(self.shared_memory) > parse_memory(self.memory):
            message = N_("is a part of the memory, and so at most {memory}")
            raise BadValue(message, self.memory, memory=self.memory).at("/shared_memory")

    @rule("python", "requirements")
    def _one_python(self) -> None:
        if self.python and self.requirements:
            raise BadValue(N_("python and requirements exclude each other; keep one")).at("/python")

    @rule("requirements", "snapshot")
    def _requirements_of_snapshot(self) -> None:
        if self.requirements and not self.snapshot:
            raise BadValue(N_("requirements is a file of the snapshot, and there is no snapshot")).at("/requirements")

    @rule("env", "secrets")
    def _places_of_secrets(self) -> None:
        taken = set(self.env)
        for number, use in enumerate(self.secrets):
            place = use.env or f"/{use.file}"
            if place in taken:
                message = N_("{name} is set twice, by env or by secrets")
                raise BadValue(message, name=place.removeprefix("/")).at(f"/secrets/{number}")
            taken.add(place)

    @rule("volumes", "pool")
    def _places_of_volumes(self) -> None:
        if self.volumes and self.pool == "local":
            raise BadValue(N_("volumes are there on clusters only; name the pool of one")).at("/volumes")
        paths = [use.path for use in self.volumes]
        for number, path in enumerate(paths):
            if path in paths[:number]:
                raise BadValue(N_("two volumes cannot be at {path}"), path=path).at(f"/volumes/{number}")

    @property
    def resources(self) -> Resources:
        """What all replicas ask for together."""
        return Resources(parse_cpu(self.cpu), parse_memory(self.memory), self.gpus) * self.replicas

    @property
    def retries(self) -> dict[Cause, int]:
        """How many more attempts each cause may have."""
        return {Cause(cause): min(count, MAX_ATTEMPTS) for cause, count in self.retry.items()}


class WorkloadKind(Protocol):
    """One kind: its spec, and what it starts as processes on this machine."""

    name: str
    spec: type[Spec]

    def command(self, spec: Any) -> list[str]:
        """The program and its arguments."""

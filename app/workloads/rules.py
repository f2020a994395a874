"""Rules about several fields of a model, told beside the mistakes of single fields and not only after them.

Pydantic runs a model's own validators when every field is sound. Here each rule names the fields that it looks at, and
runs when those are: whoever mends a text learns of all that is wrong with it at once.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails

from app.errors import BadValue
from app.workloads.findings import nearest_name

_ABOUT = "about_fields"
Check = TypeVar("Check", bound=Callable[[Any], None])


def rule(*fields: str) -> Callable[[Check], Check]:
    """Marks a method of a `Ruled` as a rule about these fields: it raises BadValue, and sees nothing but them."""

    def mark(check: Check) -> Check:
        vars(check)[_ABOUT] = fields
        return check

    return mark


class Ruled(BaseModel):
    """A model whose methods marked with `rule` are checked, all of them, whether or not other fields are sound."""

    rules: ClassVar[tuple[Callable[[Any], None], ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **given: Any) -> None:
        """Collects the rules of the class and of those above it."""
        super().__pydantic_init_subclass__(**given)
        cls.rules = tuple(one for base in cls.__mro__[::-1] for one in vars(base).values() if hasattr(one, _ABOUT))

    @model_validator(mode="wrap")
    @classmethod
    def _keep_rules(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        hides = bool(cls.model_config.get("hide_input_in_errors"))
        try:
            made = handler(value)
        except ValidationError as error:
            if not isinstance(value, Mapping):
                raise
            known = [
                InitErrorDetails(type=one["type"], loc=one["loc"], input=one["input"], ctx=one.get("ctx", {}))
                for one in error.errors(include_url=False)
            ]
            wrong = _wrong_fields(cls, error)
            broken = [
                found
                for check in cls.rules
                if not wrong.intersection(vars(check)[_ABOUT])
                for found in _broken(check, _read(cls, vars(check)[_ABOUT], value))
            ]
            if not broken:
                raise
            raise ValidationError.from_exception_data(error.title, [*known, *broken], hide_input=hides) from None
        broken = [found for check in cls.rules for found in _broken(check, made)]
        if broken:
            raise ValidationError.from_exception_data(cls.__name__, broken, hide_input=hides)
        return made


def _wrong_fields(model: type[BaseModel], error: ValidationError) -> set[str]:
    """Names of fields that cannot be judged: those with a mistake, and those that somebody misspelt."""
    made = set()
    for one in error.errors(include_url=False):
        name = str(one["loc"][0]) if one["loc"] else ""
        made.add(nearest_name(name, model.model_fields) or name if one["type"] == "extra_forbidden" else name)
    return made


def _read(model: type[BaseModel], fields: tuple[str, ...], value: Mapping[str, Any]) -> Any:
    """What a rule sees: the sound fields that it names, as the model would have them."""
    made = SimpleNamespace()
    for name in fields:
        if name in value:
            setattr(made, name, _reader(model, name).validate_python(value[name]))
        else:
            setattr(made, name, model.model_fields[name].get_default(call_default_factory=True))
    return made


@cache
def _reader(model: type[BaseModel], field: str) -> TypeAdapter[Any]:
    """To make one takes longer than to read a whole spec, and forms ask with every key that is pressed."""
    about = model.model_fields[field]
    annotation: Any = Annotated[about.annotation, about]
    return TypeAdapter(annotation)


def _broken(check: Callable[[Any], None], made: Any) -> Iterator[InitErrorDetails]:
    try:
        check(made)
    except BadValue as error:
        yield InitErrorDetails(type="value_error", loc=(), input=None, ctx={"error": error})

"""What the models of a scenario share: frozen, written short or long, and how small types are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

T = TypeVar("T")
ONE_OF = "x-one-of"
"""In a schema as pydantic makes it: the names of the models of which a value is one (`testbed/scenario/schema.py`)."""


class Frozen(BaseModel):
    """A scenario value: immutable, without unknown keys. Models are built on first use, not on import."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Short(Frozen):
    """A mapping that may be written short: anything but a mapping is the value of its field ``short``.

    ``empty``: no value at all (``accept:``) is the mapping without any key. A model whose short form gives several
    fields has its own ``lengthened``, and ``short_schema`` for editors.
    """

    short: ClassVar[str] = ""
    short_schema: ClassVar[dict[str, Any]] = {}
    empty: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _lengthen(cls, value: object) -> object:
        if isinstance(value, (Mapping, cls)):
            return value
        if value is None and cls.empty:
            return {}
        if not cls.short and not cls.short_schema:
            raise ValueError(f"expected nothing or a mapping, not {shown(value)}")
        if value is None:
            raise ValueError("a value is missing here")
        return cls.lengthened(value)

    @classmethod
    def lengthened(cls, value: object) -> object:
        """Return the mapping that a short form means. Raises ValueError (message, hint)."""
        return {cls.model_fields[cls.short].alias or cls.short: value}


def _given(value: T) -> T:
    if value is None:
        raise ValueError("a value is missing here", "leave the key out to get the default")
    return value


Opt = Annotated[T | None, BeforeValidator(_given)]
"""A key that may be left out, but not left empty."""


class OneOf:
    """How a value of one of several models is read: each model is built when a value is first of it."""

    def __init__(self, models: Mapping[str, type[Frozen]], *, several: bool) -> None:
        self.models, self.several = models, several

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:  # noqa: ANN401 - pydantic's own
        read = core_schema.no_info_plain_validator_function
        choices: dict[Any, Any] = {_tag(key): read(partial(_read, model)) for key, model in self.models.items()}
        return core_schema.tagged_union_schema(choices, self._tag_of)

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> Any:  # noqa: ANN401 - pydantic's own
        return {ONE_OF: [model.__name__ for model in self.models.values()]}

    def _tag_of(self, value: object) -> str | None:
        if isinstance(value, Frozen):
            return next((_tag(key) for key, model in self.models.items() if type(value) is model), None)
        found = [key for key in self.models if key in value] if isinstance(value, dict) else []
        return _tag(found[0]) if found and (self.several or len(found) == 1) else None


def _read(model: type[Frozen], value: object) -> Frozen:
    # By itself a model would take the local names of whoever calls as names of types.
    model.model_rebuild(_types_namespace={})
    return model.model_validate(value)


def _tag(key: str) -> str:
    return f"<{key}>"


def one_of(base: type[Frozen], models: Mapping[str, type[Frozen]], *, several: bool = False) -> Any:  # noqa: ANN401 - a type expression
    """Return the type of a value that is of one of these models, each named by a key of the value.

    All are ``base``. A mapping must have exactly one of the keys; with ``several`` the first model whose key it has is
    meant. The models may still be added to when this is called: they are looked at when a value is first read.
    """
    return Annotated[base, OneOf(models, several=several)]


def shown(value: object) -> str:
    """Return a value as YAML writes it, for a message; long ones are cut."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value)[:41])
    return f"`{text if len(text) <= 40 else text[:37] + '...'}`"


def nearest(word: str, known: tuple[str, ...]) -> str:
    """Return ``; did you mean `x`?`` for the known word that is nearest to this one, or nothing."""
    folded = {name.lower(): name for name in reversed(known)}
    close = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    close = close or [name for name in folded if len(name) > 2 and word.lower().startswith(name)]
    return f"; did you mean `{folded[close[0]]}`?" if close else ""


class Parsed:
    """Both halves of a small type: how it is read, and its schema for editors."""

    def __init__(self, parse: Callable[[object], object], schema: dict[str, object]) -> None:
        self.parse, self.schema = parse, schema

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:  # noqa: ANN401 - pydantic's own
        # PlainValidator does this too, and makes a schema for writing, which nobody needs: a quarter of a first load
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> Any:  # noqa: ANN401 - pydantic's own
        return WithJsonSchema(self.schema).__get_pydantic_json_schema__(core, handler)

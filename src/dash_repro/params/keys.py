"""What a key of params.yaml is declared with: its type, range, default, unit, source.

A section of params.yaml is a `Section`, whose fields are its keys:

    width: Count = key(128, "base channels", "Table A1")

The annotation is the type and the range; `key` has the rest. pydantic checks values
against it. The JSON schema that pydantic makes of it (`schema`) is what the reference
page, the comments of params.yaml and the command `dash-repro params` are written from.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _each_once(values: list[Any]) -> list[Any]:
    if len({one for one in values if isinstance(one, Hashable)}) < len(values):
        raise PydanticCustomError("each_once", "Input should have each entry once")
    return values


def _is_whole(value: Any) -> Any:
    if type(value) is not int:  # to a Literal[1], 1.0 and True are 1
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


NAME = "^[a-z][a-z0-9_]{0,63}$"  # in names of files, rules and stages
# Of a number, 4 and 4.0 are one value, and so are 0.0 and -0.0.
_one_zero = AfterValidator(lambda value: value + 0.0)
Number = Annotated[float, _one_zero]
Positive = Annotated[float, Field(gt=0), _one_zero]
NotNegative = Annotated[float, Field(ge=0), _one_zero]
Share = Annotated[float, Field(ge=0, lt=1), _one_zero]
Between01 = Annotated[float, Field(gt=0, lt=1), _one_zero]
UpToOne = Annotated[float, Field(ge=0, le=1), _one_zero]
Count = Annotated[int, Field(ge=1)]
TwoOrMore = Annotated[int, Field(ge=2)]
Decimals = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # torch's CPU generator sees 32 bits
Name = Annotated[str, Field(pattern=NAME)]
Colour = Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]
Numerics = Literal["fp32", "fp16"]
ZeroOrOne = Annotated[Literal[0, 1], BeforeValidator(_is_whole)]
OneOrThree = Annotated[Literal[1, 3], BeforeValidator(_is_whole)]

_Some = (Field(min_length=1), AfterValidator(_each_once))
Counts = Annotated[list[Count], *_Some]
Names = Annotated[list[Name], *_Some]
Numbers = Annotated[list[Number], *_Some]
Seeds = Annotated[list[Seed], *_Some]


class Section(BaseModel):
    """A block of params.yaml: every key is required, and no other is allowed."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def key(
    default: Any,
    text: str,
    source: str = "choice",
    *,
    unit: str = "",
    code: Any = None,
    protocol: bool = False,
) -> Any:
    """Declare a key.

    Args:
        default: its value in the paper; ... where it has none, such as which seeds an
            experiment runs.
        text: what it is, in a few words; where there are several options, what each
            means, in their order.
        source: where the default is from: a section, table or equation of the paper,
            or "choice" where the paper is silent.
        unit: of the value.
        code: the value of the paper's released code, where it differs.
        protocol: whether `scale: paper` is refused with any other value than these.
    """
    more = {"source": source, "unit": unit, "code": code, "protocol": protocol or None}
    extra = {name: value for name, value in more.items() if value not in (None, "")}
    if default is not ...:
        extra["default"] = default
    return Field(description=text, json_schema_extra=extra)


def blocks(text: str, inherits: str = "") -> Any:
    """Declare a section of named blocks of the same keys.

    Args:
        text: what they are.
        inherits: the section with the values of keys that a block does not write.
    """
    more = {"inherits": inherits} if inherits else {}
    return Field(min_length=1, description=text, json_schema_extra=more)

"""Kinds of values that several sections have.

Invariant: a number stays as the config writes it, 1 or 1.0, since it goes into requests and files.
"""

from typing import Annotated, Any

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator


def _keep(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    check(value)
    return value


AS_WRITTEN = WrapValidator(_keep)

Share = Annotated[float, Field(ge=0, le=1), AS_WRITTEN]
Amount = Annotated[float, Field(ge=0), AS_WRITTEN]
Positive = Annotated[float, Field(gt=0), AS_WRITTEN]
Factor = Annotated[float, Field(ge=1), AS_WRITTEN]
Temperature = Annotated[float, Field(ge=0, le=2), AS_WRITTEN]
TopP = Annotated[float, Field(gt=0, le=1), AS_WRITTEN]

Natural = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65535)]

Text = Annotated[str, Field(min_length=1)]
Endpoint = Annotated[str, Field(pattern=r"^https?://")]
Variable = Annotated[str, Field(pattern=r"^[A-Z0-9_]*$")]
"""Name of an environment variable, or nothing."""
Environment = dict[str, str | None]
"""Environment variables; null takes one away."""

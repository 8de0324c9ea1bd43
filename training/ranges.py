"""Numbers that settings may be: a value outside is refused where a config is read, with its place and the range."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = ["Count", "CountOrZero", "NotNegative", "Positive", "Share"]

Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

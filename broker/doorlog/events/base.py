"""What every piece of a record is: frozen, closed and bounded."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(max_length=2048)]
"""Text that a peer may have chosen: already escaped and capped where it was read."""


class Part(BaseModel):
    """A frozen piece of a record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

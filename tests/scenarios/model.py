"""The base of all that a scenario file may say."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

Json = dict[str, Any]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$")]
"""What a scenario calls a service, a revision or a dependency."""


class Model(BaseModel):
    """Nothing beyond the declared members, so that a slip of the pen is told at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

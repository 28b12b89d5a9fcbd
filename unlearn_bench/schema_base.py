"""What every document is made of: hashes, finite numbers, shares, and models that refuse what they do not know."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Strict(BaseModel):
    """Base of every document: no unknown field, no NaN, no infinity.

    A field with an alias had that name up to version 0.1: it is read under both, written under the field's own, and
    hashed under the alias, so that a hash of an older result still holds.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=(), populate_by_name=True)

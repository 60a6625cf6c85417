"""A frozen part with some of its fields changed, in less than half the time that pydantic's own copy takes."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel

PartT = TypeVar("PartT", bound=BaseModel)

# A pydantic model is its __dict__ and three slots. They are set past the model, which is frozen.
_new: Final = object.__new__
_set_fields: Final = BaseModel.__dict__["__dict__"].__set__
_set_names: Final = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra: Final = BaseModel.__dict__["__pydantic_extra__"].__set__
_set_private: Final = BaseModel.__dict__["__pydantic_private__"].__set__


def changed(part: PartT, **changes: Any) -> PartT:
    """Return the part with these fields instead of its own, like ``part.model_copy(update=changes)``.

    An event is copied several times on its way to its line. What the copy holds is shared with the part, also which
    fields were given when it was made (``model_fields_set``): nothing asks for these.

    Args:
        part: A frozen model without private attributes and extra fields.
        changes: Taken as they are.
    """
    copy = _new(part.__class__)
    _set_fields(copy, {**part.__dict__, **changes})
    _set_names(copy, part.__pydantic_fields_set__)
    _set_extra(copy, None)
    _set_private(copy, None)
    return copy

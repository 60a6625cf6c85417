"""A changed part is what pydantic's own copy would be, and the first one stays as it was."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from doorlog.events.changes import changed
from doorlog.events.parts import SourcePart
from support.events import failed_connect, one_of_each


def test_it_is_the_same_as_a_copy_of_pydantic() -> None:
    for event in one_of_each():
        new = changed(event, message="in other words")
        assert new == event.model_copy(update={"message": "in other words"})
        assert new.model_dump_json() == event.model_copy(update={"message": "in other words"}).model_dump_json()
        assert event.message is None


def test_it_is_a_whole_model() -> None:
    new = changed(failed_connect(), source=SourcePart(port=7))
    assert pickle.loads(pickle.dumps(new)) == new
    assert "port=7" in repr(new)
    assert new.model_copy(update={"message": "x"}).source.port == 7
    with pytest.raises(ValidationError, match="frozen"):
        new.message = "x"  # type: ignore[misc] # what this is about

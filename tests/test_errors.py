"""The tree of errors is as it is drawn."""

from __future__ import annotations

import inspect
import re

from doorlog import errors


def drawn() -> dict[str, str | None]:
    """Return the parent of each error in the drawing."""
    parents: dict[str, str | None] = {}
    line_of: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.search(r"[A-Z][A-Za-z]+", line)
        if found and (line.startswith(("│", "├", "└", " ")) or found.start() == 0) and " " not in found[0]:
            depth = found.start() // 4
            if depth and line[found.start() - 2] != "─":
                continue
            if not depth and line.strip() != found[0]:
                continue
            line_of[depth] = found[0]
            parents[found[0]] = line_of[depth - 1] if depth else None
    return parents


def test_the_tree_is_as_it_is_drawn() -> None:
    classes = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == errors.__name__
    }
    parents = {name: kind.__bases__[0].__name__ for name, kind in classes.items()}
    assert {name: parent or "Exception" for name, parent in drawn().items()} == parents


def test_a_peers_error_is_one_of_ours_and_says_what_it_is() -> None:
    error = errors.ProxyHeaderMissing("the connection does not begin with a PROXY protocol header")
    assert isinstance(error, errors.DoorlogError)
    assert str(error).endswith("header")
    assert errors.MalformedConnect("x").connect is None
    assert errors.SinkError("full", lost=3).lost == 3
    assert errors.SinkError("gone").lost is None

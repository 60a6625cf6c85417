"""A Dockerfile as instructions, and the rules that ours keeps (what hadolint would look at)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Instruction(NamedTuple):
    """One instruction: its name and all that follows."""

    name: str
    words: str

    @property
    def argv(self) -> list[str]:
        """The words in exec form; a ValueError if they are not."""
        given: Any = json.loads(self.words)
        if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
            raise ValueError(f"{self.name} is not in exec form: {self.words}")
        return given


def parse_dockerfile(text: str) -> list[Instruction]:
    """Read instructions; comments are left out, lines that end in a backslash go on in the next."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines()]


def stages(instructions: list[Instruction]) -> list[list[Instruction]]:
    """Split at each FROM."""
    found: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.name == "FROM":
            found.append([])
        found[-1].append(instruction)
    return found


def faults(text: str) -> Iterator[str]:
    """Yield what is wrong with a Dockerfile."""
    instructions = parse_dockerfile(text)
    for name, words in instructions:
        if name == "FROM" and not re.fullmatch(r"[a-z/]+:\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?( AS \w+)?", words):
            yield f"the base is not pinned to a version: {words}"
        if name == "ADD":
            yield f"COPY does not unpack or download: {words}"
        if name == "WORKDIR" and not words.startswith("/"):
            yield f"WORKDIR is relative: {words}"
        if name == "RUN" and re.search(r"\bsudo\b|curl .*\| *sh|chmod 777", words):
            yield f"RUN does something careless: {words}"
        if name == "RUN" and "pip install" in words and "--no-cache-dir" not in words:
            yield f"pip leaves its cache in the image: {words}"
    yield from _last_stage_faults(stages(instructions)[-1])


def _last_stage_faults(stage: list[Instruction]) -> Iterator[str]:
    users = [instruction.words for instruction in stage if instruction.name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1]):
        yield "the last USER is no number other than 0"  # a number, so that Kubernetes can tell that it is not root
    names = [instruction.name for instruction in stage]
    if users and "RUN" in names[names.index("USER") :]:
        yield "something is installed after USER"
    for name in ("ENTRYPOINT", "CMD"):
        found = [instruction for instruction in stage if instruction.name == name]
        if len(found) != 1:
            yield f"there is not one {name}"
            continue
        try:
            _ = found[0].argv
        except ValueError as error:
            yield str(error)  # in shell form, /bin/sh would take the signals

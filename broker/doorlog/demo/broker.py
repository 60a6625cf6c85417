"""The broker of the demo: ``doorlog run`` as anybody would start it, with a configuration that can be run again."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import TYPE_CHECKING, Final

from doorlog.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: Final = "doorlog.yaml"
LOG: Final = "log"
_CONFIG: Final = """\
# The broker of "doorlog demo", as it was after the rotation. Run it again with: doorlog run -c {file}
listeners:
  tls:
    bind: "127.0.0.1:{tls}"
    tls: {{certfile: pki/server-{chain}.pem, keyfile: pki/server-{chain}.key}}
  mutual:
    bind: "127.0.0.1:{mutual}"
    tls:
      certfile: pki/server-{chain}.pem
      keyfile: pki/server-{chain}.key
      cafile: pki/devices-{chain}.pem
      client_certificate: required
auth:
  plugins:
    amqtt_doorlog.PasswordFilePlugin: {{password_file: users.txt}}
    amqtt_doorlog.ClientCertificatePlugin:
acl:
  plugins:
    amqtt_doorlog.TopicAclPlugin:
      rules:
        "*": {{publish: ["devices/%u/#"], subscribe: ["devices/%u/#"]}}
limits:
  attempt_timeout: 2 # seconds: nobody is to wait long for a demo
  auth_timeout: 30 # but passwords may take theirs on a slow machine
log:
  file: {{path: log/doorlog.jsonl}}
  console: never
"""
_READY: Final = re.compile(r"ready: tls mqtts://127\.0\.0\.1:(?P<tls>\d+), mutual mqtts://127\.0\.0\.1:(?P<mutual>\d+)")
_PATIENCE: Final = 20.0
"""Seconds that it has to start, and to stop."""


class Broker:
    """A broker in a process of its own.

    Args:
        folder: Where its certificates are, and all that it writes.

    Attributes:
        ports: Of its listeners, by name; it keeps them from one start to the next.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.ports = {"tls": 0, "mutual": 0}

    async def start(self, chain: int) -> None:
        """Start it, and wait until its ports are open.

        Args:
            chain: The chain that it serves, 1 or 2.

        Raises:
            SettingsError: It did not start; with what it said.
        """
        config = self._folder / CONFIG
        config.write_text(_CONFIG.format(chain=chain, file=CONFIG, **self.ports), encoding="utf-8")
        argv = (sys.executable, "-m", "doorlog", "run", "-c", CONFIG, "--no-console")
        self._process = await asyncio.create_subprocess_exec(
            *argv, cwd=self._folder, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                self.ports = await self._until_ready(self._process)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Let it end cleanly; what is under way gets its record."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_PATIENCE):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()

    async def _until_ready(self, process: asyncio.subprocess.Process) -> dict[str, int]:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        said = []
        while line := (await process.stderr.readline()).decode(errors="backslashreplace"):
            if ready := _READY.search(line):
                return {name: int(port) for name, port in ready.groupdict().items()}
            said.append(line)
        raise SettingsError(f"the broker of the demo did not start:\n{''.join(said)}")

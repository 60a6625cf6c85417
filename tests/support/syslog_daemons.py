"""Real syslog receivers, each in the foreground with its own configuration: Debian's rsyslogd and syslog-ng.

They refuse to be installed beside each other, so one of them may be unpacked below `/opt/syslog-ng` (see `.ci/run`).

    async with daemon_called("rsyslog").serving(folder, certificate) as receiver:
        ...                                     # send to receiver.ports["tls"]
        with following(receiver.records) as records:
            await records.nth(1)
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from support.ports import free_ports
from support.processes import Serving, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from support.pki_certificates import CertificateFiles

TRANSPORTS = ("udp", "tcp", "tls")
UNPACKED = Path("/opt/syslog-ng/usr")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver that runs. What it received is in two files, a line for each message."""

    ports: Mapping[str, int]
    """Of each transport, on 127.0.0.1."""
    records: Path
    """MSG: the JSON records."""
    headers: Path
    """PRI, TIMESTAMP, HOSTNAME, APP-NAME, PROCID, MSGID and STRUCTURED-DATA, as the receiver understood them."""
    server: Serving

    async def kill(self) -> None:
        """Kill it, as a crash would."""
        self.server.process.kill()
        await self.server.process.wait()


class Daemon(ABC):
    """A kind of receiver."""

    name: ClassVar[str]
    ready: ClassVar[str]

    @abstractmethod
    def program(self) -> Path | None:
        """Return the program, None where it is not installed."""

    @abstractmethod
    def arguments(self, folder: Path, config: Path) -> list[str | Path]: ...

    @abstractmethod
    def config(
        self, folder: Path, ports: Mapping[str, int], certificate: CertificateFiles, cafile: Path | None
    ) -> str: ...

    def environment(self) -> dict[str, str]:
        return {}

    @asynccontextmanager
    async def serving(
        self,
        folder: Path,
        certificate: CertificateFiles,
        *,
        cafile: Path | None = None,
        ports: Mapping[str, int] | None = None,
    ) -> AsyncIterator[Receiver]:
        """Run it with its files in `folder`; once more with the `ports` of before is a restart.

        `cafile` is whose client certificates TLS asks for; None for no client certificate.
        """
        chosen = ports or dict(zip(TRANSPORTS, free_ports(3), strict=True))
        config = folder / f"{self.name}.conf"
        config.write_text(self.config(folder, chosen, certificate, cafile))
        program = self.program()
        assert program is not None
        argv = [program, *self.arguments(folder, config)]
        async with serving(argv, ready=self.ready, env=self.environment(), grace=2) as server:
            yield Receiver(chosen, folder / "records", folder / "headers", server)

    def __repr__(self) -> str:
        return self.name


class Rsyslog(Daemon):
    """rsyslogd with its OpenSSL driver (Debian: rsyslog, rsyslog-openssl)."""

    name = "rsyslog"
    ready = r"rsyslogd.* start"

    def program(self) -> Path | None:
        return _found("rsyslogd")

    def arguments(self, folder: Path, config: Path) -> list[str | Path]:
        return ["-n", "-f", config, "-i", folder / "rsyslog.pid"]

    def config(self, folder: Path, ports: Mapping[str, int], certificate: CertificateFiles, cafile: Path | None) -> str:
        # Its own first message says that it is ready, and goes to where we read it.
        header = "%pri% %timereported:::date-rfc3339% %hostname% %app-name% %procid% %msgid% %structured-data%"
        return f"""
global(processInternalMessages="on" workDirectory="{folder}" maxMessageSize="64k"
       defaultNetstreamDriverCAFile="{cafile or certificate.certfile}"
       defaultNetstreamDriverCertFile="{certificate.certfile}" defaultNetstreamDriverKeyFile="{certificate.keyfile}")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1"
       streamDriver.authMode="{"x509/certvalid" if cafile else "anon"}")
input(type="imudp" address="127.0.0.1" port="{ports["udp"]}")
input(type="imptcp" address="127.0.0.1" port="{ports["tcp"]}")
input(type="imtcp" address="127.0.0.1" port="{ports["tls"]}")
template(name="record" type="string" string="%msg%\\n")
template(name="header" type="string" string="{header}\\n")
template(name="said" type="string" string="%syslogtag% %msg%\\n")
if ($inputname == "rsyslogd") then {{
  action(type="omfile" file="/dev/stdout" template="said")
  stop
}}
action(type="omfile" file="{folder}/headers" template="header")
action(type="omfile" file="{folder}/records" template="record")
"""


class SyslogNg(Daemon):
    """syslog-ng (Debian: syslog-ng-core)."""

    name = "syslog-ng"
    ready = "syslog-ng starting up"

    def program(self) -> Path | None:
        return _found("syslog-ng") or (path if (path := UNPACKED / "sbin" / "syslog-ng").exists() else None)

    def environment(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(UNPACKED / "lib" / "syslog-ng")} if self._is_unpacked() else {}

    def arguments(self, folder: Path, config: Path) -> list[str | Path]:
        files: list[str | Path] = ["-f", config, "-R", folder / "persist", "-c", folder / "control"]
        modules = sorted((UNPACKED / "lib" / "syslog-ng").glob("[0-9]*")) if self._is_unpacked() else []
        place: list[str | Path] = ["--module-path", modules[-1]] if modules else []
        return ["-F", "-e", "-v", "--no-caps", "--pidfile", folder / "syslog-ng.pid", *files, *place]

    def config(self, folder: Path, ports: Mapping[str, int], certificate: CertificateFiles, cafile: Path | None) -> str:
        header = "${PRI} ${S_ISODATE} ${HOST} ${PROGRAM} ${PID} ${MSGID} ${SDATA}"
        whom = f'ca-file("{cafile}") peer-verify(required-trusted)' if cafile else "peer-verify(optional-untrusted)"
        tls = f'tls(cert-file("{certificate.certfile}") key-file("{certificate.keyfile}") {whom})'
        inputs = "\n".join(
            f'  syslog(transport("{name}") ip("127.0.0.1") port({ports[name]}) {tls if name == "tls" else ""});'
            for name in TRANSPORTS
        )
        return f"""
@version: current
options {{ keep-hostname(yes); keep-timestamp(yes); use-dns(no); dns-cache(no); stats-freq(0); flush-lines(1);
          frac-digits(6); }};
source doorlog {{
{inputs}
}};
destination headers {{ file("{folder}/headers" template("{header}\\n")); }};
destination records {{ file("{folder}/records" template("${{MSG}}\\n")); }};
log {{ source(doorlog); destination(headers); destination(records); }};
"""

    def _is_unpacked(self) -> bool:
        return _found("syslog-ng") is None


DAEMONS: tuple[Daemon, ...] = (Rsyslog(), SyslogNg())


def usable_daemon(daemon: Daemon) -> Daemon:
    """Return `daemon`, or skip the test because it is not installed; fail it under DOORLOG_REQUIRE_CLIENTS=1."""
    if daemon.program() is not None:
        return daemon
    if os.environ.get("DOORLOG_REQUIRE_CLIENTS") == "1":
        pytest.fail(f"{daemon.name} is required here, but not installed (see .ci/run)", pytrace=False)
    pytest.skip(f"{daemon.name} is not installed")


def _found(program: str) -> Path | None:
    """Look on the PATH and where Debian puts daemons, which is not on everybody's PATH."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    return Path(found) if found else None

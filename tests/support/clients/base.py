"""What every client driver has in common: where it goes, how it logs in, what came of it."""

from __future__ import annotations

import ipaddress
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from support import packets
from support.clients.connack import refusal
from support.processes import TIMED_OUT

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from pathlib import Path
    from typing import Any

    from support.processes import Finished

TlsVersion = Literal["1.2", "1.3"]

TOPIC = "doors/hello"
"""Where the clients that publish do so."""
PAYLOAD = "knock knock"
WEBSOCKET_PATH = "/mqtt"


@dataclass(frozen=True, slots=True)
class Target:
    """A listener: the address to dial."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ClientResult:
    """What came of one attempt, as the client saw it.

    Attributes:
        exit_code: of the client's process; for a client inside the tests, 0 when admitted and 1 otherwise.
        output: everything that it printed, bounded.
        connected: true only after CONNACK with return code 0.
        refused_text: the stack's own words for why not, None when connected.
    """

    exit_code: int
    output: str
    connected: bool
    refused_text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One attempt that a client is asked to make."""

    target: Target
    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None
    username: str | None = None
    password: str | None = None
    client_id: str | None = None
    tls: bool = True
    websocket: bool = False
    tls_version: TlsVersion | None = None
    hostname: str = "localhost"
    timeout: float = 15

    @property
    def connect_packet(self) -> bytes:
        """The CONNECT for clients that bring only a TLS tunnel."""
        return packets.connect(self.client_id or "", user_name=self.username, password=self.password)

    @property
    def dialled_name(self) -> str:
        """The name to dial for stacks that verify the certificate against exactly what they dialled.

        Raises:
            ValueError: `hostname` is not a name of `target.host`; nobody is asked to resolve it.
        """
        if not self.tls or self.hostname == self.target.host:
            return self.target.host
        if self.hostname == "localhost" and ipaddress.ip_address(self.target.host).is_loopback:
            return self.hostname
        raise ValueError(
            f"this stack verifies the name that it dials; {self.hostname!r} does not lead to {self.target}"
        )


class Client(ABC):
    """One real client stack.

    Attributes:
        name: what tests print.
        plain: whether it can do without TLS.
        websocket: whether it can speak MQTT over WebSocket.
        tls_versions: the versions that it can be held to.
        programs: what must be on the PATH.
    """

    name: ClassVar[str]
    plain: ClassVar[bool] = True
    websocket: ClassVar[bool] = False
    tls_versions: ClassVar[tuple[TlsVersion, ...]] = ("1.2", "1.3")
    programs: ClassVar[tuple[str, ...]] = ()

    def available(self) -> str | None:
        """Return None if the stack can be used here, else the reason why not and what would help."""
        missing = [program for program in self.programs if shutil.which(program) is None]
        return f"{', '.join(missing)} not on the PATH (see .ci/apt-packages.txt)" if missing else None

    def run(
        self,
        target: Target,
        *,
        cafile: Path | None = None,
        certfile: Path | None = None,
        keyfile: Path | None = None,
        username: str | None = None,
        password: str | None = None,
        client_id: str | None = None,
        tls: bool = True,
        websocket: bool = False,
        tls_version: TlsVersion | None = None,
        hostname: str = "localhost",
        timeout: float = 15,
    ) -> Coroutine[Any, Any, ClientResult]:
        """Make one attempt, for at most `timeout` seconds; await what this returns.

        Args:
            target: the listener.
            cafile: the only CAs to trust; None: those of the operating system, which trust no test's CA.
            certfile: the client certificate (PEM, chain included).
            keyfile: its key; None if `certfile` holds it too.
            username: MQTT user name.
            password: MQTT password.
            client_id: MQTT client id; None: empty, or what the stack makes up.
            tls: false for MQTT in the clear.
            websocket: MQTT over WebSocket, path `/mqtt`.
            tls_version: hold the client to one version; None: what it offers by default.
            hostname: the name for SNI and for the verification of the certificate.
            timeout: seconds for the whole attempt.

        Raises:
            ValueError: this stack cannot do what is asked.
        """
        login = Login(
            target=target,
            cafile=cafile,
            certfile=certfile,
            keyfile=keyfile,
            username=username,
            password=password,
            client_id=client_id,
            tls=tls,
            websocket=websocket,
            tls_version=tls_version,
            hostname=hostname,
            timeout=timeout,
        )
        self._refuse_impossible(login)
        return self._attempt(login)

    @abstractmethod
    def _attempt(self, login: Login) -> Coroutine[Any, Any, ClientResult]: ...

    def _refuse_impossible(self, login: Login) -> None:
        if not login.tls and not self.plain:
            raise ValueError(f"{self.name} does nothing without TLS")
        if login.websocket and not self.websocket:
            raise ValueError(f"{self.name} does not speak WebSocket")
        if login.tls_version is not None and login.tls_version not in self.tls_versions:
            raise ValueError(f"{self.name} does not speak TLS {login.tls_version}")

    def __repr__(self) -> str:
        return self.name


def refused(finished: Finished, texts: Iterable[str | None]) -> ClientResult:
    """Return the result of an attempt that was not admitted: the first of `texts` that says something is the reason."""
    said = next(filter(None, texts), None)
    fallback = TIMED_OUT if finished.timed_out else f"exit code {finished.exit_code}, no reason given"
    return ClientResult(finished.exit_code, finished.output, connected=False, refused_text=said or fallback)


def judged(finished: Finished, return_code: int | None, texts: Iterable[str]) -> ClientResult:
    """Return the result of an attempt by its CONNACK's return code, or by what was printed if none came (None)."""
    if return_code == 0:
        return ClientResult(finished.exit_code, finished.output, connected=True, refused_text=None)
    return refused(finished, (refusal(return_code),) if return_code else texts)

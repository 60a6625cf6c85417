"""curl, for a browser or a health check that has the wrong port: HTTP inside TLS, and HTTP in the clear."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.clients.base import Client, refused
from support.processes import run

if TYPE_CHECKING:
    from support.clients.base import ClientResult, Login


class Curl(Client):
    """Asks for `/`: `https://` with `tls`, else `http://`, also on a port that wants TLS. Never `connected`."""

    name = "curl"
    programs = ("curl",)

    async def _attempt(self, login: Login) -> ClientResult:
        finished = await run(_arguments(login), patience=login.timeout)
        said = re.search(r"curl: (\(\d+\) .*)", finished.output)
        return refused(finished, () if said is None else (said[1],))


def _arguments(login: Login) -> list[str]:
    target, scheme = login.target, "https" if login.tls else "http"
    where = [
        f"{scheme}://{login.hostname}:{target.port}/",
        "--resolve",
        f"{login.hostname}:{target.port}:{target.host}",
    ]
    options = ["--silent", "--show-error", "--verbose", "--noproxy", "*", "--http1.1"]
    if login.cafile is not None:
        options += ["--cacert", str(login.cafile)]
    if login.certfile is not None:
        options += ["--cert", str(login.certfile), "--key", str(login.keyfile or login.certfile)]
    if login.tls_version is not None:
        options += [f"--tlsv{login.tls_version}", "--tls-max", login.tls_version]
    return ["curl", *options, *where]

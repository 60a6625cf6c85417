"""User names and passwords from a file, checked off the event loop in the same time for everybody."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from logging import Logger
from pathlib import Path
from time import monotonic

from amqtt.contexts import BaseContext
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from doorlog.embedded.session_attributes import refuse, vouch, withdraw
from doorlog.errors import SettingsError
from doorlog.events.codes import Code
from doorlog.passwords import Users, hash_password, read_users, set_password

__all__ = ["PasswordFilePlugin", "hash_password", "set_password"]

_METHOD = "password"
_MAX_WORKERS = 64


class PasswordFilePlugin(BaseAuthPlugin):
    """Admits the users of a password file, such as amqtt's FileAuthPlugin reads (``user:argon2-hash``).

    An unknown user, a wrong password and a missing one are the same work: one Argon2 verification in
    a worker thread. Beyond ``queue_size`` waiting verifications the device is refused at once (``throttled``), so that
    a storm of wrong passwords costs bounded memory and leaves the event loop alone. A device without a user
    name is left to other plugins. A change of the file is seen within ``reload_seconds``; while the
    changed file is wrong, the users of the last good one remain.
    """

    @dataclass
    class Config:
        """Where the users are, and what checking them may cost."""

        password_file: str | Path
        """The file: a line ``user:argon2-hash`` for each user."""
        workers: int = 1
        """Threads that verify passwords; each takes as much memory as a hash asks for, usually 64 MiB."""
        queue_size: int = 64
        """Passwords that may wait for a worker."""
        reload_seconds: float = 1.0
        """How often, at most, to see whether the file has changed."""

    def __init__(self, context: BaseContext) -> None:
        """Read the password file.

        Raises:
            SettingsError: If an option or the file is wrong.
        """
        super().__init__(context)
        config: PasswordFilePlugin.Config = self.config
        if not 1 <= config.workers <= _MAX_WORKERS:
            raise SettingsError(f"workers: expected 1 to {_MAX_WORKERS}")
        if config.queue_size < 0 or config.reload_seconds < 0:
            raise SettingsError("queue_size and reload_seconds: expected 0 or more")
        self._users = _WatchedUsers(Path(config.password_file), config.reload_seconds, context.logger)
        self._hasher = PasswordHasher()
        self._places = threading.BoundedSemaphore(config.workers + config.queue_size)
        self._workers = ThreadPoolExecutor(config.workers, thread_name_prefix="doorlog-password")

    async def authenticate(self, *, session: Session) -> bool | None:
        """Check user name and password.

        Returns:
            None without a user name; else whether the password is that user's.
        """
        withdraw(session, _METHOD)
        # amqtt shares one Session between connections with the same client id: what we check is what we vouch for.
        user, password = session.username, session.password
        if not user:
            return None
        if not self._places.acquire(blocking=False):
            return refuse(session, Code.THROTTLED)
        refusal = await asyncio.wrap_future(self._submit(user, password))
        if refusal is not None:
            return refuse(session, refusal)
        vouch(session, user, _METHOD)
        return True

    async def close(self) -> None:
        """Stop: waiting passwords are dropped, the one that is being verified ends by itself."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _submit(self, user: str, password: str | None) -> Future[Code | None]:
        try:
            job = self._workers.submit(self._judge, user, password)
        except RuntimeError:  # closed
            self._places.release()
            raise
        job.add_done_callback(lambda _job: self._places.release())
        return job

    def _judge(self, user: str, password: str | None) -> Code | None:
        """Do the work, in a worker thread: exactly one verification, whatever was sent."""
        users = self._users.current()
        encoded = users.hashes.get(user)
        is_right = self._verify(users.stranger if encoded is None else encoded, password or "")
        if encoded is None:
            return Code.UNKNOWN_USER
        return None if is_right and password is not None else Code.BAD_PASSWORD

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password.encode(errors="surrogatepass"))
        except VerifyMismatchError:
            return False


class _WatchedUsers:
    """The users of a file that may change; asked from worker threads."""

    def __init__(self, path: Path, seconds: float, logger: Logger) -> None:
        self._path = path
        self._seconds = seconds
        self._logger = logger
        self._lock = threading.Lock()
        self._signature = self._look()
        self._next_look = monotonic() + seconds
        self._users = self._read()

    def current(self) -> Users:
        """Give the users of the last good content of the file."""
        with self._lock:
            if monotonic() >= self._next_look:
                self._refresh()
                self._next_look = monotonic() + self._seconds
            return self._users

    def _refresh(self) -> None:
        signature = self._look()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._users = self._read()
        except SettingsError as error:
            self._logger.error("The users stay as they were: %s", error)  # noqa: TRY400 - a fault of the file, not ours

    def _look(self) -> tuple[int, ...] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode

    def _read(self) -> Users:
        users = read_users(self._path)
        self._logger.info("%d users in %s", len(users.hashes), self._path)
        if users.is_loose:
            self._logger.warning("%s can be read or changed by others: chmod 600", self._path)
        if users.outliers:
            self._logger.warning(
                "%s: %d users have hashes of other costs than most, so that the time of an answer tells that"
                " they exist; give them new passwords",
                self._path,
                users.outliers,
            )
        return users

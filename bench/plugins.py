"""The login of the benchmark: as cheap as can be, so that what is measured is the broker."""

from __future__ import annotations

from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

PASSWORD = "open sesame"
WRONG_PASSWORD = "open barley"


class OnePassword(BaseAuthPlugin):
    """Admits whoever knows the one password."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return session.password == PASSWORD

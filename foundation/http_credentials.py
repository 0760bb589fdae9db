"""Who the bus is when it calls: basic login, a header, or OAuth 2 client credentials."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from pydantic import SecretStr

from foundation.http_errors import LoginRefused, RequestRefused, UnexpectedContent

if TYPE_CHECKING:
    from foundation.http import HttpClient

__all__ = ["BasicCredentials", "Credentials", "HeaderCredentials", "OAuth2ClientCredentials"]

_SHORTEST_LIFE = 5.0
_DEFAULT_LIFE = 300.0


class Credentials(Protocol):
    """Adds to a request what proves who we are."""

    def headers(self) -> dict[str, str]:
        """Return the headers of the next request."""

    def renew(self, refused: dict[str, str]) -> bool:
        """Get new credentials after these headers were refused; ``False`` when there is no way to."""


class BasicCredentials:
    """A user name and a password (RFC 7617)."""

    def __init__(self, user: str, password: SecretStr) -> None:
        self._user = user
        self._password = password

    def headers(self) -> dict[str, str]:
        """Return the ``Authorization`` header."""
        return {"Authorization": _basic(self._user, self._password.get_secret_value())}

    def renew(self, refused: dict[str, str]) -> bool:  # noqa: ARG002 - a password cannot be renewed here
        """Return ``False``."""
        return False


class HeaderCredentials:
    """A key in a header, such as ``X-API-Key``."""

    def __init__(self, name: str, value: SecretStr) -> None:
        self._name = name
        self._value = value

    def headers(self) -> dict[str, str]:
        """Return the header."""
        return {self._name: self._value.get_secret_value()}

    def renew(self, refused: dict[str, str]) -> bool:  # noqa: ARG002 - a key cannot be renewed here
        """Return ``False``."""
        return False


@dataclass(slots=True)
class _Shelf:
    """Where a token lies until it ends, and until when nobody tries again after a refusal."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    token: str | None = None
    ends_at: float = 0.0
    refused_until: float = 0.0


_shelves: dict[bytes, _Shelf] = {}
_shelves_lock = threading.Lock()


def _shelf_of(*login: str) -> _Shelf:
    """The shelf of a login, the same for all of this process."""
    name = hashlib.sha256("\0".join(login).encode()).digest()
    with _shelves_lock:
        return _shelves.setdefault(name, _Shelf())


class OAuth2ClientCredentials:
    """OAuth 2 client credentials (RFC 6749 §4.4); one token shared by all threads until it ends.

    Args:
        client: Client that may call the token endpoint (its own credentials are not used).
        token_url: The token endpoint.
        client_id: Our name there.
        client_secret: Our secret there.
        scope: What we ask for, where the endpoint wants to know.
        in_body: Send name and secret in the form instead of in the ``Authorization`` header.
        pause_after_refusal: Seconds for which a refused login is not tried again; some endpoints lock out
            whoever tries too often.
        shared: Use one token for the same login wherever it is used in this process.
    """

    def __init__(
        self,
        client: HttpClient,
        token_url: str,
        client_id: str,
        client_secret: SecretStr,
        *,
        scope: str | None = None,
        in_body: bool = False,
        pause_after_refusal: float = 0.0,
        shared: bool = False,
    ) -> None:
        self._client = client
        self._token_url = token_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope
        self._in_body = in_body
        self._pause = pause_after_refusal
        login = (token_url, client_id, client_secret.get_secret_value(), scope or "")
        self._shelf = _shelf_of(*login) if shared else _Shelf()

    def headers(self) -> dict[str, str]:
        """Return the ``Authorization`` header with a token that is still good.

        Raises:
            LoginRefused: When the token endpoint does not accept us.
        """
        with self._shelf.lock:
            if self._shelf.token is None or time.monotonic() >= self._shelf.ends_at:
                self._fetch()
            return {"Authorization": f"Bearer {self._shelf.token}"}

    def renew(self, refused: dict[str, str]) -> bool:
        """Drop the refused token, unless another thread has renewed it already."""
        with self._shelf.lock:
            if refused.get("Authorization") == f"Bearer {self._shelf.token}":
                self._shelf.token = None
        return True

    def _fetch(self) -> None:
        wait = self._shelf.refused_until - time.monotonic()
        if wait > 0:
            raise _refused(f"It was refused a moment ago, and is not tried again for {wait:.0f} s")
        form, headers = {"grant_type": "client_credentials"}, {}
        if self._scope:
            form["scope"] = self._scope
        secret = self._client_secret.get_secret_value()
        if self._in_body:
            form |= {"client_id": self._client_id, "client_secret": secret}
        else:
            headers["Authorization"] = _basic(quote(self._client_id, safe=""), quote(secret, safe=""))
        try:
            reply = self._client.request_json(
                "POST", self._token_url, form=form, headers=headers, idempotent=True, anonymous=True
            )
        except (LoginRefused, RequestRefused) as error:
            self._shelf.refused_until = time.monotonic() + self._pause
            raise _refused(**error.attributes) from None
        self._accept(reply)

    def _accept(self, reply: Any) -> None:
        token = reply.get("access_token") if isinstance(reply, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token:
            raise UnexpectedContent(
                "The token endpoint answered without an access token",
                remedy="Check the address of the token endpoint",
            )
        seconds = _seconds(reply.get("expires_in"))
        self._shelf.token = token
        self._shelf.ends_at = time.monotonic() + max(_SHORTEST_LIFE, seconds - min(30.0, seconds * 0.1))


def _seconds(life: Any) -> float:
    """How long a token lasts; some endpoints say it as text."""
    if isinstance(life, str) and life.isascii() and life.isdigit():
        return float(life[:9])
    return float(life) if isinstance(life, int | float) else _DEFAULT_LIFE


def _refused(why: str = "", **facts: Any) -> LoginRefused:
    return LoginRefused(
        "The token endpoint does not accept our name and secret",
        why=why,
        remedy="Check client id and secret of the system, and that they have not been withdrawn",
        **facts,
    )


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

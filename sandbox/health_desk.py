"""Who may come in to the health office: SATUSEHAT's token endpoint, with the oddities of the real one.

Every value of its reply is text, the grant type stands in the address, and after a refused attempt nobody may
try again for a minute.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from typing import Any

from foundation import clock


class TokenDesk:
    """Gives tokens to the one client. Thread-safe."""

    def __init__(self, client_id: str, secret: str, *, token_seconds: int, lockout_seconds: float) -> None:
        self._client_id = client_id
        self._secret = secret
        self._token_seconds = token_seconds
        self._lockout_seconds = lockout_seconds
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}
        self._locked_until = 0.0
        self.asked = 0

    def change_secret(self, secret: str) -> None:
        """Take another secret; every token ends."""
        with self._lock:
            self._secret = secret
            self._locked_until = 0.0
            self._tokens.clear()

    def forgive(self) -> None:
        """Let anybody try again at once."""
        with self._lock:
            self._locked_until = 0.0

    def expire_tokens(self) -> None:
        """End every token."""
        with self._lock:
            self._tokens.clear()

    def wait(self) -> float:
        """Seconds for which nobody may try again."""
        with self._lock:
            self.asked += 1
            return max(0.0, self._locked_until - time.monotonic())

    def give_token(self, client_id: str, secret: str) -> dict[str, Any] | None:
        """Give a token to the one client; None when it is somebody else."""
        same = hmac.compare_digest(client_id.encode(), self._client_id.encode())
        if not (hmac.compare_digest(secret.encode(), self._secret.encode()) and same):
            with self._lock:
                self._locked_until = time.monotonic() + self._lockout_seconds
            return None
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = time.monotonic() + self._token_seconds
        return {
            "refresh_token_expires_in": "0",
            "api_product_list": "[api-practice]",
            "api_product_list_json": ["api-practice"],
            "organization_name": "dinkes-mojokerto",
            "token_type": "BearerToken",
            "issued_at": str(int(clock.now().timestamp() * 1000)),
            "client_id": client_id,
            "access_token": token,
            "scope": "",
            "expires_in": str(self._token_seconds),
            "refresh_count": "0",
            "status": "approved",
        }

    def knows(self, authorization: str) -> bool:
        """Whether a bearer token is good now."""
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            return scheme.lower() == "bearer" and self._tokens.get(token, 0.0) > time.monotonic()

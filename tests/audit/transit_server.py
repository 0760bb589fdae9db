"""A small Vault on loopback that speaks the Transit API as HashiCorp Vault does, over TLS, with a token."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.practice"


class TransitServer:
    """One Transit engine under `/v1/transit` with one AES-256-GCM key; `versions` are its key versions."""

    def __init__(self, context: ssl.SSLContext, key: str = "lintas-kek") -> None:
        self.key = key
        self.key_type = "aes256-gcm96"
        self.oldest = 1
        self.versions = [secrets.token_bytes(32)]
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}"))

            def _answer(self, body: dict[str, Any]) -> None:
                server.requests.append(f"{self.command} {self.path}")
                status, reply = (403, {"errors": ["permission denied"]})
                if self.headers["X-Vault-Token"] == TOKEN:
                    status, reply = server.answer(self.command, self.path, body)
                encoded = json.dumps(reply).encode() if reply is not None else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = False
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> TransitServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._http.server_address[1]}/v1/transit"

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        operation = path.removeprefix("/v1/transit/")
        if operation == f"keys/{self.key}" and method == "GET":
            versions = {str(number): 1_700_000_000 for number in range(1, len(self.versions) + 1)}
            known = {"name": self.key, "type": self.key_type, "derived": False, "keys": versions}
            return 200, {"data": known | {"latest_version": len(self.versions), "min_decryption_version": 1}}
        if operation == f"keys/{self.key}/rotate":
            self.versions.append(secrets.token_bytes(32))
            return 200, {"data": {"latest_version": len(self.versions)}}
        if operation == f"keys/{self.key}/config":
            self.oldest = body["min_decryption_version"]
            return 200, {"data": {}}
        if operation == f"keys/{self.key}/trim":
            trimmed = body["min_available_version"]
            return (
                (204, None) if trimmed <= self.oldest else (400, {"errors": ["above min_decryption_version"]})
            )
        works = {f"encrypt/{self.key}": self._encrypt, f"decrypt/{self.key}": self._decrypt}
        if operation not in works:
            return 400, {"errors": ["encryption key not found"]}
        results = [works[operation](item) for item in body["batch_input"]]
        failed = any("error" in each for each in results)
        return (400 if failed else 200), {"data": {"batch_results": results}}

    def _encrypt(self, item: dict[str, str]) -> dict[str, Any]:
        nonce, version = secrets.token_bytes(12), len(self.versions)
        bound = base64.b64decode(item["associated_data"])
        sealed = AESGCM(self.versions[-1]).encrypt(nonce, base64.b64decode(item["plaintext"]), bound)
        return {
            "ciphertext": f"vault:v{version}:{base64.b64encode(nonce + sealed).decode()}",
            "key_version": version,
        }

    def _decrypt(self, item: dict[str, str]) -> dict[str, Any]:
        _, version, text = item["ciphertext"].split(":")
        if int(version[1:]) < self.oldest:
            return {"error": "ciphertext or signature version is disallowed by policy (too old)"}
        sealed, bound = base64.b64decode(text), base64.b64decode(item["associated_data"])
        try:
            plain = AESGCM(self.versions[int(version[1:]) - 1]).decrypt(sealed[:12], sealed[12:], bound)
        except (InvalidTag, IndexError):
            return {"error": "cipher: message authentication failed"}
        return {"plaintext": base64.b64encode(plain).decode()}

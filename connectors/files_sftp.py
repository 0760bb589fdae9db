"""A folder on an SFTP server that proves itself by a pinned key.

asyncssh speaks asynchronously and a source does not, so each folder has one private event loop on one thread,
started with the first question and ended by `close`.
"""

from __future__ import annotations

import asyncio
import builtins
import stat
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncssh
from pydantic import SecretStr

from connectors.checklist import Checklist
from connectors.errors import ConfigurationInvalid, HostKeyRefused, SourceInterrupted
from connectors.files_folder import (
    MOST_ENTRIES,
    Entry,
    closed_folder,
    gone,
    is_plain,
    missing_folder,
    not_too_many,
)
from connectors.line import Line
from foundation.http_errors import AccessRefused, AgencyTooSlow, AgencyUnreachable, LoginRefused

_PORT = 22
_BLOCK = 256 * 1024
_GOODBYE_SECONDS = 3.0
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class SftpEndpoint:
    """Where the server is, and what proves that it is the one.

    Attributes:
        host: Its name.
        port: Its port.
        keys: Public keys that were registered with the system.
        fingerprints: Fingerprints of further keys, `SHA256:…`.
    """

    host: str
    port: int
    keys: tuple[asyncssh.SSHKey, ...] = ()
    fingerprints: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, address: str | None, registered: str | None, pinned: Sequence[str]) -> SftpEndpoint:
        """Read what the operator registered and the contract pins.

        Args:
            address: The system's address, `sftp://host:port`.
            registered: Public keys in OpenSSH's format or fingerprints, one a line.
            pinned: Fingerprints in the contract.

        Raises:
            ConfigurationInvalid: When there is no address, or no key.
        """
        problems, keys, fingerprints = [], [], set(pinned)
        for line in (registered or "").splitlines():
            text = line.strip()
            if text.startswith("SHA256:"):
                fingerprints.add(text)
            elif text and not text.startswith("#"):
                with suppress(asyncssh.KeyImportError):
                    keys.append(asyncssh.import_public_key(text))
        url = urlsplit(address or "")
        if url.scheme != "sftp" or not url.hostname or url.username or url.path.strip("/"):
            problems.append("the system's endpoint_url is not sftp://host:port")
        if not keys and not fingerprints:
            problems.append(
                "no host key is pinned: register the server's public key with the system, or write its"
                " fingerprint under host_keys; a key is never taken on first sight"
            )
        if problems:
            raise ConfigurationInvalid(problems)
        return cls(str(url.hostname), url.port or _PORT, tuple(keys), frozenset(fingerprints))


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, by password or by private key."""

    username: str
    password: SecretStr | None = field(default=None, repr=False)
    private_key: SecretStr | None = field(default=None, repr=False)

    def options(self) -> dict[str, Any]:
        """What asyncssh takes.

        Raises:
            ConfigurationInvalid: When the private key is none.
        """
        if self.private_key is None:
            password = self.password.get_secret_value() if self.password else ""
            return {"password": password, "client_keys": None, "preferred_auth": "password"}
        try:
            key = asyncssh.import_private_key(self.private_key.get_secret_value() + "\n")
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            raise ConfigurationInvalid(
                ["private_key: the secret is no private key in OpenSSH's format without a passphrase"]
            ) from None
        return {"client_keys": [key], "preferred_auth": "publickey"}


class SftpFolder:
    """A folder on a server, read over one connection that is opened again when it broke."""

    def __init__(
        self,
        endpoint: SftpEndpoint,
        login: Login,
        folder: str,
        *,
        connect_timeout: float = 10.0,
        timeout: float = 60.0,
    ) -> None:
        self.endpoint = endpoint
        self.login = login
        self.shown = folder
        self._folder = folder.rstrip("/") or "/"
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._thread = _LoopThread()
        self._session: _Session | None = None

    def reach(self, steps: Checklist) -> None:
        """Try name, port, key and login."""
        line = Line(self.endpoint.host, self.endpoint.port, self._connect_timeout)
        steps.reach(line, tls=False)
        steps.step("host-key", self._prove)
        steps.step("authenticate", self._authenticate)

    def list(self) -> Sequence[Entry]:
        """List the plain files; links are none."""
        return not_too_many(self._ask(self._list), self.shown)

    def look(self, name: str) -> Entry:
        """Look at one file again."""
        entry: Entry = self._ask(self._look, name)
        return entry

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Read a piece of a file."""
        data: bytes = self._ask(self._read, name, offset, size)
        return data

    def close(self) -> None:
        """End connection and thread."""
        self._hang_up()
        self._thread.stop()

    def _prove(self) -> str:
        with suppress(LoginRefused):  # the key comes before the login
            self._connected()
        return f"{self.endpoint.host} has proved that it holds a pinned key"

    def _authenticate(self) -> str:
        self._connected()
        return f"the server lets {self.login.username} in"

    def _ask(self, question: Any, *given: Any) -> Any:
        """Ask once; what breaks the line lets it be opened anew with the next question."""
        session = self._connected()
        try:
            return self._thread.run(question(session, *given), self._timeout)
        except asyncssh.SFTPNoSuchFile:
            raise (gone(given[0]) if given else missing_folder(self.shown)) from None
        except asyncssh.SFTPPermissionDenied:
            raise closed_folder(self.shown) from None
        except TimeoutError:
            self._hang_up()
            raise self._too_slow() from None
        except (asyncssh.Error, OSError):
            self._hang_up()
            raise SourceInterrupted(
                f"The line to {self.endpoint.host}:{self.endpoint.port} was cut",
                remedy="Try again; if it lasts, ask the agency about its line and its server's limits",
            ) from None

    async def _list(self, session: _Session) -> builtins.list[Entry]:
        found = []
        async for each in session.client.scandir(self._folder):
            name = str(each.filename)
            if is_plain(name) and _is_regular(each.attrs):
                found.append(_entry(name, each.attrs))
            if len(found) > MOST_ENTRIES:
                break
        return found

    async def _look(self, session: _Session, name: str) -> Entry:
        attributes = await session.client.lstat(self._path(name))
        if not _is_regular(attributes):
            raise asyncssh.SFTPNoSuchFile("not a plain file")
        return _entry(name, attributes)

    async def _read(self, session: _Session, name: str, offset: int, size: int) -> bytes:
        if session.opened is None or session.opened[0] != name:
            await session.close_file()
            file = await session.client.open(self._path(name), "rb", block_size=_BLOCK)
            session.opened = (name, file)
        data: bytes = await session.opened[1].read(size, offset)
        return data

    def _path(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}"

    def _connected(self) -> _Session:
        if self._session is None:
            self._session = self._connect()
        return self._session

    def _connect(self) -> _Session:
        options, address = self.login.options(), f"{self.endpoint.host}:{self.endpoint.port}"
        guard = _Guard(self.endpoint.fingerprints)
        try:
            return self._thread.run(self._open(guard, options), self._connect_timeout + _GOODBYE_SECONDS)
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed):
            raise HostKeyRefused(
                f"{address} shows a key that nobody pinned",
                why=f"It shows {guard.seen}" if guard.seen else "It has no key of the pinned kind",
                remedy="Ask the agency, by telephone and not by mail, whether its key was changed; only then"
                " register the new one. Nothing was sent",
                fingerprint=guard.seen,
            ) from None
        except asyncssh.PermissionDenied:
            raise LoginRefused(
                f"{address} does not let {self.login.username} in",
                remedy="Ask the agency for the account's password or key, and put it into the secret",
            ) from None
        except (asyncssh.ChannelOpenError, asyncssh.SFTPError):
            raise AccessRefused(
                f"{address} does not offer SFTP to {self.login.username}",
                remedy="Ask the agency to allow SFTP for the account",
            ) from None
        except TimeoutError:
            raise self._too_slow() from None
        except (asyncssh.Error, OSError):
            raise AgencyUnreachable(
                f"No SSH connection to {address} came about",
                remedy="Ask the agency whether the server runs and lets this machine's address in",
            ) from None

    async def _open(self, guard: _Guard, options: dict[str, Any]) -> _Session:
        connection = await asyncssh.connect(
            self.endpoint.host,
            self.endpoint.port,
            config=[],
            client_factory=lambda: guard,
            known_hosts=(list(self.endpoint.keys), [], []),
            username=self.login.username,
            agent_path=None,
            x509_trusted_certs=None,
            gss_host=None,
            connect_timeout=self._connect_timeout,
            login_timeout=self._connect_timeout,
            **options,
        )
        try:
            client = await connection.start_sftp_client(path_errors="surrogateescape")
        except BaseException:
            connection.abort()
            raise
        return _Session(connection, client)

    def _hang_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(asyncssh.Error, OSError, TimeoutError):
                self._thread.run(session.end(), 2 * _GOODBYE_SECONDS)

    def _too_slow(self) -> AgencyTooSlow:
        return AgencyTooSlow(
            f"{self.endpoint.host}:{self.endpoint.port} did not answer in time",
            remedy="Try again; make timeout_seconds longer if the agency's line is known to be slow",
        )


@dataclass(slots=True)
class _Session:
    """A connection with its SFTP client and the file that is read."""

    connection: asyncssh.SSHClientConnection
    client: asyncssh.SFTPClient
    opened: tuple[str, Any] | None = None

    async def close_file(self) -> None:
        opened, self.opened = self.opened, None
        if opened is not None:
            await opened[1].close()

    async def end(self) -> None:
        self.client.exit()
        self.connection.close()
        try:
            await asyncio.wait_for(self.connection.wait_closed(), _GOODBYE_SECONDS)
        except (TimeoutError, asyncssh.Error, OSError):
            self.connection.abort()


class _Guard(asyncssh.SSHClient):
    """Lets a server pass whose key has a pinned fingerprint, and remembers the one that was shown."""

    def __init__(self, fingerprints: frozenset[str]) -> None:
        self._fingerprints = fingerprints
        self.seen = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        self.seen = key.get_fingerprint("sha256")
        return self.seen in self._fingerprints


class _LoopThread:
    """One event loop on one thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, _Result], timeout: float) -> _Result:
        """Run a coroutine and wait; what takes too long is cancelled.

        Raises:
            TimeoutError: When it took too long.
        """
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="sftp", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout), self._loop).result()

    def stop(self) -> None:
        """End loop and thread."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_last_callbacks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None


async def _last_callbacks() -> None:
    """Let what was closed close its sockets."""
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
    await asyncio.sleep(0)


def _is_regular(attributes: asyncssh.SFTPAttrs) -> bool:
    if attributes.permissions is not None and stat.S_IFMT(attributes.permissions):
        return stat.S_ISREG(attributes.permissions)
    return attributes.type == asyncssh.FILEXFER_TYPE_REGULAR


def _entry(name: str, attributes: asyncssh.SFTPAttrs) -> Entry:
    modified = datetime.fromtimestamp(float(attributes.mtime or 0), UTC)
    return Entry(name, int(attributes.size or 0), modified)

"""An SFTP server that shows one folder to one account, read-only, and can lose its temper on demand."""

from __future__ import annotations

import asyncio
import hmac
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import asyncssh

from sandbox.background import BackgroundLoop
from sandbox.faults import FaultBoard

_LOOPBACK = "127.0.0.1"
_BLOCKS = 10
_PAUSE_SECONDS = 0.2
_LONG_PAUSE_SECONDS = 30.0


class DropFault(StrEnum):
    """What the server can do wrong."""

    CUT_LINE = "cut-line"
    """The line drops at every tenth block that is read."""
    CUT_EVERYTHING = "cut-everything"
    """The line drops at every block that is read."""
    SLOW = "slow"
    """Every block takes a while."""
    STUCK = "stuck"
    """Blocks take longer than any reader waits."""
    REPLACED = "replaced"
    """The file that is read becomes another one at the first block."""
    CLOSED_FOLDER = "closed-folder"
    """The account may log in and see nothing."""


@dataclass(frozen=True)
class Account:
    """Who may read, and what proves it."""

    username: str
    password: str
    public_key: str


class SftpService:
    """The server, on a thread of its own."""

    def __init__(
        self,
        folder: Path,
        account: Account,
        host_key: bytes,
        faults: FaultBoard,
        *,
        host: str = _LOOPBACK,
        opened: Callable[[str], None] | None = None,
    ) -> None:
        self.opened = opened
        self.folder = folder
        self._host = host
        self.account = account
        self.faults = faults
        self.blocks = 0
        self.files: dict[Any, Path] = {}
        self.replace: Callable[[Path], None] | None = None
        self._host_key = asyncssh.import_private_key(host_key)
        self._loop = BackgroundLoop("sftp-service")
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._open: set[asyncssh.SSHServerConnection] = set()
        self._lock = threading.Lock()

    def start(self, port: int = 0) -> int:
        """Listen on loopback; tells the port."""
        self._loop.start()
        self._acceptor = self._loop.run(self._listen(port))
        return self._acceptor.get_port()

    def stop(self) -> None:
        """Cut every line and end the thread."""
        if self._acceptor is None:
            return
        self._loop.run(self._close())
        self._loop.stop()
        self._acceptor = None

    async def _listen(self, port: int) -> asyncssh.SSHAcceptor:
        def reception() -> asyncssh.SSHServer:
            return _Reception(self.account, self._open)

        def counter(channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
            return _Counter(channel, self)

        return await asyncssh.listen(
            self._host,
            port,
            config=[],
            server_factory=reception,
            server_host_keys=[self._host_key],
            sftp_factory=counter,
            allow_scp=False,
            agent_forwarding=False,
            x11_forwarding=False,
        )

    async def _close(self) -> None:
        assert self._acceptor is not None
        self._acceptor.close()
        for connection in tuple(self._open):
            connection.abort()
        await self._acceptor.wait_closed()
        while self._open:
            await asyncio.sleep(0.01)
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for file in self.files:
            file.close()
        self.files.clear()

    def count_block(self) -> int:
        """Count a block that somebody reads."""
        with self._lock:
            self.blocks += 1
            return self.blocks


class _Reception(asyncssh.SSHServer):
    """Lets in one account, by password or by key."""

    def __init__(self, account: Account, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._account = account
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the library's signature
        if self._connection is not None:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - the library's signature
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        right = hmac.compare_digest(password.encode(), self._account.password.encode())
        return right and username == self._account.username

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = asyncssh.import_public_key(self._account.public_key)
        return username == self._account.username and key.public_data == known.public_data


class _Counter(asyncssh.SFTPServer):
    """One session: shows the folder as the root of everything, and gives blocks of files."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], service: SftpService) -> None:
        super().__init__(channel, chroot=os.fsencode(service.folder))
        self._service = service

    async def scandir(self, path: bytes) -> Any:
        if self._service.faults.strikes(DropFault.CLOSED_FOLDER):
            raise asyncssh.SFTPPermissionDenied("closed")
        async for entry in super().scandir(path):
            yield entry

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if pflags != asyncssh.FXF_READ:
            raise asyncssh.SFTPPermissionDenied("read only")
        opened = super().open(path, pflags, attrs)
        file = Path(os.fsdecode(self.map_path(path)))
        self._service.files[opened] = file
        if self._service.opened is not None:
            self._service.opened(file.name)
        return opened

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        service, number = self._service, self._service.count_block()
        strikes = service.faults.strikes
        if strikes(DropFault.CUT_EVERYTHING) or (number % _BLOCKS == 0 and strikes(DropFault.CUT_LINE)):
            self.channel.get_connection().abort()
            raise asyncssh.SFTPConnectionLost("cut")
        if strikes(DropFault.STUCK):
            await asyncio.sleep(_LONG_PAUSE_SECONDS)
        if strikes(DropFault.SLOW):
            await asyncio.sleep(_PAUSE_SECONDS)
        if service.replace is not None and strikes(DropFault.REPLACED):
            service.replace(service.files[file_obj])
        block = super().read(file_obj, offset, size)
        assert isinstance(block, bytes)
        return block

    def close(self, file_obj: object) -> None:
        self._service.files.pop(file_obj, None)
        super().close(file_obj)

    def _refuse(self, *_: object) -> None:
        raise asyncssh.SFTPPermissionDenied("read only")

    open56 = write = remove = rename = posix_rename = mkdir = rmdir = _refuse  # type: ignore[assignment]
    setstat = lsetstat = fsetstat = symlink = link = _refuse  # type: ignore[assignment]

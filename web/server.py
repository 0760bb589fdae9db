"""Runs the API: uvicorn behind TLS, in one process or several."""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import FastAPI

from foundation import telemetry
from foundation.installation import Installation
from foundation.settings import Settings
from web.accepting import TALLY_FILE, Tally

if TYPE_CHECKING:
    from uvicorn import Config

_LOG_FILE = "LINTAS_API_LOG_FILE_OF_WORKERS"
_TURN_SECONDS = 0.0005
"""How long a thread that answers keeps the interpreter from the one that takes requests in; else 5 ms."""


def run(installation: Installation, *, workers: int | None = None, log_file: Path | None = None) -> None:
    """Serve until a signal ends it; workers read the same settings from their environment.

    Args:
        installation: A prepared installation.
        workers: Processes; the setting `api_workers` by default.
        log_file: Where the log goes; standard error by default.
    """
    import uvicorn

    settings = installation.settings
    count = workers or settings.api_workers
    configuration = configured(installation, workers=count)
    _collect_rarely()
    if count == 1:
        telemetry.configure("api", settings, log_file=log_file)
        uvicorn.Server(configuration).run()
        return
    os.environ.update(settings.as_environment())
    if log_file is not None:
        os.environ[_LOG_FILE] = str(log_file)
    from uvicorn.supervisors import Multiprocess

    with TemporaryDirectory(prefix="lintas-api-") as folder:
        tally = Path(folder) / "connections"
        Tally.make(tally)
        os.environ[TALLY_FILE] = str(tally)
        Multiprocess(configuration, [configuration.bind_socket()]).run()


def configured(installation: Installation, *, workers: int = 1) -> Config:
    """The uvicorn configuration of an installation."""
    import uvicorn

    from web.app import create_app
    from web.protocol import BoundedProtocol

    settings = installation.settings
    known_as = urlsplit(settings.api_public_url or "").hostname or "localhost"
    hosts = sorted({settings.api_host, known_as, "127.0.0.1", "localhost", "::1"} - {"0.0.0.0", "::"})  # noqa: S104
    logging.getLogger("uvicorn.access").disabled = True  # it would write whole URLs; ours writes routes
    certificate, key = installation.authority.issue("api", hosts)
    return uvicorn.Config(
        create_app(installation) if workers == 1 else "web.server:worker_app",
        factory=workers > 1,
        host=settings.api_host,
        port=settings.api_port,
        workers=workers,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nobody is told apart by an address
        date_header=True,
        http=BoundedProtocol,
        ws="none",
        loop="web.accepting:EvenLoop",
        lifespan="on",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        timeout_worker_healthcheck=60,  # a busy worker is not a dead one
        limit_concurrency=1000,
        backlog=1024,
        h11_max_incomplete_event_size=16 * 1024,
    )


def worker_app() -> FastAPI:
    """The application of one worker process, from the environment that `run` has set."""
    from web.app import create_app

    _collect_rarely()
    sys.setswitchinterval(_TURN_SECONDS)
    log_file = os.environ.pop(_LOG_FILE, None)
    settings = Settings()
    telemetry.configure("api", settings, log_file=Path(log_file) if log_file else None)
    return create_app(Installation.open(settings))


def _collect_rarely() -> None:
    """A request makes thousands of objects that go with it, and hardly any cycle to be searched for."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)

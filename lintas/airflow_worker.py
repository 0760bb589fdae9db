"""Whether a Celery worker is well: it is asked over the broker, as `celery inspect ping` does."""

import socket
import ssl
from pathlib import Path

__all__ = ["worker_answers"]

PATIENCE_SECONDS = 1.0


def worker_answers(broker_url: str, worker: str = "", *, ca_file: Path | None = None) -> bool:
    """Ask a worker for a sign of life.

    Args:
        broker_url: The broker, with its password.
        worker: Name of the worker; by default the one that Celery starts on this machine.
        ca_file: Who vouches for the broker, when it is reached over TLS.
    """
    from celery import Celery

    name = worker or f"celery@{socket.gethostname()}"
    with Celery(broker=broker_url, set_as_current=False) as application:
        if broker_url.startswith("rediss:"):
            application.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED} | (
                {"ssl_ca_certs": str(ca_file)} if ca_file else {}
            )
        return bool(application.control.ping(destination=[name], timeout=PATIENCE_SECONDS))

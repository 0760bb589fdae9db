"""Logs without personal data, and hooks for traces and metrics.

``configure`` is called once by each process: every event, also those of libraries that use
:mod:`logging`, becomes one line of JSON that has passed :mod:`foundation.redaction`. Traces and
metrics do nothing until ``LINTAS_OTLP_ENDPOINT`` names a collector.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog
from opentelemetry import metrics, trace

from foundation.redaction import redact, redact_text
from foundation.settings import Settings, load_settings

__all__ = ["bind", "configure", "count", "guard", "logger", "observe", "span", "trace_id", "write_line"]

_Event = MutableMapping[str, Any]
_process_name = "lintas"
_QUIET = ("httpx", "httpcore", "urllib3", "alembic", "stamina", "faker")


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module: ``log = telemetry.logger(__name__)``."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def configure(
    process_name: str,
    settings: Settings | None = None,
    *,
    log_file: Path | None = None,
    stream: TextIO | None = None,
) -> None:
    """Set up logging (and, where a collector is named, traces and metrics) of this process.

    Args:
        process_name: What every line is marked with, such as ``api``.
        settings: Level and collector (default: the environment's).
        log_file: Write there instead of to a stream; the file is private.
        stream: Write there instead of to stderr.
    """
    global _process_name
    chosen = settings or load_settings()
    handler, _process_name = _handler(log_file, stream), process_name
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mark(process_name),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    final: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    handler.setFormatter(_Formatter(processors=final, foreign_pre_chain=shared))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(chosen.log_level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    if chosen.otlp_endpoint:
        _export(process_name, chosen.otlp_endpoint)


def guard() -> None:
    """Redact inside a process whose logging belongs to somebody else (an Airflow task): call it once."""
    processors = list(structlog.get_config()["processors"])
    if _redact_event not in processors:
        first: list[Any] = [structlog.processors.format_exc_info, _redact_event]
        structlog.configure(processors=[*first, *processors])
    for handler in logging.getLogger().handlers:
        if not any(isinstance(known, _RedactRecords) for known in handler.filters):
            handler.addFilter(_RedactRecords())


def write_line(name: str, event: str, **facts: str | int | float | None) -> None:
    """Log an event that comes with every request, at the level INFO and at a small cost.

    Its texts pass the same redaction as everything else, remembered for those that come again; but for the
    request's own random id, which must be called `request_id`.
    """
    destination = logging.getLogger(name)
    if not destination.isEnabledFor(logging.INFO):
        return
    clean = {
        key: value if key == "request_id" or not isinstance(value, str) else _clean_text(key, value)
        for key, value in facts.items()
    }
    said = {"event": event, "level": "info", "logger": name, "timestamp": _now(), "process": _process_name}
    found = trace_id()
    if found is not None:
        said["trace_id"] = found
    destination.info(_Line(orjson.dumps(clean | said).decode()))


class _Line(str):
    """A whole line of the log: JSON, and clean."""

    __slots__ = ()


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Leaves lines that are whole as they are."""

    def format(self, record: logging.LogRecord) -> str:
        return record.msg if isinstance(record.msg, _Line) else super().format(record)


@lru_cache(maxsize=1024)
def _clean_text(key: str, text: str) -> Any:
    return redact(text, key=key)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


@contextmanager
def bind(**facts: Any) -> Iterator[None]:
    """Add facts (a run id, a dataset) to every event of the block."""
    with structlog.contextvars.bound_contextvars(**facts):
        yield


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[trace.Span]:
    """Trace a block; attributes are redacted like log events. Errors mark the span, without their text."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):  # nobody listens
        yield trace.INVALID_SPAN
        return
    tracer = trace.get_tracer("lintas")
    clean = {key: _attribute(key, value) for key, value in attributes.items() if value is not None}
    with tracer.start_as_current_span(
        name, attributes=clean, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            code = getattr(type(error), "code", None) or type(error).__name__
            current.set_status(trace.Status(trace.StatusCode.ERROR, str(code)))
            raise


def trace_id() -> str | None:
    """Return the id of the present trace, where there is one."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def count(name: str, value: int = 1, **attributes: str) -> None:
    """Add to a counter, such as ``lintas.exchanges``."""
    _counter(name).add(value, attributes)


def observe(name: str, value: float, **attributes: str) -> None:
    """Record a value in a histogram, such as ``lintas.verification.seconds``."""
    _histogram(name).record(value, attributes)


@cache
def _counter(name: str) -> metrics.Counter:
    return metrics.get_meter("lintas").create_counter(name)


@cache
def _histogram(name: str) -> metrics.Histogram:
    return metrics.get_meter("lintas").create_histogram(name)


def _handler(log_file: Path | None, stream: TextIO | None) -> logging.Handler:
    if log_file is None:
        return logging.StreamHandler(stream or sys.stderr)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    log_file.touch(mode=0o600)
    return logging.FileHandler(log_file, encoding="utf-8")


def _mark(process_name: str) -> Any:
    def mark(_logger: Any, _method: str, event: _Event) -> _Event:
        event["process"] = process_name
        found = trace_id()
        if found is not None:
            event.setdefault("trace_id", found)
        return event

    return mark


def _redact_event(_logger: Any, _method: str, event: _Event) -> _Event:
    clean = {
        # keys that begin with an underscore are structlog's own and never rendered
        key if key.startswith("_") else _clean_key(key): value
        if key.startswith("_") or key == "exc_info"
        else redact(value, key="" if key == "event" else key)
        for key, value in event.items()
    }
    return clean


_clean_key = lru_cache(maxsize=512)(redact_text)  # keys are the few names that stand in our code


class _RedactRecords(logging.Filter):
    """Redacts a record of the standard library in place."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not isinstance(record.msg, dict):  # structlog hands over dictionaries, redacted already
            record.msg, record.args = redact_text(record.getMessage()), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = redact_text("".join(traceback.format_exception(record.exc_info[1])).rstrip())
            record.exc_info = None
        return True


def _attribute(key: str, value: Any) -> str | int | float | bool:
    clean = redact(value, key=key)
    return clean if isinstance(clean, str | int | float | bool) else redact_text(str(clean))


def _export(process_name: str, endpoint: str) -> None:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": f"lintas-{process_name}"})
    base = endpoint.rstrip("/")
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/v1/traces")))
    trace.set_tracer_provider(traces)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{base}/v1/metrics"))
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[reader]))

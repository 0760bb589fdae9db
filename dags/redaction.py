"""Lets nothing that looks like a person's number or a secret into a task's log, whoever writes it."""

import logging
from collections.abc import MutableMapping
from typing import Any

__all__ = ["redact_logs"]


def redact_logs() -> None:
    """Put our redaction before Airflow's own processors and handlers of this process; safe to repeat."""
    import structlog

    processors = structlog.get_config()["processors"]
    if _redacted not in processors:
        processors.insert(0, _redacted)  # in place: loggers that exist already share the list
    for handler in logging.getLogger().handlers:
        if not any(isinstance(each, _Redaction) for each in handler.filters):
            handler.addFilter(_Redaction())


def _redacted(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    from foundation.redaction import redact

    for key, value in event.items():
        if key != "exc_info":  # our own errors carry no values, and others never leave a step (`outcomes`)
            event[key] = redact(value, key=key)
    return event


class _Redaction(logging.Filter):
    """Rewrites a record's text, arguments included."""

    def filter(self, record: logging.LogRecord) -> bool:
        from foundation.redaction import redact_text

        record.msg, record.args = redact_text(record.getMessage()), None
        return True

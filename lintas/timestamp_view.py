"""Timestamps as the command line makes and shows them."""

from pathlib import Path
from typing import Any

from foundation.database import Role, translated
from lintas.access import connected, opened

__all__ = ["stamp_now", "stamps", "verifier_arguments"]


def stamps(limit: int) -> list[dict[str, Any]]:
    """The newest tokens that are kept, and what still waits for one; nothing of it is personal."""
    from audit.timestamps import queue

    with translated(), connected(Role.STEWARD) as (_, connection):
        found = queue.stored(connection)[-limit:]
        states = queue.states(connection)
    rows: list[dict[str, Any]] = [
        {
            "entries": each.tree_size,
            "authority": each.authority,
            "stamped_at": each.generated_at,
            "received_at": each.received_at,
            "imprint": each.imprint.hex(),
            "trouble": None,
        }
        for each in found
    ]
    rows += [
        {
            "entries": None,
            "authority": each.name,
            "waiting": each.waiting,
            "asked_again_at": each.next_at,
            "trouble": each.trouble,
        }
        for each in states
        if each.waiting or each.trouble
    ]
    return rows


def stamp_now() -> list[dict[str, Any]]:
    """Every authority stamps the newest checkpoint now."""
    from audit.timestamps import Stamper
    from audit.timestamps.errors import TimestampMisconfigured

    with translated(), opened() as installation, Stamper(installation) as stamper:
        if installation.settings.timestamp_authorities is None:
            raise TimestampMisconfigured(
                "This installation asks nobody for timestamps.",
                remedy="Name authorities in a file, and the file in LINTAS_TIMESTAMP_AUTHORITIES.",
            )
        return [
            {
                "entries": each.tree_size,
                "authority": each.authority,
                "stamped_at": each.generated_at,
                "trouble": each.trouble,
            }
            for each in stamper.stamp_now()
        ]


def verifier_arguments(path: Path, roots: list[Path], keys: Path | None, **options: Any) -> list[str]:
    """The command line of the stand-alone verifier."""
    arguments = [str(path), "--keys", str(keys or path / "keys")]
    for each in roots:
        arguments += ["--roots", str(each)]
    for name, value in options.items():
        arguments += [f"--{name}", str(value)] if value is not None else []
    return arguments

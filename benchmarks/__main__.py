"""`python -m benchmarks [--smoke] [NAME …]`."""

from __future__ import annotations

import argparse
import importlib
import platform
from pathlib import Path

import psutil
from rich.console import Console

from benchmarks.measure import Measurement, show, write_json

NAMES = (
    "sync",
    "verification",
    "audit",
    "audit_search",
    "tamper",
    "audit_crashes",
    "city",
    "fhir",
    "webhooks",
    "files",
    "attention",
    "dag_parsing",
)

LONG = frozenset({"city", "tamper", "webhooks", "audit_crashes"})
"""What tests do as well: in a smoke run only when it is asked for by name."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--smoke", action="store_true", help="small sizes: shows that they run")
    parser.add_argument("--json", type=Path, default=Path(".benchmarks/latest.json"))
    options = parser.parse_args()
    console = Console(width=150)
    console.print(
        f"[dim]{platform.python_implementation()} {platform.python_version()}, {psutil.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB[/dim]"
    )
    results: dict[str, list[Measurement]] = {}
    wanted = options.names or [name for name in NAMES if not (options.smoke and name in LONG)]
    for name in wanted:
        module = importlib.import_module(f"benchmarks.{name}")
        results[name] = module.run(smoke=options.smoke, console=console)
        show(module.TITLE, results[name], console)
    write_json(options.json, results)
    total = sum(len(rows) for rows in results.values())
    console.print(f"{total} figures; kept in {options.json}")


if __name__ == "__main__":
    main()

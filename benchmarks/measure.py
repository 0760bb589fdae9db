"""What a benchmark measures with, and how it shows what it measured."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table


@dataclass
class Measurement:
    """One figure: `count` things in `seconds`, with the peak memory of this process in MiB."""

    what: str
    count: int
    unit: str
    seconds: float = 0.0
    peak_mib: float = 0.0
    note: str = ""
    baseline: bool = False
    latencies_ms: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Things a second."""
        return self.count / self.seconds if self.seconds else float("inf")


@contextmanager
def measured(what: str, count: int, unit: str, *, baseline: bool = False) -> Iterator[Measurement]:
    """Times its body and samples this process's resident memory every 20 ms."""
    result = Measurement(what, count, unit, baseline=baseline)
    process = psutil.Process()
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.02):
            result.peak_mib = max(result.peak_mib, process.memory_info().rss / 2**20)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    started = time.perf_counter()
    try:
        yield result
    finally:
        result.seconds = time.perf_counter() - started
        done.set()
        sampler.join()
        result.peak_mib = max(result.peak_mib, process.memory_info().rss / 2**20)


def percentiles(latencies: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds, of latencies in seconds."""
    ordered = sorted(latencies)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    return {"p50": at(0.50), "p95": at(0.95), "p99": at(0.99)} if ordered else {}


def median_round(rounds: Sequence[Measurement]) -> Measurement:
    """Of several rounds of the same the one that took the middle time; the quicker one of two middles."""
    return sorted(rounds, key=lambda each: each.seconds)[(len(rounds) - 1) // 2]


def show(title: str, measurements: Sequence[Measurement], console: Console | None = None) -> None:
    """Prints the figures, each beside the first baseline of its unit."""
    console = console or Console()
    bases = {m.unit: m for m in reversed(measurements) if m.baseline}
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("what")
    for name in ("count", "seconds", "per second", "of baseline", "p50/p95/p99 ms", "peak MiB"):
        table.add_column(name, justify="right")
    table.add_column("note")
    for m in measurements:
        share = f"{m.rate / bases[m.unit].rate:.0%}" if m.unit in bases else ""
        spread = "/".join(f"{v:.1f}" for v in m.latencies_ms.values())
        table.add_row(
            ("▸ " if m.baseline else "") + m.what,
            f"{m.count:,} {m.unit}",
            f"{m.seconds:.2f}",
            f"{m.rate:,.0f}",
            share,
            spread,
            f"{m.peak_mib:,.0f}" if m.peak_mib else "",
            m.note,
        )
    console.print(table)


def write_json(path: Path, results: dict[str, list[Measurement]]) -> None:
    """Keeps the figures for comparison between runs."""
    document = {name: [asdict(m) | {"rate": m.rate} for m in rows] for name, rows in results.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")

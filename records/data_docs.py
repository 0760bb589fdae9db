"""Data Docs of a batch: what was measured and how it came out, as a page without a single value.

Great Expectations' own pages load scripts and styles from nine other hosts; these are made from the findings
that were stored of its results, hold names and counts only, and need nothing from elsewhere. A page can be
made anew at any time, so old ones are thrown away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from foundation import telemetry
from foundation.files import make_private_directory, write_private
from records import quarantine
from records.errors import BatchNotFound
from records.findings import Assessment, Finding

if TYPE_CHECKING:
    from records.context import SyncContext

__all__ = ["FOLDER", "BatchDocs", "keep", "read", "write"]

FOLDER = "data-docs"
"""Where pages are kept, below the home of the installation."""
KEPT = 60
"""Pages kept of each dataset."""
_STYLES = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{padding:.35rem .6rem;text-align:left;border-bottom:1px solid #8886;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
code{font-size:.9em}
.broken{font-weight:600}
small{opacity:.75}
"""

log = telemetry.logger(__name__)


@dataclass(frozen=True, slots=True)
class BatchDocs:
    """Everything a page about a batch tells; names and counts, no value of any row."""

    batch_id: UUID
    dataset_id: str
    kind: str
    status: str
    contract_version: str
    started_at: datetime
    ended_at: datetime | None
    reason: str | None
    verdict: str
    findings: tuple[Finding, ...]
    quarantined: Mapping[str, int]
    published: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The page as plain data."""
        return {
            "batch": str(self.batch_id),
            "dataset": self.dataset_id,
            "kind": self.kind,
            "status": self.status,
            "contract_version": self.contract_version,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "reason": self.reason,
            "verdict": self.verdict,
            "findings": [each.as_dict() for each in self.findings],
            "quarantined": dict(self.quarantined),
            "published": {name: value for name, value in self.published.items() if name != "root"},
        }


def read(connection: psycopg.Connection[Any], batch_id: UUID) -> BatchDocs:
    """Read what is known of a batch.

    Raises:
        BatchNotFound: When there is none of that id.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "SELECT b.*, a.findings FROM records.batch b LEFT JOIN quality.assessment a USING (batch_id)"
            " WHERE b.batch_id = %s",
            [batch_id],
        ).fetchone()
    if row is None:
        raise BatchNotFound(
            "There is no such batch",
            remedy="`lintas batches list` shows the latest ones",
            batch=str(batch_id),
        )
    findings = tuple(Finding(**each) for each in row["findings"] or ())
    report = row["report"] or {}
    return BatchDocs(
        batch_id=batch_id,
        dataset_id=row["dataset_id"],
        kind=row["kind"],
        status=row["status"],
        contract_version=row["contract_version"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        reason=row["reason"],
        verdict=str(Assessment.of(findings).verdict) if findings else "not assessed",
        findings=findings,
        quarantined=quarantine.summary(connection, batch_id),
        published=report.get("published", {}),
    )


def keep(context: SyncContext, batch_id: UUID) -> None:
    """Make the page of a batch; a page that cannot be written stops no sync."""
    try:
        with context.connection() as connection:
            docs = read(connection, batch_id)
        write(context.installation.home, docs)
    except OSError as error:
        log.warning("data-docs.not-written", batch=str(batch_id), error=type(error).__name__)


def write(home: Path, docs: BatchDocs) -> Path:
    """Write the page and its data, renew the index, and throw away the oldest pages of the dataset."""
    folder = make_private_directory(home / FOLDER)
    for part in docs.dataset_id.split("/"):
        folder = make_private_directory(folder / part)
    page = folder / f"{docs.batch_id}.html"
    write_private(folder / f"{docs.batch_id}.json", json.dumps(docs.as_dict(), indent=2).encode())
    write_private(page, _page(docs).encode())
    pages = sorted(folder.glob("*-*.html"), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in pages[KEPT:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".json").unlink(missing_ok=True)
    write_private(home / FOLDER / "index.html", _index(home / FOLDER).encode())
    return page


def _index(folder: Path) -> str:
    def rows() -> Iterator[str]:
        for dataset in sorted(folder.glob("*/*/")):
            pages = sorted(dataset.glob("*-*.html"), key=lambda each: each.stat().st_mtime, reverse=True)
            name = f"{dataset.parent.name}/{dataset.name}"
            links = " ".join(
                f'<a href="{escape(name)}/{escape(page.name)}"><code>{escape(page.stem[:8])}</code></a>'
                for page in pages[:10]
            )
            yield f"<tr><td>{escape(name)}</td><td>{links}</td></tr>"

    return _document("Data Docs", f"<table>{_head('dataset', 'latest batches')}{''.join(rows())}</table>")


def _page(docs: BatchDocs) -> str:
    facts = {
        "batch": str(docs.batch_id),
        "status": docs.status + (f" ({docs.reason})" if docs.reason else ""),
        "assessment": docs.verdict,
        "kind": docs.kind,
        "contract": docs.contract_version,
        "begun": docs.started_at.isoformat(timespec="seconds"),
    }
    told = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items()
    )
    rules = "".join(map(_rule, docs.findings))
    parts = [
        f"<table>{told}</table>",
        "<h2>Rules</h2>",
        f"<table>{_head('rule', 'outcome', 'checked', 'broken by', 'severity', 'dimension')}{rules}</table>",
        "<h2>Quarantined rows by field and rule</h2>",
        _counts(docs.quarantined.items()),
        "<h2>Published</h2>",
        _counts((name, value) for name, value in docs.published.items() if name != "root"),
        "<p><small>Counts and names only: no value of any row is on this page.</small></p>",
    ]
    return _document(docs.dataset_id, "".join(parts))


def _rule(finding: Finding) -> str:
    outcome = finding.skipped or ("holds" if finding.passed else "broken")
    style = "" if finding.passed else ' class="broken"'
    about = f"<br><small>{escape(finding.description)}</small>" if finding.description else ""
    measured = f"<br><small><code>{escape(finding.expectation)}</code></small>" if finding.expectation else ""
    return (
        f"<tr{style}><td><code>{escape(finding.rule)}</code>{about}{measured}</td><td>{escape(outcome)}</td>"
        f'<td class="n">{finding.checked}</td><td class="n">{finding.failed}</td>'
        f"<td>{escape(finding.severity)}</td><td>{escape(finding.dimension)}</td></tr>"
    )


def _counts(counts: Iterable[tuple[str, Any]]) -> str:
    rows = "".join(
        f'<tr><td><code>{escape(name)}</code></td><td class="n">{int(count)}</td></tr>'
        for name, count in counts
    )
    return f"<table>{rows}</table>" if rows else "<p>None.</p>"


def _head(*names: str) -> str:
    return "<tr>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr>"


def _document(title: str, body: str) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{_STYLES}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )

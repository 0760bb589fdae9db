"""The log verified: from its database, from exported files, or over HTTPS; shown with what was not proven."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lintas.access import opened
from lintas.key_files import verifier_keys

if TYPE_CHECKING:
    from audit.checking.damage import VerificationReport
    from audit.checking.kept_progress import Begin, KeptProgress
    from audit.checkpoints.policy import Policy

__all__ = ["COULD_NOT_CHECK", "DAMAGED", "WHOLE", "Source", "VerifiedLog", "verified"]

WHOLE, DAMAGED, COULD_NOT_CHECK = 0, 70, 75
_FOLDER_KEYS = "that these are the log's keys: they came with the files (give your own with --keys)"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """What is to be verified, and with what."""

    files: Path | None = None
    url: str | None = None
    keys: Path | None = None
    policy: Path | None = None
    ca: Path | None = None
    token: Path | None = None
    seen: Path | None = None
    state: Path | None = None


@dataclass(frozen=True)
class VerifiedLog:
    """What a walk over the log found, ready to be shown."""

    code: int
    fields: Mapping[str, Any]
    lines: tuple[str, ...]


def verified(source: Source, begin: "Begin", *, bar: bool) -> VerifiedLog:
    """Verify the log of this installation, or the one that the source names.

    Raises:
        LintasError: when it could not be checked.
    """
    from foundation.database import translated

    with _progress(shown=bar) as progress, translated():
        if source.files is not None:
            return _described(*_exported(source, begin, progress))
        if source.url is not None:
            return _described(*_served(source, begin, progress))
        return _described(*_stored(source, begin, progress))


def _stored(
    source: Source, begin: "Begin", progress: Progress
) -> "tuple[VerificationReport, str, list[str]]":
    from audit.checking.verification import verify_installation

    with opened() as installation:
        settings = installation.settings
        name = f"the database {settings.database_name}"
        kept = _kept(settings.home, f"{name} of {settings.log_origin}", source)
        return verify_installation(installation, progress, kept=kept, begin=begin), name, []


def _exported(
    source: Source, begin: "Begin", progress: Progress
) -> "tuple[VerificationReport, str, list[str]]":
    from audit.checking.followed import FollowedLog
    from audit.checking.log_files import FolderFiles
    from audit.checking.published_log import seen_before, verify_published
    from foundation.settings import load_settings

    folder = source.files or Path()
    files = FolderFiles(folder)
    keys, further = verifier_keys(source.keys or folder / "keys"), [] if source.keys else [_FOLDER_KEYS]
    kept = _kept(load_settings().home, f"{files.name} at {folder.resolve()}", source)
    seen = seen_before(FollowedLog.at(source.seen, keys)) if source.seen else []
    report = verify_published(
        files, keys, progress, seen=seen, policy=_policy(source.policy), kept=kept, begin=begin
    )
    return report, files.name, further


def _served(
    source: Source, begin: "Begin", progress: Progress
) -> "tuple[VerificationReport, str, list[str]]":
    from audit.checking.followed import FollowedLog
    from audit.checking.log_files import ServedFiles
    from audit.checking.published_log import verify_followed
    from foundation.settings import load_settings

    home = load_settings().home
    policy = _policy(source.policy)
    keys = verifier_keys(source.keys) if source.keys else policy.log_keys() if policy else []
    with closing(ServedFiles(source.url or "", source.ca, source.token)) as files:
        shows = "entries" if files.has_entries else "hashes"
        kept = _kept(home, f"{files.name}, {shows}", source)
        followed = FollowedLog.at(source.seen or kept.file.with_suffix(".checkpoint"), keys)
        report = verify_followed(files, followed, progress, policy=policy, kept=kept, begin=begin)
        return report, files.name, []


def _kept(home: Path, name: str, source: Source) -> "KeptProgress":
    from audit.checking.kept_progress import KeptProgress

    return KeptProgress.within(home, name, source.state)


def _policy(file: Path | None) -> "Policy | None":
    from audit.checkpoints.policy import Policy

    return Policy.load(file) if file is not None else None


def _described(report: "VerificationReport", name: str, further: list[str]) -> VerifiedLog:
    """A report in words and as data."""
    unproven = report.intact and report.tree_size > 0 and report.signed_size == 0
    code = DAMAGED if not report.intact else COULD_NOT_CHECK if unproven else WHOLE
    missing = [*further, *report.not_proven]
    start = report.taken.size if report.taken else 0
    fields = {
        "intact": code == WHOLE,
        "exit_code": code,
        "source": name,
        "entries": report.entries,
        "tree_size": report.tree_size,
        "signed_size": report.signed_size,
        "minimum_index": report.minimum_index,
        "checkpoints": report.checkpoints,
        "walked_from": start,
        "taken": {"entries": start, "checked_until": report.taken.at} if report.taken else None,
        "damages": [
            {"entry": each.index, "kind": str(each.kind), "detail": each.detail} for each in report.damages
        ],
        "not_proven": missing,
    }
    return VerifiedLog(code, fields, tuple(_lines(report, name, code, missing)))


def _lines(report: "VerificationReport", name: str, code: int, missing: list[str]) -> Iterator[str]:
    from rich.markup import escape

    if code == DAMAGED:
        yield f"[bold red]the log was changed[/bold red]: {escape(str(report.first))}"
        yield from (f"  {escape(str(each))}" for each in report.damages[1:10])
    elif code == COULD_NOT_CHECK:
        yield "[yellow]nothing is proven[/yellow]: no checkpoint of this log is signed"
    else:
        yield (
            f"[green]the log is whole[/green]: {report.tree_size - report.minimum_index:,} entries,"
            f" {report.checkpoints:,} signed checkpoints, the last over {report.signed_size:,} entries"
        )
    yield f"  [dim]read from {escape(name)}[/dim]"
    if report.taken is not None:
        start, end = report.taken.size, report.tree_size
        now = f"entries {start:,} to {end - 1:,}" if end > start else "nothing new"
        yield f"  taken from the kept progress: {report.taken}; walked now: {now}"
    if code != DAMAGED:
        yield from (f"  [dim]not proven: {escape(each)}[/dim]" for each in missing)


@contextmanager
def _progress(*, shown: bool) -> Iterator[Progress]:
    """A bar on standard error, where that is a terminal."""
    from lintas.output import console

    out = console(stderr=True)
    if not shown or not out.is_terminal:
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

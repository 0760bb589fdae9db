"""The log verified, and what the exit code says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from lintas.output import AsJson, console, print_error, print_json

if TYPE_CHECKING:
    from lintas.verify_view import Source

__all__ = ["add_to"]


def add_to(group: typer.Typer) -> None:
    """Add these commands to the group `audit`."""
    group.command("verify")(verify)


def verify(
    *,
    files: Annotated[
        Path | None, typer.Option("--files", help="A folder that `lintas audit export` has written.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="A bus, or any log in the layout of C2SP tlog-tiles.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Verifier keys of the log, from elsewhere than the log.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Whom you trust (C2SP tlog-policy), for files and URLs.")
    ] = None,
    ca: Annotated[Path | None, typer.Option("--ca", help="The authority of the URL's certificate.")] = None,
    token: Annotated[
        Path | None, typer.Option("--token-file", help="File with an access token, to read entries at a URL.")
    ] = None,
    seen: Annotated[
        Path | None, typer.Option("--seen", help="The checkpoint that you saw last; kept for a URL.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="Where the progress is kept (default: in the home).")
    ] = None,
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Walk only what is new since the last walk.")
    ] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Walk everything, though a walk was interrupted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute the whole log: entries, tree, tiles and checkpoints; name the first that is wrong.

    An interrupted walk goes on where it stopped. Ends with 0 when all that was checked holds, 70 when
    something is false, 75 when it could not be checked, 2 for a wrong command line.
    """
    from audit.checking.kept_progress import Begin
    from foundation.errors import IntegrityBroken, LintasError
    from lintas.verify_view import COULD_NOT_CHECK, WHOLE, Source, verified

    source = Source(files, url, keys, policy, ca, token, seen, state)
    _refuse_contradictions(source, both_begins=since_last and from_start)
    begin = Begin.LAST if since_last else Begin.START if from_start else Begin.INTERRUPTED
    try:
        result = verified(source, begin, bar=not as_json)
    except IntegrityBroken:
        raise
    except LintasError as error:
        print_error(error, as_json=as_json)
        raise typer.Exit(COULD_NOT_CHECK) from None
    if as_json:
        print_json(result.fields)
    else:
        out = console()
        for line in result.lines:
            out.print(line, soft_wrap=True)
    if result.code != WHOLE:
        raise typer.Exit(result.code)


def _refuse_contradictions(source: "Source", *, both_begins: bool) -> None:
    if both_begins:
        raise typer.BadParameter("--since-last and --from-start exclude each other")
    if source.files is not None and source.url is not None:
        raise typer.BadParameter("--files and --url exclude each other")
    if source.url is not None and not _is_address(source.url):
        raise typer.BadParameter("--url is https://host/path; an access token goes into --token-file")
    if source.url is not None and source.keys is None and source.policy is None:
        raise typer.BadParameter("--url needs --keys, or a --policy that names the log")
    elsewhere = (source.keys, source.policy, source.seen)
    if source.files is None and source.url is None and any(each is not None for each in elsewhere):
        raise typer.BadParameter("--keys, --policy and --seen go with --files or --url")
    if source.url is None and (source.ca is not None or source.token is not None):
        raise typer.BadParameter("--ca and --token-file go with --url")


def _is_address(url: str) -> bool:
    """Whether it names a server, and holds no password, which the report and the progress would show."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host) and "@" not in parts.netloc

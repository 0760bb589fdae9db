"""Writes the reference pages that come from code; `--check` says which are out of date.

Run as `python -m docs.generate` from the top of the checkout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parent


def pages() -> dict[str, Callable[[], str]]:
    """Each generated page, and the function of the room that knows what it says."""
    from audit import documentation as audit
    from foundation.documentation import errors_markdown, settings_markdown
    from lintas.documentation import commands_markdown
    from schemas import documentation as schemas
    from verification import documentation as verification
    from web.problem_list import markdown as problems_markdown

    return {
        "reference/settings.md": settings_markdown,
        "reference/errors.md": errors_markdown,
        "reference/commands.md": commands_markdown,
        "reference/entry-kinds.md": audit.markdown,
        "reference/services.md": verification.markdown,
        "reference/problems.md": problems_markdown,
        "reference/contracts.md": schemas.contracts_markdown,
        "reference/record-types.md": schemas.record_types_markdown,
        "reference/identifiers.md": schemas.identifiers_markdown,
    }


def main() -> int:
    """Writes every page, or with `--check` compares; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is out of date")
    check = parser.parse_args().check
    stale = []
    for name, write in pages().items():
        path = DOCS / name
        text = write().rstrip() + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}. Run `make docs` and commit the result.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command `lintas`: a map of what can be done, each command in the module of its noun."""

import sys

import typer

from lintas.commands import (
    audit,
    bus,
    catalogue,
    deployment,
    lookups,
    practice,
    review,
    running,
    telling,
    witness,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="lintas",
    help=(
        "The data bus between government agencies: typed connectors in, verified answers out, "
        "every exchange provable."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
bus.register(app)
deployment.register(app)
practice.register(app)
running.register(app)
catalogue.register(app)
review.register(app)
telling.register(app)
lookups.register(app)
audit.register(app)
witness.register(app)


def main() -> None:
    """Run the command line; an error of ours becomes a sentence and an exit code, never a traceback."""
    from foundation.errors import LintasError
    from lintas.output import exit_code, print_error

    try:
        app()
    except LintasError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)

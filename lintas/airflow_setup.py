"""Brings Airflow's database to its current schema, and its pools to what a file says, by its own commands.

Run as `python -m lintas.airflow_setup POOLS_FILE`: both commands in one process, because importing Airflow
costs more than either of them.
"""

import sys

__all__ = ["main"]


def main(pools_file: str) -> None:
    """Run `airflow db migrate` and `airflow pools import`."""
    from airflow.cli.cli_parser import get_parser

    parser = get_parser()
    for command in (["db", "migrate"], ["pools", "import", pools_file]):
        arguments = parser.parse_args(command)
        arguments.func(arguments)


if __name__ == "__main__":
    main(sys.argv[1])

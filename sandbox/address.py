"""Under which name the practice agencies are reached, and on which address they therefore listen."""

__all__ = ["LOCALHOST", "listening_on"]

LOCALHOST = "localhost"


def listening_on(host: str) -> str:
    """Loopback alone, unless others are to reach them by another name, as containers do."""
    return "127.0.0.1" if host == LOCALHOST else "0.0.0.0"  # noqa: S104

"""Room: verification."""

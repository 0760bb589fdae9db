"""Room: lintas."""

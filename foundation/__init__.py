"""Room: foundation."""

"""Room: connectors."""

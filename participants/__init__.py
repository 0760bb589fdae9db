"""Room: participants."""

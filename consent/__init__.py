"""Room: consent."""

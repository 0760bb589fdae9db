"""The stand-alone verifier: one file, copied to whoever wants to check."""

__all__: list[str] = []

"""The commands, one module per noun; each translates and delegates to the room that knows."""

__all__: list[str] = []

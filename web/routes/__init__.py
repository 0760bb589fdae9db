"""The operations of the API, one module per noun; each translates and delegates."""

__all__: list[str] = []

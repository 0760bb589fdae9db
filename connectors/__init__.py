"""Where it comes from: typed sources that agencies let the bus read.

In flow the server binding of a contract, a registered system and a resolver of the agency's own secrets; out
flow pages: columnar frames in the source's own columns and cell types, each with the token after which
reading can go on. No connector knows a record type, and none lets a secret or a value into an error.
"""

from connectors.source import (
    CheckStep,
    DiscoveredColumn,
    DiscoveredDataset,
    Lookup,
    Operation,
    Page,
    PageToken,
    Slice,
    Source,
    Window,
)

__all__ = [
    "CheckStep",
    "DiscoveredColumn",
    "DiscoveredDataset",
    "Lookup",
    "Operation",
    "Page",
    "PageToken",
    "Slice",
    "Source",
    "Window",
]

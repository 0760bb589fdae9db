"""WHAT DOES THE LOG SAY about …: search, timelines, counts and saved views over the log.

In: a filter, and perhaps keys of a person or a case. Out: pages of entries, counts, and the entry that
says who has looked.
"""

from audit.search.cases import case_key
from audit.search.counting import Count, Per, counts
from audit.search.filter import Hidden, LogFilter
from audit.search.indexer import Indexer
from audit.search.paging import SearchPage, search, timeline
from audit.search.walking import Extent, Found, Walk

__all__ = [
    "Count",
    "Extent",
    "Found",
    "Hidden",
    "Indexer",
    "LogFilter",
    "Per",
    "SearchPage",
    "Walk",
    "case_key",
    "counts",
    "search",
    "timeline",
]

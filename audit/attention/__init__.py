"""Watching access: rules over the log flag what wants a person's attention, and learn from the verdicts.

In: signed entries, taken up once, in order. Out: flags in a queue, each with the entries that it rests on.
An auditor judges a flag `justified`, `misuse` or `unclear`; the rule's threshold moves for that officer and
purpose, for a time, and never so far that the rule is off.
"""

from audit.attention.queue import Flag, Verdict, judge
from audit.attention.rules import RULES, Rule
from audit.attention.watch import Watch

__all__ = ["RULES", "Flag", "Rule", "Verdict", "Watch", "judge"]

"""DOES THE LOG HOLD: walking the whole log, naming damage, following it from outside.

In: a log and the keys to check it by. Out: a report that names the first bad entry, or none.
"""

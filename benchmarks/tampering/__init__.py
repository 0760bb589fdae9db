"""The tamper bench: what a dishonest operator may try, and who notices.

`scene` builds a bus with a past, and copies it; `dishonest` is what an operator can do who owns the database
and the log's key; `attacks` tries each; `detectors` are those who look.
"""

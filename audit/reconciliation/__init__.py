"""WHAT WAS NEVER LOGGED: receipts, access logs and database statistics compared with the log.

In: what others kept. Out: discrepancies, each with what speaks for and against it.
"""

"""HOW DOES THE LOG GROW AND REACH OTHERS: sequencing, signing, publishing, receipts, static export.

In: the outbox. Out: entries in the tree, published checkpoints that nobody contradicts,
`.tlog-proof` receipts.
"""

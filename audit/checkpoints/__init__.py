"""WHO SIGNED WHICH TREE: signed notes, checkpoints, cosignatures, and the policy of whom to trust.

In: notes as text, keys, a policy file. Out: checkpoints that are truly signed, and by whom (C2SP signed-note,
tlog-checkpoint, tlog-cosignature, tlog-policy).
"""

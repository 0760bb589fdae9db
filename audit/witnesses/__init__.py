"""DO OTHERS SEE THE SAME LOG: a witness process, its folder, and the client that asks for cosignatures.

In: checkpoints with consistency proofs (C2SP tlog-witness). Out: cosignatures, or a refusal that says why.
"""

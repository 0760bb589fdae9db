"""WHERE DOES AN ENTRY STAND: the Merkle tree of RFC 6962, its tiles, and the small trees of batches.

In: leaf hashes, in order. Out: frontiers, tiles (C2SP tlog-tiles), inclusion and consistency proofs.
"""

"""WHOSE ENTRY IS IT, WITHOUT SAYING SO: handles, keys of persons, sealed content, and where the keys live.

In: an identifier, once. Out: handles and tags that nobody can test against a person without the vault.
"""

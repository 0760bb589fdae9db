"""A signed text taken apart for storage comes back as it was signed, to the byte."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.installation import Installation
from foundation.signatures import compact_jws, joined, parted

PAYLOADS = st.text(st.characters(exclude_categories=["Cs"]))


def test_parts_join_into_what_was_signed(installation: Installation) -> None:
    key = installation.keyring.current("bus")

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(PAYLOADS)
    def comes_back(payload: str) -> None:
        signed = compact_jws(key, "lintas-answer+jws", payload.encode())
        parts = parted(signed)
        assert parts[1] == payload
        assert joined(list(parts)) == signed

    comes_back()

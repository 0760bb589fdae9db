"""A timestamping authority with certificates of its own, for whoever reads its tokens."""

import pytest

from tests.audit.timestamp_server import Pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("tsa"))


@pytest.fixture
def stamping(pki, tmp_path):
    return pki.stamping(tmp_path / "stamping")

import re
from pathlib import Path

import pytest

from consent.agreement import agreements
from consent.rules import RULES, markdown
from foundation import clock
from foundation.database import Role
from participants.registry import Agency, register_agency

from .facts import NOW, OFFICE, REGISTRY

DOCS = Path(__file__).parents[2] / "docs"


def test_the_how_to_on_agreements_does_what_it_says(installation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "how-to/agreements.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(snippets) == 7
    with installation.database.connect(Role.STEWARD) as connection, clock.fixed(NOW):
        for agency in (OFFICE, REGISTRY):
            register_agency(connection, Agency(agency, agency))
        names = {
            "connection": connection,
            "registry_folder": tmp_path / "registry",
            "office_folder": tmp_path / "office",
            "REGISTRY": REGISTRY,
            "OFFICE": OFFICE,
        }
        exec("\n".join(snippets), names)
        (stored,) = agreements(connection)
    assert stored.terms.retention_days == 90
    assert stored.ended_at == NOW


@pytest.mark.parametrize("rule_id", sorted(RULES))
def test_every_rule_is_explained_in_the_documentation(rule_id):
    page = (DOCS / "explanation/consent-and-decisions.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in markdown().splitlines() if line.startswith(f"| `{rule_id}` |")]
    assert row in page

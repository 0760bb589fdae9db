"""Handles, keys, and the subject's own view."""

import hashlib
import hmac
import threading

import pytest

from audit import EntryDraft, EntryKind, append
from audit.errors import UnknownEntry
from audit.publishing.sequencer import Sequencer
from audit.subject_view import Reader, exchanges_of, scan_for, show_entry
from audit.subjects.vault import Vault
from foundation.database import DatabaseName, Role

READER = Reader(actor="counter-3", reason="the subject asked")


@pytest.fixture
def vault(installation):
    with Vault(installation) as vault:
        yield vault


def count(installation):
    with installation.database.connect(Role.API, DatabaseName.VAULT) as connection:
        return connection.execute("SELECT count(*) FROM vault.subjects").fetchone()[0]


def test_one_identifier_has_one_handle_however_many_ask_at_once(installation):
    """Two processes' vaults, eight threads, overlapping identifiers in different orders."""
    values = [f"357602410785{number:04d}" for number in range(40)]
    found, failures = [], []

    def ask(vault, order):
        try:
            handles = vault.handles_for("nik", order)
            found.append(dict(zip(order, [keys.handle for keys in handles], strict=True)))
        except Exception as error:
            failures.append(error)

    with Vault(installation) as one, Vault(installation) as other:
        threads = [
            threading.Thread(target=ask, args=(vault, values[shift:] + values[:shift]))
            for shift, vault in enumerate([one, other] * 4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert len(found) == 8
    assert all(each == found[0] for each in found)
    assert count(installation) == 40


def test_a_handle_is_committed_before_it_is_used(installation, vault, canary):
    keys = vault.handle_for("nik", canary.nik)
    with Vault(installation) as another:
        assert another.find("nik", canary.nik).data_key == keys.data_key
        assert another.keys_of(keys.handle).tag_key == keys.tag_key
        assert another.find("npwp", canary.nik) is None
    assert count(installation) == 1


def test_the_vault_itself_holds_no_identifier_in_the_clear(installation, vault, canary):
    vault.handle_for("nik", canary.nik)
    with installation.database.connect(Role.STEWARD, DatabaseName.VAULT) as connection:
        row = connection.execute("SELECT * FROM vault.subjects").fetchone()
    raw = b"".join(bytes(item) if isinstance(item, bytes) else str(item).encode() for item in row)
    assert canary.nik.encode() not in raw
    assert hashlib.sha256(canary.nik.encode()).digest() not in raw


def test_a_key_encryption_key_can_be_rolled(installation, vault, canary):
    before = vault.handle_for("nik", canary.nik)
    installation.keyring.roll("vault-kek")
    with Vault(installation) as later:
        assert later.handle_for("nik", canary.nik).data_key == before.data_key
        assert later.handle_for("nik", "3576024107850001").handle != before.handle


def write(installation, **changes):
    with installation.database.connect(Role.API) as connection:
        promise = append(
            connection,
            EntryDraft(
                **{"kind": EntryKind.EXCHANGE_REFUSED, "consumer": "kpp", "outcome": "denied"} | changes
            ),
        )
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    return promise


def test_a_subject_sees_who_used_their_data_and_that_somebody_looked(installation, vault, canary):
    mine, other = vault.handle_for("nik", canary.nik), vault.handle_for("nik", "3576024107850001")
    write(installation, subject=mine, sealed={"request": {"case": "A-1"}})
    write(installation, subject=other, sealed={"request": {"case": "B-2"}})
    with installation.database.connect(Role.API) as connection:
        (seen,) = exchanges_of(connection, mine, READER)
    assert seen.tag_matches
    assert seen.seal_intact
    assert seen.sealed == {"request": {"case": "A-1"}}
    assert seen.entry["consumer"] == "kpp"
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    with installation.database.connect(Role.API) as connection:
        looked, first = exchanges_of(connection, mine, READER)
    assert (looked.entry["kind"], looked.entry["actor"]) == ("audit.viewed", "counter-3")
    assert first.index == seen.index


def test_what_is_hidden_from_the_index_is_found_by_scanning_for_the_tag(installation, vault, canary):
    mine, other = vault.handle_for("nik", canary.nik), vault.handle_for("nik", "3576024107850001")
    for keys in (mine, other, mine):
        write(installation, subject=keys)
    with installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("DELETE FROM audit.subject_index")
    with installation.database.connect(Role.AUDITOR) as connection:
        assert exchanges_of(connection, mine, READER) == []
        assert scan_for(connection, mine, READER) == [0, 2]


def test_showing_one_entry_is_logged(installation):
    promise = write(installation)
    with installation.database.connect(Role.AUDITOR) as connection:
        assert show_entry(connection, promise.entry_id, READER).index == 0
        assert show_entry(connection, 0, READER).entry["id"] == str(promise.entry_id)
        with pytest.raises(UnknownEntry):
            show_entry(connection, 99, READER)
        connection.commit()
    with Sequencer(installation) as sequencer:
        assert sequencer.settle() == 3


def test_nobody_is_found_in_the_audit_data_by_trying_every_nik_of_a_district(installation, vault, canary):
    """Full read access to the log and its side tables, without the vault: no digest, tag or blob tells."""
    write(installation, subject=vault.handle_for("nik", canary.nik), sealed={"nik": canary.nik})
    with installation.database.connect(Role.AUDITOR) as connection:
        rows = connection.execute(
            "SELECT e.entry, s.blob, i.index_key, e.entry_id FROM audit.entries e"
            " JOIN audit.sealed s USING (entry_id) JOIN audit.subject_index i USING (entry_id)"
        ).fetchall()
    entry, blob, index_key, entry_id = rows[0]
    public = {bytes(index_key)} | {bytes.fromhex(word) for word in hex_words(bytes(entry).decode())}
    public |= {value[:16] for value in public}
    salts = [b"", entry_id.bytes, str(entry_id).encode(), *public, bytes(blob)[1:13]]
    tried = 0
    for serial in range(1, 120):
        for day in (1, 41, 7, 47):
            nik = f"357602{day:02d}0785{serial:04d}"
            assert not public & digests(nik.encode(), salts)
            tried += 1
    assert not public & digests(canary.nik.encode(), salts)
    assert tried > 400


def hex_words(text):
    import re

    return [word for word in re.findall(r"[0-9a-f]{32,}", text) if len(word) % 2 == 0]


def digests(nik, salts):
    found = set()
    for salt in salts:
        for value in (hashlib.sha256(salt + nik), hashlib.sha256(nik + salt)):
            found.add(value.digest())
        found.add(hmac.digest(salt or b"\0", nik, "sha256"))
        found.add(hmac.digest(nik, salt, "sha256"))
    return found | {value[:16] for value in found}

"""Who reads everything but the vault finds nobody; and the attack that shows it finds what is weak.

Kota Mojokerto has three kecamatan; each has 31 days x 2 sexes x 12 months x 100 years x 9,999 serials, so
2.2 x 10^9 numbers in all. The test tries one birth date of one kecamatan and records what all of them would
take on this machine. No number is more or less safe than another: what stands between the data
and a number are keys of 256 random bits that are not in it.
"""

import hashlib
import hmac
import json
import secrets
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from attacker import VAULT, Attacker, Loot, district

from audit import EntryDraft, EntryKind, RevisionReference, append
from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.notes import open_note
from audit.erasure.erasing import carry_out
from audit.erasure.grounds import ErasureGround
from audit.erasure.requests import approve, request_erasure
from audit.publishing.sequencer import Sequencer
from audit.subjects.sealing import seal
from audit.subjects.subject_keys import SubjectKeys
from audit.subjects.vault import Vault
from audit.tree.batch_root import record_leaf
from foundation.database import Role
from records.suppression import suppression_tag

KECAMATAN = "357602"
BIRTH_DATE = "010785"  # the canary's
SERIALS = range(1, 151)
ALL_NUMBERS = 3 * 31 * 2 * 12 * 100 * 9_999


def write(installation, *drafts):
    with installation.database.connect(Role.API) as connection:
        promises = [append(connection, draft) for draft in drafts]
    with Sequencer(installation) as sequencer:
        sequencer.settle()
    return promises


def loot(installation):
    return Loot.of(installation.database, installation.settings.database_name)


def someone(**changes):
    return EntryDraft(
        **{"kind": EntryKind.EXCHANGE_REFUSED, "consumer": "kpp", "outcome": "denied"} | changes
    )


@pytest.fixture
def log(installation, canary):
    """What the log says about the canary, in every way in which it says something about anybody."""
    with Vault(installation, Role.STEWARD) as vault:
        keys = vault.handle_for("nik", canary.nik)
        other = vault.handle_for("nik", "3576024107850001")
    leaf = record_leaf(secrets.token_bytes(16), hashlib.sha256(canary.nik.encode()).digest())
    write(
        installation,
        someone(subject=keys, sealed={"request": {"nik": canary.nik}, "nik": canary.nik}),
        someone(subject=other, also_about=(keys,)),
        EntryDraft(
            kind=EntryKind.CONSENT_GRANTED, subject=keys,
            consent=RevisionReference(str(keys.handle), 1, hashlib.sha256(keys.handle.bytes).hexdigest()),
        ),
        EntryDraft(
            kind=EntryKind.SYNC_COMPLETED, provider="dukcapil-mojokerto", datasets=("d/persons",),
            batch={"root": leaf, "leaves": 1},
        ),
    )  # fmt: skip
    return installation, keys


def erase(installation, keys):
    with installation.database.connect(Role.STEWARD) as connection:
        asked = request_erasure(
            connection, keys, ErasureGround.SUBJECT_REQUEST, officer="a", retention=timedelta(0)
        )
        approve(connection, asked.request_id, keys, officer="b", retention=timedelta(0))
    carry_out(
        installation, asked.request_id, officer="a", retention=timedelta(0),
        tag_of=lambda value: suppression_tag(installation, value),
    )  # fmt: skip
    write(installation)


def test_nobody_is_found_before_and_after_an_erasure(log, canary, record_property):
    """After it, the attacker still has the backups from before; so the second attack is on both."""
    installation, keys = log
    before = loot(installation)
    started, tried = time.perf_counter(), list(district(KECAMATAN, [BIRTH_DATE], SERIALS))
    assert canary.nik in tried
    attacker = Attacker(before)
    assert attacker.find(tried) == set()
    erase(installation, keys)
    both = Attacker(before | loot(installation))
    assert len(both._salts) > len(attacker._salts) > 30
    assert both.find(tried) == set()
    seconds = time.perf_counter() - started
    rate = len(tried) * (attacker.hashes_per_number + both.hashes_per_number) / seconds
    days = ALL_NUMBERS * both.hashes_per_number / rate / 86_400
    record_property("digests a number", both.hashes_per_number)
    record_property("days for all of Kota Mojokerto", round(days))


def test_after_an_erasure_the_vault_does_not_help_either(log, canary):
    """With all that the vault and the keyring still hold, nothing leads from the number to an entry.

    What they do tell is that somebody of this number was erased: that is what keeps the next sync from
    bringing the person back. The tag stands in a table with nothing beside it.
    """
    installation, keys = log
    backup = loot(installation)
    erase(installation, keys)
    everything = backup | loot(installation)
    everything |= Loot.of(installation.database, installation.settings.vault_database_name, VAULT)
    for name in installation.keyring.names():
        for version in installation.keyring.versions(name):
            everything.values.add(installation.keyring.get(name, version).secret)
    niks = [canary.nik, *district(KECAMATAN, [BIRTH_DATE], range(2, 30))]
    assert Attacker(everything).find(niks) == {canary.nik}  # by the suppression tag, which the keyring opens
    everything.values -= {suppression_tag(installation, canary.nik)}
    assert Attacker(everything).find(niks) == set()
    with Vault(installation, Role.STEWARD) as vault:
        assert vault.find("nik", canary.nik) is None
        assert vault.keys_of(keys.handle) is None


def nonce_of(installation):
    with installation.database.connect(Role.AUDITOR) as connection:
        row = connection.execute("SELECT entry FROM audit.entries ORDER BY entry_index LIMIT 1").fetchone()
    return bytes.fromhex(json.loads(bytes(row[0]))["nonce"])


def plain_digest(_, nik):
    return hashlib.sha256(nik.encode()).hexdigest()


def digest_cut_short(_, nik):
    return hashlib.sha256(b"nik\x00" + nik.encode()).hexdigest()[:20]


def keyed_with_a_nonce_of_the_log(installation, nik):
    return hmac.digest(nonce_of(installation), nik.encode(), "sha256").hex()


def salted_with_what_stands_beside(installation, nik):
    return hashlib.sha256(nonce_of(installation) + nik.encode()).hexdigest()


def tag_under_a_key_made_from_the_number(installation, nik):
    key = hashlib.sha256(nik.encode()).digest()
    return hmac.digest(key, b"lintas/subject-tag/v1\x00" + nonce_of(installation), "sha256")[:16].hex()


WEAK = [
    plain_digest,
    digest_cut_short,
    keyed_with_a_nonce_of_the_log,
    salted_with_what_stands_beside,
    tag_under_a_key_made_from_the_number,
]


@pytest.mark.parametrize("weakness", WEAK, ids=lambda each: each.__name__)
def test_the_same_attack_finds_a_planted_weakness(log, canary, weakness):
    installation, _ = log
    write(installation, someone(details={"reason": weakness(installation, canary.nik)}))
    tried = [canary.nik, *district(KECAMATAN, [BIRTH_DATE], range(1, 10))]
    assert Attacker(loot(installation)).find(tried) == {canary.nik}


def test_the_same_attack_opens_what_is_sealed_under_a_key_made_from_the_number(log, canary):
    installation, keys = log
    weak = SubjectKeys(keys.handle, hashlib.sha256(canary.nik.encode()).digest(), keys.tag_key)
    promise = write(installation, someone(subject=keys))[0]
    sealed = seal(weak, promise.entry_id, {"a": 1})
    with installation.database.connect(Role.API) as connection:
        connection.execute("INSERT INTO audit.sealed VALUES (%s, %s)", [promise.entry_id, sealed.blob])
    tried = [canary.nik, *district(KECAMATAN, [BIRTH_DATE], range(1, 10))]
    assert Attacker(loot(installation)).find(tried) == {canary.nik}


def test_every_signature_in_the_data_is_over_text_that_stands_beside_it(log):
    """A signature over something hidden could be tested against a person with the public key."""
    installation, _ = log
    with installation.database.connect(Role.AUDITOR) as connection:
        notes = [row[0] for row in connection.execute("SELECT note FROM audit.checkpoints")]
    assert notes
    for note in notes:
        opened = open_note(note, log_verifier_keys(installation))
        assert note.startswith(opened.text)
    for value in loot(installation).values:
        assert len(value) != 64, "a signature, or a digest of 512 bits, stands in the data"

"""Entries: canonical bytes, limits, kinds, and nothing in them that names a person."""

import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit import EntryDraft, EntryKind, RevisionReference, SubjectHandle, SubjectKeys
from audit.documentation import example, markdown
from audit.entry import MAXIMUM_ENTRY_BYTES, build, canonical_bytes, check_kind, looks_personal
from audit.errors import EntryRefused, SealBroken
from audit.kinds import FIELDS, KINDS
from audit.subjects.sealing import commitment, part_key, unseal
from audit.tree.merkle import leaf_hash

KEYS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:/\-]{0,20}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = TEXT | st.booleans() | st.none() | st.integers(-(2**31), 2**31)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def keys():
    return SubjectKeys(SubjectHandle(uuid.uuid4()), os.urandom(32), os.urandom(32))


def draft(**changes):
    return EntryDraft(**{"kind": EntryKind.AUDIT_VIEWED, "actor": "officer-7"} | changes)


@given(st.dictionaries(KEYS, JSON, max_size=6))
def test_the_bytes_of_an_entry_are_rfc_8785(data):
    try:
        encoded = canonical_bytes(data)
    except EntryRefused:
        return
    assert encoded == rfc8785.dumps(data)
    assert json.loads(encoded) == data


@given(st.binary(min_size=1, max_size=60))
def test_control_characters_and_the_rest_of_unicode_are_escaped_as_rfc_8785_says(raw):
    text = raw.decode("latin-1") + "\u20ac\U0001f600\x7f\u2028"
    assert canonical_bytes({"k": text.replace("0", "o")}) == rfc8785.dumps({"k": text.replace("0", "o")})


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), 2**53, -(2**53), b"bytes", {"ключ": 1}, {"": 1}, {1: 1}, {"a b": 1}, "\ud800",
     object(),
     {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}],
)  # fmt: skip
def test_what_an_entry_cannot_hold_is_refused(value):
    with pytest.raises(EntryRefused):
        canonical_bytes({"details": value})


@pytest.mark.parametrize("details", [{"held": 2**53}, {"a": [1, {"held": -(2**53)}]}])
def test_the_field_of_an_integer_that_is_too_large_is_named(details):
    with pytest.raises(EntryRefused, match="too large") as refused:
        canonical_bytes({"details": details})
    assert refused.value.location.field == "held"


def test_an_entry_has_at_most_65535_bytes():
    fits = MAXIMUM_ENTRY_BYTES - len(canonical_bytes({"k": ""}))
    assert len(canonical_bytes({"k": "x" * fits})) == MAXIMUM_ENTRY_BYTES
    with pytest.raises(EntryRefused, match="65536 bytes"):
        canonical_bytes({"k": "x" * (fits + 1)})


@pytest.mark.parametrize(
    "value",
    ["3576024107850099", "nik 3576024107850099.", "3576 0241 0785 0099", "35.76.02.410785.0099",
     "357602410785009",
     3576024107850099, ["a", "3576024107850099"], {"3576024107850099": 1}],
)  # fmt: skip
def test_what_looks_like_a_national_identifier_is_refused_without_repeating_it(value):
    with pytest.raises(EntryRefused) as refused:
        build(draft(details={"reason": value}))
    assert "3576" not in str(refused.value.as_dict())


@pytest.mark.parametrize(
    "value",
    [
        "12345678-1234-7123-8123-123456789012",
        "2026-11-21T20:45:51.305144Z",
        "ab" * 32,
        "1" * 64,
        1234567890123,
    ],
)
def test_ids_moments_and_digests_are_not_mistaken_for_identifiers(value):
    build(draft(details={"reason": value}))


@given(st.lists(st.text("0123456789 .-aZ,", max_size=40), min_size=1, max_size=3))
def test_the_fast_look_misses_nothing_that_the_careful_one_finds(texts):
    if any(looks_personal(text) for text in texts):
        with pytest.raises(EntryRefused):
            canonical_bytes({"texts": texts})
    else:
        canonical_bytes({"texts": texts})


@given(st.uuids(), st.datetimes(timezones=st.just(UTC)), st.binary(min_size=32, max_size=32))
def test_no_id_moment_or_digest_is_ever_mistaken(identifier, moment, digest):
    data = {"id": str(identifier), "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "hash": digest.hex()}
    canonical_bytes(data)


NAMES = st.from_regex(r"[a-z%][a-z0-9%./-]{0,12}", fullmatch=True)
REFERENCES = st.builds(RevisionReference, NAMES, st.integers(1, 99), st.just("ab" * 32))


@given(
    st.fixed_dictionaries(
        {"consumer": NAMES, "purpose": NAMES, "outcome": NAMES,
         "datasets": st.tuples(NAMES), "decision_id": TEXT},
        optional={
            "provider": NAMES, "system": NAMES, "legal_basis": NAMES, "trace_id": TEXT,
            "agreements": st.tuples(REFERENCES), "consent": REFERENCES, "fields": st.tuples(NAMES, NAMES),
            "rules": st.tuples(NAMES), "details": st.fixed_dictionaries({"reason": TEXT}),
            "sealed": st.just({"a": 1}),
        },
    ),
    st.integers(0, 2),
)  # fmt: skip
def test_an_entry_put_together_from_remembered_parts_is_the_one_written_at_once(given, others):
    everything = {"kind": EntryKind.EXCHANGE_REFUSED, "subject": keys(), "also_about": (keys(),) * others}
    try:
        built = build(EntryDraft(**everything | given))
    except EntryRefused:
        return
    data = json.loads(built.encoded)
    assert built.encoded == canonical_bytes(data) == rfc8785.dumps(data)
    for name in given.keys() - {"agreements", "consent", "fields", "sealed", "decision_id"}:
        assert (
            tuple(data[name]) == given[name]
            if name in {"datasets", "rules"}
            else data[_said(name)] == given[name]
        )
    assert data.get("decision", "") == given["decision_id"]
    assert len(data["subjects"]) == 1 + others


def _said(name):
    return {"trace_id": "trace"}.get(name, name)


def test_what_is_remembered_of_one_entry_never_stands_in_another():
    one = build(draft(actor="officer-7", details={"filter": "a"}))
    other = build(draft(actor="officer-8"))
    assert (one.data["actor"], other.data["actor"]) == ("officer-7", "officer-8")
    assert "details" not in other.data


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_makes_ids_and_nonces_of_its_own():
    build(draft())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, build(draft()).data["nonce"].encode())
        os._exit(0)
    os.waitpid(child, 0)
    ours = {build(draft()).data["nonce"] for _ in range(3)}
    assert os.read(reading, 32).decode() not in ours


def test_two_entries_of_one_draft_have_nothing_in_common_that_was_not_said():
    one, other = build(draft()), build(draft())
    assert one.entry_id != other.entry_id
    assert one.data["nonce"] != other.data["nonce"]
    assert one.leaf_hash == leaf_hash(one.encoded) != other.leaf_hash


def test_an_entry_says_what_the_draft_says():
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    reference = RevisionReference("pks-1", 2, "ab" * 32)
    built = build(
        draft(
            kind=EntryKind.EXCHANGE_ANSWERED, occurred_at=moment, consumer="diskopukm-mojokerto",
            purpose="aid-micro-business", decision_id="d-1", outcome="verified", agreements=(reference,),
            consent=reference, datasets=("dukcapil-mojokerto/persons",), fields=("b:c", "a:b"), rules=("r1",),
            details={"answer": uuid.UUID(int=1), "since": moment},
        )
    )  # fmt: skip
    data = json.loads(built.encoded)
    assert data["time"] == "2026-01-02T03:04:05.000000Z"
    assert data["fields"] == ["a:b", "b:c"]
    assert data["consent"] == {"id": "pks-1", "revision": 2, "hash": "ab" * 32}
    assert data["details"] == {"answer": str(uuid.UUID(int=1)), "since": "2026-01-02T03:04:05.000000Z"}
    assert data.keys() <= FIELDS.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actor": None}, "misses actor"), ({"batch": {"read": 1}}, "must not have batch"),
        ({"details": {"nik": "x"}}, "must not have the detail nik"),
        ({"kind": EntryKind.SYNC_COMPLETED, "provider": "a", "datasets": ("a/b",), "batch": {"rows": 1}},
         "must not have the batch figure rows"),
        ({"actor": "Budi Santoso"}, "plain ASCII name"), ({"sealed": {"a": 1}}, "needs a subject"),
        ({"occurred_at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
    ],
)  # fmt: skip
def test_a_draft_that_is_not_of_its_kind_is_refused(changes, message):
    with pytest.raises(EntryRefused, match=message):
        build(draft(**changes))


def test_sealed_content_opens_for_its_subject_alone_and_matches_its_commitments(canary):
    subject = keys()
    content = {"nik": canary.nik, "request": {"name": canary.name, "amount": 2.5}}
    built = build(draft(subject=subject, sealed=content))
    assert not canary.found_in(built.encoded.decode())
    opened = unseal(subject, built.entry_id, built.sealed_blob)
    assert opened.content == content
    for name, value in content.items():
        assert commitment(part_key(opened.secret, name), value) == built.data["sealed"]["commitments"][name]
    with pytest.raises(SealBroken):
        unseal(keys(), built.entry_id, built.sealed_blob)
    with pytest.raises(SealBroken):
        unseal(subject, uuid.uuid4(), built.sealed_blob)
    for place in range(0, len(built.sealed_blob), 7):
        changed = bytearray(built.sealed_blob)
        changed[place] ^= 1
        with pytest.raises(SealBroken):
            unseal(subject, built.entry_id, bytes(changed))


def test_a_subjects_tags_are_unlinkable_without_the_tag_key_and_found_with_it():
    subject = keys()
    entries = [build(draft(subject=subject)) for _ in range(5)]
    tags = [entry.data["subjects"][0] for entry in entries]
    assert len(set(tags)) == 5
    assert tags == [subject.tag(bytes.fromhex(entry.data["nonce"])) for entry in entries]
    assert "key" not in repr(subject)


def test_every_kind_has_a_rule_and_knows_only_known_fields():
    assert set(KINDS) == set(EntryKind)
    for rule in KINDS.values():
        assert rule.required | rule.allowed <= FIELDS.keys()


@pytest.mark.parametrize("kind", list(EntryKind))
def test_the_example_of_every_kind_is_an_entry_of_that_kind(kind):
    """Whoever writes the example's content gets an entry that says the same."""
    shown = example(kind)
    data = {name: value for name, value in shown.items() if name not in {"v", "id", "nonce", "kind", "time"}}
    check_kind(kind, shown)
    assert canonical_bytes(shown)
    assert KINDS[kind].required <= data.keys()


def test_the_reference_page_is_the_one_the_registry_makes():
    page = Path(__file__).parents[2] / "docs" / "reference" / "entry-kinds.md"
    assert page.read_text() == markdown(), (
        "run: python -m audit.documentation > docs/reference/entry-kinds.md"
    )

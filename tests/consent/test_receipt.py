import json
from uuid import uuid4

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.receipt import Controller, ReceiptContext, govstack_revision, iso27560, kantara
from consent.revision import ConsentNotice, ConsentRevision, GivenBy
from consent.vocabulary import Channel, ConsentState
from foundation.canonical import sha256_hex

from .facts import NOW, OFFICE, PERSONS, PURPOSE

TEXT, FLAG = {"type": "string"}, {"type": "boolean"}
TEXTS = {"type": "array", "items": TEXT}


def an_object(required: dict, optional: dict | None = None, **more) -> dict:
    properties = required | (optional or {})
    return {"type": "object", "required": list(required), "properties": properties} | more


# What the JSON Schema of the Kantara Consent Receipt 1.1 demands.
KANTARA = an_object(
    {
        "version": TEXT,
        "jurisdiction": TEXT,
        "consentTimestamp": {"type": "integer", "minimum": 0},
        "collectionMethod": TEXT,
        "consentReceiptID": TEXT,
        "piiPrincipalId": TEXT,
        "policyUrl": TEXT,
        "sensitive": FLAG,
        "spiCat": TEXTS,
        "piiControllers": {
            "type": "array",
            "items": an_object(
                {
                    "piiController": TEXT,
                    "contact": TEXT,
                    "address": {"type": "object"},
                    "email": TEXT,
                    "phone": TEXT,
                },
                {"onBehalf": FLAG, "piiControllerUrl": TEXT},
            ),
        },
        "services": {
            "type": "array",
            "items": an_object(
                {
                    "service": TEXT,
                    "purposes": {
                        "type": "array",
                        "items": an_object(
                            {
                                "consentType": TEXT,
                                "purposeCategory": TEXTS,
                                "piiCategory": TEXTS,
                                "termination": TEXT,
                                "thirdPartyDisclosure": FLAG,
                            },
                            {"purpose": TEXT, "primaryPurpose": FLAG},
                            oneOf=[
                                {"properties": {"thirdPartyDisclosure": {"enum": [False]}}},
                                {
                                    "properties": {
                                        "thirdPartyDisclosure": {"enum": [True]},
                                        "thirdPartyName": TEXT,
                                    },
                                    "required": ["thirdPartyName"],
                                },
                            ],
                        ),
                    },
                }
            ),
        },
    },
    {"publicKey": TEXT, "language": TEXT},
)

CONTROLLER = Controller(
    name="Dinas Koperasi, UKM, Perindustrian dan Perdagangan Kota Mojokerto",
    contact="Petugas Pelindungan Data",
    email="ppd@diskopukm.example",
    phone="+62 321 000000",
    address={"streetAddress": "Jl. Contoh 1", "addressLocality": "Mojokerto", "addressCountry": "ID"},
)

revisions = st.builds(
    ConsentRevision,
    consent_id=st.builds(uuid4),
    state=st.sampled_from(ConsentState),
    occurred_at=st.just(NOW),
    subject=st.builds(uuid4),
    consumer=st.just(OFFICE),
    purpose=st.just(PURPOSE),
    fields=st.just({PERSONS: ("nik", "birth_date")}),
    notice=st.just(ConsentNotice.of_text("Bolehkah?", version="1")),
    given_by=st.sampled_from((GivenBy(), GivenBy.with_officer("officer-7"))),
    channel=st.sampled_from(Channel),
    valid_from=st.just(NOW),
)
contexts = st.builds(
    ReceiptContext,
    controller=st.just(CONTROLLER),
    policy_url=st.just("https://diskopukm.example/privasi"),
    service=st.just("Bantuan usaha mikro"),
    termination=st.just("365 hari setelah layanan selesai"),
    third_party=st.none() | st.just("Bappeda"),
    specific=st.sampled_from((frozenset(), frozenset({"health"}))),
)


@given(revisions, contexts)
def test_receipts_are_valid_against_the_kantara_schema(revision, context):
    receipt = json.loads(json.dumps(kantara(revision, context)))
    jsonschema.validate(receipt, KANTARA)
    assert receipt["consentTimestamp"] == int(NOW.timestamp())


@given(revisions, contexts, st.sampled_from((kantara, iso27560)))
def test_a_receipt_does_not_name_the_subject(revision, context, form):
    assert str(revision.subject) not in json.dumps(form(revision, context))


@given(revisions, contexts)
def test_an_iso_record_has_its_four_sections_and_names_the_exact_revision(revision, context):
    record = iso27560(revision, context)
    assert list(record) == ["record_header", "pii_processing", "party_identification", "event"]
    assert record["event"]["revision_hash"] == revision.hash
    assert record["event"]["event_state"] == revision.state.value


@given(revisions)
def test_a_govstack_revision_carries_the_snapshot_that_its_hash_covers(revision):
    successor = revision.followed_by(ConsentState.WITHDRAWN)
    first, second = govstack_revision(revision, successor), govstack_revision(successor)
    assert first["serializedHash"] == sha256_hex(first["serializedSnapshot"].encode())
    assert second["predecessorHash"] == first["serializedHash"]
    assert first["successor"] == second["id"]
    for required in ("id", "schemaName", "objectId", "serializedSnapshot", "serializedHash", "timestamp"):
        assert first[required]


@given(revisions, contexts)
def test_two_revisions_have_two_receipts_of_one_consent(revision, context):
    first, second = (
        kantara(each, context) for each in (revision, revision.followed_by(ConsentState.WITHDRAWN))
    )
    assert first["consentReceiptID"] != second["consentReceiptID"]
    assert first["piiPrincipalId"] == second["piiPrincipalId"]


@pytest.mark.parametrize("broken", ["piiControllers", "services", "consentReceiptID"])
def test_the_schema_in_this_test_refuses_what_is_missing(broken):
    receipt = dict.fromkeys(KANTARA["required"], "x")
    receipt.pop(broken)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(receipt, KANTARA)

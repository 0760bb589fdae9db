from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.decision import Decision, EmergencyClaim, Facts, SystemFact, decide
from consent.errors import ExchangeDenied
from consent.rules import RULES
from consent.vocabulary import ConsentState, LegalBasis, Mode, Outcome, Verb

from .facts import (
    NOW,
    OFFICE,
    OTHER_SUBJECT,
    PERSONS,
    REGISTRY,
    STANDING,
    SUBJECT,
    TAX,
    agreement,
    consent,
    facts,
    request,
)

NAMES = ("nik", "name", "birth_date", "address", "sex")
PURPOSES = ("aid-micro-business", "credit-scoring", "registry-sync")
moments = st.timedeltas(min_value=timedelta(days=-400), max_value=timedelta(days=400)).map(lambda d: NOW + d)
field_sets = st.sets(st.sampled_from(NAMES), min_size=1).map(frozenset)


@st.composite
def registry_agreements(draw, number=1, **fixed):
    begins = draw(moments)
    ended = draw(st.none() | moments)
    drawn = {
        "agreement_id": f"pks-{number}",
        "consumer": draw(st.sampled_from((OFFICE, "bpjs-mojokerto"))),
        "purposes": tuple(draw(st.sets(st.sampled_from(PURPOSES), min_size=1))),
        "legal_basis": draw(st.sampled_from(LegalBasis)),
        "datasets": {PERSONS: tuple(draw(field_sets))},
        "verbs": tuple(draw(st.sets(st.sampled_from(Verb), min_size=1))),
        "modes": tuple(draw(st.sets(st.sampled_from(Mode), min_size=1))),
        "valid_from": begins,
        "valid_until": begins + draw(st.timedeltas(timedelta(days=1), timedelta(days=700))),
        "quota_per_day": draw(st.none() | st.just(5)),
        "case_required": draw(st.booleans()),
        "emergency_access": draw(st.booleans()),
        "onward_sharing": tuple(draw(st.sets(st.sampled_from(("bappenda", "dinsos"))))),
    }
    return agreement(
        REGISTRY, quota_left=draw(st.none() | st.integers(0, 5)), ended_at=ended, **(drawn | fixed)
    )


@st.composite
def consents(draw):
    return (
        draw(st.none())
        if draw(st.integers(0, 4)) == 0
        else consent(
            draw(st.sampled_from(ConsentState)),
            subject=draw(st.sampled_from((SUBJECT, SUBJECT, OTHER_SUBJECT))),
            purpose=draw(st.sampled_from(PURPOSES)),
            fields={PERSONS: draw(field_sets)},
            valid_from=draw(moments),
            valid_until=draw(st.none() | moments),
        )
    )


@st.composite
def requests(draw, emergencies=True):
    claims = st.none() | st.builds(
        EmergencyClaim, st.sampled_from(("", "officer-7")), st.sampled_from(("", "bleeding"))
    )
    return request(
        verb=draw(st.sampled_from(Verb)),
        mode=draw(st.sampled_from(Mode)),
        purpose=draw(st.sampled_from(PURPOSES)),
        fields={PERSONS: draw(field_sets)},
        subject=draw(st.sampled_from((SUBJECT, SUBJECT, None))),
        case_present=draw(st.booleans()),
        onward_to=draw(st.sampled_from((None, None, "bappenda"))),
        emergency=draw(claims) if emergencies else None,
    )


@st.composite
def worlds(draw):
    agreements = tuple(draw(registry_agreements(number)) for number in range(draw(st.integers(0, 3))))
    active = st.sampled_from((True, True, True, False))
    return facts(
        agreements=agreements,
        consent=draw(consents()),
        agencies={OFFICE: draw(active), REGISTRY: draw(active)},
        systems={"palapa-mojo": SystemFact(OFFICE, is_active=draw(active))},
    )


@st.composite
def likely_pairs(draw):
    """A request and a world that allow it, before the test spoils something."""
    basis = draw(st.sampled_from([basis for basis in LegalBasis if basis is not LegalBasis.VITAL_INTEREST]))
    wanted = draw(field_sets)
    agreed = agreement(legal_basis=basis, datasets={PERSONS: tuple(wanted | draw(field_sets))})
    given = consent(fields={PERSONS: wanted | draw(field_sets)})
    return request(fields={PERSONS: wanted}), facts(agreements=(agreed,), consent=given)


@given(requests())
def test_without_facts_everything_is_denied(wanted):
    decision = decide(wanted, Facts())
    assert decision.outcome is Outcome.DENY
    assert decision.rules


@given(requests(), worlds())
def test_a_denial_releases_nothing_and_an_allowance_only_agreed_fields(wanted, world):
    decision = decide(wanted, world)
    if not decision.allowed:
        assert not decision.allowed_fields
        assert not decision.agreements
        assert decision.rules
        assert not any(finding.satisfied for finding in decision.rules)
        return
    agreed = {fact.terms.agreement_id: fact.terms for fact in world.agreements}
    relied_on = [agreed[reference.id] for reference in decision.agreements]
    for dataset, names in decision.allowed_fields.items():
        assert any(names <= terms.fields_of(dataset) for terms in relied_on)
    assert decision.legal_basis is not None
    assert all(finding.satisfied for finding in decision.rules)


@given(likely_pairs())
def test_what_is_agreed_and_consented_is_allowed(pair):
    assert decide(*pair).allowed


@given(requests(), worlds(), st.data())
def test_an_unrelated_agreement_changes_no_outcome(wanted, world, data):
    stranger = data.draw(
        st.one_of(
            registry_agreements(9, consumer="bpjs-mojokerto"),
            registry_agreements(9, purposes=("another-purpose",)),
            st.just(
                agreement(TAX, agreement_id="pks-9", purposes=PURPOSES, verbs=tuple(Verb), modes=tuple(Mode))
            ),
        )
    )
    before = decide(wanted, world)
    after = decide(wanted, replace(world, agreements=(*world.agreements, stranger)))
    assert after.outcome is before.outcome
    assert after.agreements == before.agreements
    assert after.allowed_fields == before.allowed_fields


@given(requests(), worlds(), st.randoms())
def test_the_order_of_agreements_does_not_matter(wanted, world, random):
    shuffled = list(world.agreements)
    random.shuffle(shuffled)
    assert decide(wanted, replace(world, agreements=tuple(shuffled))) == decide(wanted, world)


@given(requests(), worlds(), st.data())
def test_asking_for_fewer_fields_never_loses_an_allowance(wanted, world, data):
    fewer = data.draw(st.sets(st.sampled_from(sorted(wanted.fields[PERSONS])), min_size=1).map(frozenset))
    if decide(wanted, world).allowed:
        assert decide(replace(wanted, fields={PERSONS: fewer}), world).allowed


@given(requests(), registry_agreements(), consents(), st.data())
def test_narrowing_an_agreement_never_turns_a_denial_into_an_allowance(wanted, wide, given_consent, data):
    terms = wide.terms
    names = terms.datasets[PERSONS]
    narrow_terms = terms.model_copy(
        update={
            "datasets": {PERSONS: tuple(data.draw(st.sets(st.sampled_from(names), min_size=1)))},
            "purposes": tuple(data.draw(st.sets(st.sampled_from(terms.purposes), min_size=1))),
            "verbs": tuple(data.draw(st.sets(st.sampled_from(terms.verbs), min_size=1))),
            "modes": tuple(data.draw(st.sets(st.sampled_from(terms.modes), min_size=1))),
            "valid_until": terms.valid_until - data.draw(st.timedeltas(timedelta(0), timedelta(hours=20))),
            "onward_sharing": (),
            "case_required": True,
            "emergency_access": False,
        }
    )
    narrow = replace(wide, terms=narrow_terms)
    if decide(wanted, facts(agreements=(narrow,), consent=given_consent)).allowed:
        assert decide(wanted, facts(agreements=(wide,), consent=given_consent)).allowed


@given(requests(), worlds())
def test_taking_a_fact_away_never_turns_a_denial_into_an_allowance_by_consent(wanted, world):
    without = decide(wanted, replace(world, consent=None))
    assert without.legal_basis is not LegalBasis.CONSENT


@given(requests(emergencies=False), worlds(), st.sampled_from((ConsentState.WITHDRAWN, ConsentState.REFUSED)))
def test_where_consent_is_agreed_a_no_denies_even_if_another_basis_would_do(wanted, world, state):
    wanted = replace(wanted, subject=SUBJECT)
    said_no = consent(state, purpose=wanted.purpose)
    rests_on_consent = decide(
        wanted, replace(world, consent=replace(said_no, state=ConsentState.GRANTED, fields=wanted.fields))
    )
    decision = decide(wanted, replace(world, consent=said_no))
    assert decision.legal_basis is not LegalBasis.CONSENT
    if rests_on_consent.legal_basis is LegalBasis.CONSENT:
        assert decision.rule_ids == (f"consent.{state.value}",)


@given(likely_pairs(), st.sampled_from(("valid_from", "valid_until")))
def test_windows_of_agreements_are_half_open(pair, edge):
    wanted, world = pair
    terms = world.agreements[0].terms
    at_edge = replace(wanted, at=getattr(terms, edge))
    world = replace(world, consent=replace(world.consent, valid_from=terms.valid_from))
    assert decide(at_edge, world).allowed is (edge == "valid_from")
    just_before = replace(wanted, at=getattr(terms, edge) - timedelta(microseconds=1))
    assert decide(just_before, world).allowed is (edge == "valid_until")


@pytest.mark.parametrize(("offset", "allowed"), [(-1, True), (0, False), (1, False)])
def test_the_window_of_a_consent_is_half_open(offset, allowed):
    world = facts(consent=consent(valid_until=NOW + timedelta(hours=1)))
    at = NOW + timedelta(hours=1, microseconds=offset)
    decision = decide(request(at=at), world)
    assert decision.allowed is allowed
    assert allowed or decision.rule_ids == ("consent.expired",)


@given(requests(), worlds())
def test_every_finding_explains_itself_in_both_languages(wanted, world):
    for finding in decide(wanted, world).rules:
        assert finding.rule_id in RULES
        explanation = finding.explanation
        assert "{" not in explanation.indonesian + explanation.english
        assert str(SUBJECT) not in explanation.indonesian + explanation.english


@given(requests(), worlds())
def test_deciding_is_pure(wanted, world):
    assert decide(wanted, world) == decide(wanted, world)


def spoiled(rule_id: str) -> Decision:
    """The decision on a good request in a world with exactly one thing wrong."""
    both = {REGISTRY: agreement(REGISTRY), TAX: agreement(TAX)}

    def with_registry(**changes):
        return facts(agreements=(agreement(REGISTRY, **changes), both[TAX]))

    def with_both(**changes):
        return facts(agreements=(agreement(REGISTRY, **changes), agreement(TAX, **changes)))

    agencies = {OFFICE: True, REGISTRY: True, TAX: True}
    emergency = EmergencyClaim("officer-7", "unconscious")
    day = timedelta(days=1)
    cases = {
        "request.empty": (request(fields={}), facts()),
        "consumer.unknown": (request(), facts(agencies={REGISTRY: True, TAX: True})),
        "consumer.suspended": (request(), facts(agencies=agencies | {OFFICE: False})),
        "provider.unknown": (request(), facts(agencies={OFFICE: True, REGISTRY: True})),
        "provider.suspended": (request(), facts(agencies=agencies | {TAX: False})),
        "system.unknown": (request(system="nobody"), facts()),
        "system.suspended": (request(), facts(systems={"palapa-mojo": SystemFact(OFFICE, is_active=False)})),
        "system.foreign": (request(), facts(systems={"palapa-mojo": SystemFact(TAX, is_active=True)})),
        "agreement.none": (request(), facts(agreements=(both[TAX],))),
        "agreement.dataset-not-covered": (
            request(fields={f"{REGISTRY}/deaths": frozenset({"death_date"})}),
            facts(),
        ),
        "agreement.purpose-not-covered": (request(purpose="credit-scoring"), facts()),
        "verb.not-covered": (request(verb=Verb.COLLECT), facts()),
        "mode.not-covered": (request(mode=Mode.READ), facts()),
        "agreement.fields-not-covered": (request(fields={PERSONS: frozenset({"address"})}), facts()),
        "agreement.ended": (request(), with_registry(ended_at=NOW)),
        "agreement.not-yet-valid": (request(), with_registry(valid_from=NOW + day)),
        "agreement.expired": (request(), with_registry(valid_until=NOW)),
        "onward.forbidden": (request(onward_to="bappenda"), facts()),
        "case.missing": (request(), with_registry(case_required=True)),
        "quota.exhausted": (request(), with_registry(quota_per_day=5, quota_left=0)),
        "emergency.not-declared": (request(), with_both(legal_basis=LegalBasis.VITAL_INTEREST)),
        "emergency.not-agreed": (request(emergency=emergency), facts()),
        "emergency.officer-missing": (
            request(emergency=EmergencyClaim(" ", "unconscious")),
            with_both(emergency_access=True),
        ),
        "emergency.reason-missing": (
            request(emergency=EmergencyClaim("officer-7", "")),
            with_both(emergency_access=True),
        ),
        "emergency.subject-missing": (
            request(emergency=emergency, subject=None),
            with_both(emergency_access=True),
        ),
        "legal-basis.not-single": (request(), with_registry(legal_basis=LegalBasis.PUBLIC_TASK)),
        "consent.subject-missing": (request(subject=None), facts()),
        "consent.required": (request(), facts(consent=None)),
        "consent.refused": (request(), facts(consent=consent(ConsentState.REFUSED))),
        "consent.withdrawn": (request(), facts(consent=consent(ConsentState.WITHDRAWN))),
        "consent.expired": (request(), facts(consent=consent(ConsentState.EXPIRED))),
        "consent.not-yet-valid": (request(), facts(consent=consent(valid_from=NOW + day))),
        "consent.fields-not-covered": (
            request(),
            facts(consent=consent(fields={PERSONS: frozenset({"nik", "birth_date"})})),
        ),
    }
    return decide(*cases[rule_id])


CARRYING = {
    "agreement.in-force",
    "quota.available",
    "consent.in-force",
    "consent.not-needed",
    "emergency.review-due",
}
AT_COMMIT = {"agreement.changed", "consent.changed"}


@pytest.mark.parametrize("rule_id", sorted(RULES.keys() - CARRYING - AT_COMMIT))
def test_each_rule_is_broken_alone(rule_id):
    decision = spoiled(rule_id)
    assert decision.outcome is Outcome.DENY
    assert decision.rule_ids == (rule_id,)


def test_an_allowance_names_the_exact_revisions_it_relied_on():
    world = facts()
    decision = decide(request(), world)
    assert decision.agreements == tuple(
        sorted((fact.reference for fact in world.agreements), key=lambda r: r.id)
    )
    assert decision.consent == world.consent.reference
    assert decision.legal_basis is LegalBasis.CONSENT
    assert decision.rule_ids == ("agreement.in-force", "consent.in-force")
    assert decision.field_names == (f"{PERSONS}:birth_date", f"{PERSONS}:nik", f"{STANDING}:standing")
    assert decision.retention_days == 365


def test_consent_is_not_cited_where_it_is_not_the_basis():
    world = facts(agreements=(agreement(legal_basis=LegalBasis.PUBLIC_TASK),))
    decision = decide(request(fields={PERSONS: frozenset({"nik"})}), world)
    assert decision.allowed
    assert decision.consent is None
    assert "consent.not-needed" in decision.rule_ids


def test_a_bulk_collection_rests_on_an_agreement_without_a_subject():
    collect = agreement(
        legal_basis=LegalBasis.PUBLIC_TASK,
        verbs=(Verb.COLLECT,),
        modes=(Mode.READ,),
        purposes=("registry-sync",),
    )
    wanted = request(
        verb=Verb.COLLECT,
        mode=Mode.READ,
        purpose="registry-sync",
        subject=None,
        fields={PERSONS: frozenset({"nik", "name"})},
    )
    assert decide(wanted, facts(agreements=(collect,), consent=None)).allowed


def test_an_emergency_is_allowed_without_consent_and_waits_for_review():
    emergency = EmergencyClaim("officer-7", "unconscious")
    world = facts(
        agreements=(
            agreement(REGISTRY, emergency_access=True, quota_per_day=1, quota_left=0, case_required=True),
        ),
        consent=consent(ConsentState.WITHDRAWN),
    )
    wanted = request(fields={PERSONS: frozenset({"name"})}, emergency=emergency)
    decision = decide(wanted, world)
    assert decision.allowed
    assert decision.is_emergency
    assert decision.review_due == NOW + timedelta(hours=72)
    assert decision.legal_basis is LegalBasis.VITAL_INTEREST
    assert decision.consent is None
    assert not decision.quotas
    assert not decide(replace(wanted, emergency=None), world).allowed


def test_an_exhausted_agreement_gives_way_to_another_that_covers_the_same():
    full = agreement(agreement_id="pks-a", quota_per_day=5, quota_left=0)
    free = agreement(agreement_id="pks-b", quota_per_day=5, quota_left=3)
    decision = decide(request(fields={PERSONS: frozenset({"nik"})}), facts(agreements=(full, free)))
    assert [reference.id for reference in decision.agreements] == ["pks-b"]
    assert decision.quotas == {"pks-b": 5}


def test_a_quota_whose_use_is_unknown_counts_as_used_up():
    unknown = agreement(quota_per_day=5, quota_left=None)
    decision = decide(request(fields={PERSONS: frozenset({"nik"})}), facts(agreements=(unknown,)))
    assert decision.rule_ids == ("quota.exhausted",)


def test_a_denial_raises_with_rule_ids_and_both_languages():
    decision = decide(request(purpose="credit-scoring"), facts())
    with pytest.raises(ExchangeDenied) as caught:
        decision.require_allowed()
    assert caught.value.attributes["rules"] == ["agreement.purpose-not-covered"]
    explanation = caught.value.attributes["findings"][0]["explanation"]
    assert "credit-scoring" in explanation["id"]
    assert "credit-scoring" in explanation["en"]


def test_a_request_without_time_zone_is_not_a_request():
    with pytest.raises(ValueError, match="time zone"):
        request(at=NOW.replace(tzinfo=None))

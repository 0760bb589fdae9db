"""The registry of entry kinds: what each kind must say and may say.

A field, detail or batch figure that is not listed here is refused, so that nothing personal slips into
the log by way of a free text. To say more, add a name here, with its meaning; the page
`docs/reference/entry-kinds.md` is generated from this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

__all__ = ["BATCH_FIGURES", "COMMON_DETAILS", "FIELDS", "KINDS", "EntryKind", "KindRule"]


class EntryKind(StrEnum):
    """What an entry records."""

    SYNC_STARTED = "sync.started"
    SYNC_COMPLETED = "sync.completed"
    SYNC_HELD = "sync.held"
    SYNC_RELEASED = "sync.released"
    SYNC_REJECTED = "sync.rejected"
    SYNC_FAILED = "sync.failed"
    EXCHANGE_ANSWERED = "exchange.answered"
    EXCHANGE_REFUSED = "exchange.refused"
    EXCHANGE_READ = "exchange.read"
    EXCHANGE_REVIEWED = "exchange.reviewed"
    EXCHANGE_PUSHED = "exchange.pushed"
    NOTICE_DELIVERED = "notice.delivered"
    NOTICE_DEAD = "notice.dead"
    NOTICE_DROPPED = "notice.dropped"
    NOTICE_READ = "notice.read"
    NOTICE_RETRIED = "notice.retried"
    NOTICE_DISCARDED = "notice.discarded"
    WEBHOOK_CHANGED = "webhook.changed"
    LOOKUP_REQUESTED = "lookup.requested"
    LOOKUP_COMPLETED = "lookup.completed"
    CONSENT_GRANTED = "consent.granted"
    CONSENT_REFUSED = "consent.refused"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    CONSENT_EXPIRED = "consent.expired"
    AGREEMENT_SIGNED = "agreement.signed"
    AGREEMENT_ENDED = "agreement.ended"
    EMERGENCY_REVIEWED = "emergency.reviewed"
    REFERRAL_OPENED = "referral.opened"
    REFERRAL_VIEWED = "referral.viewed"
    REFERRAL_PAUSED = "referral.paused"
    REFERRAL_RESUMED = "referral.resumed"
    REFERRAL_DECIDED = "referral.decided"
    QUARANTINE_VIEWED = "quarantine.viewed"
    QUARANTINE_REPLAYED = "quarantine.replayed"
    QUARANTINE_REPAIRED = "quarantine.repaired"
    QUARANTINE_RETURNED = "quarantine.returned"
    CONFLICT_VIEWED = "conflict.viewed"
    IDENTITY_LINKED = "identity.linked"
    IDENTITY_UNLINKED = "identity.unlinked"
    AUDIT_VIEWED = "audit.viewed"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_PRUNED = "audit.pruned"
    AUDIT_RECONCILED = "audit.reconciled"
    AUDIT_DOSSIER = "audit.dossier"
    AUDIT_BREACH = "audit.breach"
    AUDIT_KEY_GIVEN = "audit.key-given"
    ERASURE_REQUESTED = "erasure.requested"
    ERASURE_APPROVED = "erasure.approved"
    ERASURE_REJECTED = "erasure.rejected"
    ERASURE_STARTED = "erasure.started"
    SUBJECT_ERASED = "subject.erased"
    SUPPRESSION_LIFT_REQUESTED = "suppression.lift-requested"
    SUPPRESSION_LIFT_REJECTED = "suppression.lift-rejected"
    SUPPRESSION_LIFTED = "suppression.lifted"
    HOLD_PLACED = "hold.placed"
    HOLD_RELEASED = "hold.released"
    FORK_LIFTED = "fork.lifted"
    STREAM_CHANGED = "stream.changed"
    ATTENTION_FLAGGED = "attention.flagged"
    ATTENTION_JUDGED = "attention.judged"
    ATTENTION_SET_ASIDE = "attention.set-aside"
    ATTENTION_RELATED = "attention.related"
    LOGIN_ACCEPTED = "login.accepted"
    LOGIN_REFUSED = "login.refused"
    KEY_ADDED = "key.added"
    KEY_ROLLED = "key.rolled"
    KEY_REWRAPPED = "key.rewrapped"
    KEY_RETIRED = "key.retired"
    ROLE_CHANGED = "role.changed"
    PARTICIPANT_CHANGED = "participant.changed"
    CONTRACT_PUBLISHED = "contract.published"


FIELDS: Mapping[str, str] = {
    "v": "version of the entry format (1)",
    "id": "identifier of the entry (UUID)",
    "nonce": "128 random bits, so that no entry can be guessed",
    "kind": "what the entry records",
    "time": "when it happened (UTC)",
    "provider": "agency whose data it is",
    "consumer": "agency that receives, asks or acts",
    "system": "system that acted for the consumer",
    "actor": "pseudonym of the officer, or name of the process",
    "purpose": "purpose of the exchange",
    "legal_basis": "legal basis (UU 27/2022 Art. 20(2))",
    "agreements": "agreement revisions relied on: id, revision, hash",
    "consent": "consent revision relied on: id, revision, hash",
    "datasets": "datasets concerned",
    "fields": "names of the fields released or asked, as dataset:field; never values",
    "decision": "id of the decision",
    "rules": "ids of the rules the decision rests on",
    "outcome": "how it ended, in one word",
    "batch": "figures of a batch, and the root over its changed rows",
    "run": "run of the DAG or command",
    "trace": "trace id",
    "details": "what this kind says besides",
    "subjects": "one tag per subject, under the subject's tag key",
    "sealed": "digest of the sealed content, and keyed commitments to its parts",
}

BATCH_FIGURES: Mapping[str, str] = {
    "batch_id": "id of the batch",
    "attempt": "attempt number, which fences older workers",
    "contract": "dataset whose contract was followed",
    "contract_version": "version of the contract",
    "contract_hash": "SHA-256 of the contract's canonical bytes",
    "pages": "pages landed",
    "slices": "slices planned",
    "read": "rows read at the source",
    "accepted": "rows accepted",
    "quarantined": "rows quarantined",
    "suppressed": "rows left out because their person was erased",
    "reasons": "quarantined rows by rule",
    "published": "rows inserted, updated or closed",
    "inserted": "rows that are new",
    "updated": "rows that replaced an older version",
    "closed": "rows closed because the source no longer has them",
    "unchanged": "rows that did not change",
    "root": "Merkle root over the salted leaves of the changed rows",
    "leaves": "number of leaves under the root",
    "unchanged_digest": "keyed digest of the set of unchanged keys",
    "checksum": "keyed checksum over the page ledger",
    "window_since": "start of the window asked",
    "window_until": "end of the window asked",
    "conflicts": "contradictions with other agencies' records that it brought",
    "conflicts_closed": "contradictions that it ended",
    "duplicates": "pairs of records that may be of one person, seen for the first time",
    "milliseconds": "time taken",
}

COMMON_DETAILS: Mapping[str, str] = {
    "reason": "why, as a code or a short sentence without values",
    "error": "code of the error",
    "count": "how many times, where several are told in one entry",
    "batch_id": "id of the batch concerned",
    "operation": "operation of the API or command",
}

_WHO = frozenset({"provider", "consumer", "system", "actor"})
_RIGHT = frozenset({"purpose", "legal_basis", "agreements", "consent", "decision", "rules"})
_WHAT = frozenset({"datasets", "fields"})
_ALWAYS = frozenset({"outcome", "run", "trace", "details"})
_PERSON = frozenset({"subjects", "sealed"})


@dataclass(frozen=True)
class KindRule:
    """What one kind of entry must say (`required`) and may say (`allowed`, `details`)."""

    summary: str
    required: frozenset[str]
    allowed: frozenset[str]
    details: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def all_details(self) -> Mapping[str, str]:
        """Details of this kind together with those every kind may carry."""
        return {**COMMON_DETAILS, **self.details}


def _rule(summary: str, required: str, allowed: frozenset[str], **details: str) -> KindRule:
    must = frozenset(required.split())
    return KindRule(summary, must, _ALWAYS | _WHO | allowed | must, details)


_SYNC = _RIGHT | _WHAT | {"batch"}
_EXCHANGE = _RIGHT | _WHAT | _PERSON
_CONSENT_DETAILS = {
    "channel": "where the consent was given",
    "language": "language of the text shown",
    "text_version": "version of the text shown",
    "given_by": "subject, guardian or assisting-officer",
    "previous": "hash of the revision before",
    "valid_until": "end of validity",
}
_KEY_DETAILS = {
    "kid": "RFC 7638 thumbprint of the key",
    "owner_kind": "agency, system, officer, log or bus",
    "owner": "owner of the key",
    "use": "what the key is for",
    "algorithm": "algorithm of the key",
    "fingerprint": "fingerprint as printed in the paper agreement",
    "replaces": "key id of the key before",
}
_VIEW_DETAILS = {
    "view": "which view was opened",
    "filter": "names of the filters set; never their values where they name a person",
    "entries": "number of entries shown",
    "entry": "id of the entry shown",
    "checkpoint_size": "size of the tree that was exported",
    "manifest": "SHA-256 of the manifest, which holds a random number of its own",
}
_EXCHANGE_DETAILS = {
    "service": "service of the catalogue",
    "service_version": "version of the service",
    "answer": "id of the stored answer",
    "verdict": "verdict of the answer",
    "outcomes": "outcome by criterion",
    "as_of": "moment of the evidence by dataset",
    "contracts": "contract version by dataset",
    "referral": "id of the referral",
    "client": "client that asked",
    "key": "key id that signed the request",
    "replay": "whether a stored answer was given again",
    "problem": "problem type of the refusal",
    "quota": "units of quota taken",
    "since": "start of the window that is told in one entry",
    "until": "end of the window that is told in one entry",
    "relations": "how it was established that the applicant stands for the others concerned, by relation",
    "related_decision": "id of the decision about the related person",
    "related_consent": "hash of the consent revision relied on for the related person",
    "lookups": "number of live questions that the answer rests on",
    "case": "whether the question named a case",
}
_NOTICE_DETAILS = {
    "notice": "id of the notice, which is the id of the event",
    "number": "number of the notice among those of its system",
    "answer": "id of the answer that was reviewed",
    "review": "id of the answer that the review gave",
    "service": "service of the catalogue",
    "attempts": "attempts made so far",
    "problem": "code of the error that ended it",
    "notices": "number of notices shown",
    "since": "number of the notice after which was read",
}
_REFERRAL_DETAILS = {
    "referral": "id of the referral",
    "service": "service of the catalogue",
    "answer": "id of the stored answer",
    "owner": "office or role that must decide",
    "deadline": "moment by which it must be decided",
    "criteria": "criteria that led to the referral",
    "verdict": "what was decided",
    "key": "key id that signed the decision",
    "decision_hash": "keyed digest of the signed decision",
}
_LOOKUP_DETAILS = {
    "service": "service of the catalogue",
    "milliseconds": "time taken",
    "attempts": "attempts made",
    "status": "how the source answered",
    "lookup": "id that ties the completion to its request; a request without one was cut off",
    "budget_milliseconds": "longest that was waited for the source",
    "related_decision": "id of the decision about the related person",
}
_ERASURE_DETAILS = {
    "request": "id of the request",
    "ground": "why the person must be erased",
    "instrument": "legal instrument of the ground",
}
_HOLD_DETAILS = {
    "hold": "id of the hold",
    "ground": "why nothing may be erased meanwhile",
    "instrument": "legal instrument of the ground",
}
_ATTENTION_DETAILS = {
    "flag": "id of what was flagged",
    "rule": "rule that flagged it",
}
_QUARANTINE_DETAILS = {
    "rows": "rows concerned",
    "accepted": "rows accepted",
    "quarantined": "rows quarantined again",
    "rules": "rules concerned",
    "contract_version": "version of the contract",
    "quarantine": "id of the quarantined row or page",
    "repair": "rule by which cells were written anew, and the columns",
    "file_digest": "SHA-256 of the file that was handed over, keyed",
}
_SYNC_DETAILS = {
    "expectations": "expectations that failed",
    "rules": "rules that failed",
    "dimension": "data quality dimensions concerned",
    "step": "step at which it stopped",
    "attempt": "attempt number",
    "mode": "copy or lookup_only",
    "snapshot": "complete or incremental",
    "window_since": "start of the window asked",
    "window_until": "end of the window asked",
    "slices": "slices planned",
    "assessment": "pass, warn or hold",
    "share": "share of the open records concerned, in percent",
}

KINDS: Mapping[EntryKind, KindRule] = {
    EntryKind.SYNC_STARTED: _rule(
        "a sync may begin; written before the first byte is requested",
        "provider consumer datasets",
        _SYNC,
        **_SYNC_DETAILS,
    ),
    EntryKind.SYNC_COMPLETED: _rule(
        "a batch was published", "provider datasets batch", _SYNC, **_SYNC_DETAILS
    ),
    EntryKind.SYNC_HELD: _rule(
        "a batch was held back by an assessment", "provider datasets", _SYNC, **_SYNC_DETAILS
    ),
    EntryKind.SYNC_RELEASED: _rule(
        "a steward released a held batch", "provider datasets actor", _SYNC, **_SYNC_DETAILS
    ),
    EntryKind.SYNC_REJECTED: _rule("a batch was rejected", "provider datasets", _SYNC, **_SYNC_DETAILS),
    EntryKind.SYNC_FAILED: _rule(
        "a sync ended with an error, or was refused", "provider datasets", _SYNC, **_SYNC_DETAILS
    ),
    EntryKind.EXCHANGE_ANSWERED: _rule(
        "a question was answered", "consumer purpose decision outcome", _EXCHANGE, **_EXCHANGE_DETAILS
    ),
    EntryKind.EXCHANGE_REFUSED: _rule(
        "a question was refused; the answer never left", "outcome", _EXCHANGE, **_EXCHANGE_DETAILS
    ),
    EntryKind.EXCHANGE_READ: _rule(
        "a stored answer was read again", "consumer outcome", _EXCHANGE, **_EXCHANGE_DETAILS
    ),
    EntryKind.EXCHANGE_REVIEWED: _rule(
        "an answer was verified again, because what it relied on changed",
        "consumer system purpose decision outcome",
        _EXCHANGE,
        **_EXCHANGE_DETAILS,
        review="id of the answer that the review gave, where an outcome changed",
        criteria="number of criteria whose outcome changed",
    ),
    EntryKind.EXCHANGE_PUSHED: _rule(
        "a notice is about to be sent to a portal; written before the first attempt",
        "consumer system purpose decision",
        _EXCHANGE,
        **_NOTICE_DETAILS,
    ),
    EntryKind.NOTICE_DELIVERED: _rule(
        "a portal took a notice", "consumer system", _PERSON | {"purpose"}, **_NOTICE_DETAILS
    ),
    EntryKind.NOTICE_DEAD: _rule(
        "a notice could not be delivered and waits for the operator",
        "consumer system",
        _PERSON | {"purpose"},
        **_NOTICE_DETAILS,
    ),
    EntryKind.NOTICE_DROPPED: _rule(
        "a notice was not sent, because nothing allows it any more",
        "consumer system",
        _PERSON | _RIGHT,
        **_NOTICE_DETAILS,
    ),
    EntryKind.NOTICE_READ: _rule(
        "a portal read its notices by itself", "consumer system", frozenset(), **_NOTICE_DETAILS
    ),
    EntryKind.NOTICE_RETRIED: _rule(
        "the operator let a notice be sent again", "actor", _PERSON | {"purpose"}, **_NOTICE_DETAILS
    ),
    EntryKind.NOTICE_DISCARDED: _rule(
        "the operator gave a notice up", "actor", _PERSON | {"purpose"}, **_NOTICE_DETAILS
    ),
    EntryKind.WEBHOOK_CHANGED: _rule(
        "where a portal is told of changes was registered, approved, paused or removed",
        "system outcome",
        frozenset(),
        host="host and port of the address",
    ),
    EntryKind.LOOKUP_REQUESTED: _rule(
        "a live question to a source is about to be sent",
        "provider consumer datasets",
        _EXCHANGE,
        **_LOOKUP_DETAILS,
    ),
    EntryKind.LOOKUP_COMPLETED: _rule(
        "a source answered a live question, or failed to",
        "provider consumer datasets outcome",
        _EXCHANGE,
        **_LOOKUP_DETAILS,
    ),
    EntryKind.CONSENT_GRANTED: _rule(
        "a subject consented", "consent subjects", _RIGHT | _PERSON, **_CONSENT_DETAILS
    ),
    EntryKind.CONSENT_REFUSED: _rule(
        "a subject refused consent", "consent subjects", _RIGHT | _PERSON, **_CONSENT_DETAILS
    ),
    EntryKind.CONSENT_WITHDRAWN: _rule(
        "a subject withdrew consent", "consent subjects", _RIGHT | _PERSON, **_CONSENT_DETAILS
    ),
    EntryKind.CONSENT_EXPIRED: _rule("a consent ran out", "consent", _RIGHT | _PERSON, **_CONSENT_DETAILS),
    EntryKind.AGREEMENT_SIGNED: _rule(
        "both sides signed a revision of an agreement",
        "provider consumer agreements",
        _RIGHT | _WHAT,
        keys="key ids of both signatures",
        verbs="collect, disclose",
        modes="verify, read",
        valid_until="end of validity",
        purposes="purposes agreed",
        legal_instrument="legal instrument",
    ),
    EntryKind.AGREEMENT_ENDED: _rule(
        "an agreement ended",
        "provider consumer agreements",
        _RIGHT | _WHAT,
        keys="key ids of the signatures",
    ),
    EntryKind.EMERGENCY_REVIEWED: _rule(
        "an officer judged an emergency access afterwards",
        "consumer actor decision outcome",
        _RIGHT,
        late="whether the review came after its deadline",
    ),
    EntryKind.REFERRAL_OPENED: _rule(
        "a case was referred to a human", "consumer outcome", _EXCHANGE, **_REFERRAL_DETAILS
    ),
    EntryKind.REFERRAL_VIEWED: _rule(
        "referrals were shown to the office that owns them",
        "outcome",
        _EXCHANGE,
        **_REFERRAL_DETAILS,
        referrals="number of referrals shown",
    ),
    EntryKind.REFERRAL_PAUSED: _rule(
        "an officer stopped the clock of a referral", "actor outcome", _EXCHANGE, **_REFERRAL_DETAILS
    ),
    EntryKind.REFERRAL_RESUMED: _rule(
        "an officer let the clock of a referral run again", "actor outcome", _EXCHANGE, **_REFERRAL_DETAILS
    ),
    EntryKind.REFERRAL_DECIDED: _rule(
        "an officer decided a referral", "actor outcome", _EXCHANGE, **_REFERRAL_DETAILS
    ),
    EntryKind.QUARANTINE_VIEWED: _rule(
        "quarantined rows were shown to a steward",
        "actor datasets",
        _WHAT | _PERSON | {"purpose"},
        **_QUARANTINE_DETAILS,
    ),
    EntryKind.QUARANTINE_REPLAYED: _rule(
        "quarantined rows went through the pipeline again",
        "actor datasets",
        _WHAT | {"batch", "purpose"},
        **_QUARANTINE_DETAILS,
    ),
    EntryKind.QUARANTINE_REPAIRED: _rule(
        "quarantined rows were repaired by rule and went through the pipeline again",
        "actor datasets",
        _WHAT | {"batch", "purpose"},
        **_QUARANTINE_DETAILS,
    ),
    EntryKind.QUARANTINE_RETURNED: _rule(
        "quarantined rows were handed back to their producer as a file",
        "actor datasets",
        _WHAT | {"purpose"},
        **_QUARANTINE_DETAILS,
    ),
    EntryKind.CONFLICT_VIEWED: _rule(
        "somebody looked at contradictions between agencies",
        "actor",
        _WHAT | {"purpose"},
        conflict="id of the contradiction",
        values="whether the contradicting values were shown",
        conflicts="number of contradictions shown",
    ),
    EntryKind.IDENTITY_LINKED: _rule(
        "a record was linked to a subject",
        "outcome",
        _WHAT | _PERSON | {"purpose"},
        link="id of the link",
        score="score, in thousandths",
        method="identifier or confirmed",
    ),
    EntryKind.IDENTITY_UNLINKED: _rule(
        "a record was cut loose from a subject",
        "actor outcome",
        _WHAT | _PERSON | {"purpose"},
        link="id of the link",
    ),
    EntryKind.AUDIT_VIEWED: _rule("somebody read the log", "actor", _PERSON | {"purpose"}, **_VIEW_DETAILS),
    EntryKind.AUDIT_EXPORTED: _rule(
        "a part of the log was exported", "actor", frozenset({"purpose"}), **_VIEW_DETAILS
    ),
    EntryKind.AUDIT_PRUNED: _rule(
        "entries below a minimum index were removed by the rules of retention; hashes and proofs stay",
        "actor outcome",
        frozenset({"purpose"}),
        minimum_index="first entry that is still there (C2SP tlog-tiles)",
        before="moment before which all of them happened",
        entries="number of entries removed",
        pruning="id of the proposal",
        proposed_by="pseudonym of the steward who proposed it",
    ),
    EntryKind.AUDIT_RECONCILED: _rule(
        "the log was compared with receipts, access logs and statistics kept elsewhere",
        "actor outcome",
        frozenset({"datasets"}),
        since="start of the window compared",
        until="end of the window compared",
        proofs="receipts compared",
        promises="promises compared",
        answers="signed answers compared",
        accesses="lines of access logs compared",
        discrepancies="number of discrepancies by kind",
    ),
    EntryKind.AUDIT_DOSSIER: _rule(
        "a dossier was written: entries with their proofs and what they rested on",
        "actor",
        _PERSON | {"purpose"},
        question="subject, exchange, case or period",
        asker="citizen or auditor",
        entry="id of the entry asked about",
        since="start of the period asked about",
        until="end of the period asked about",
        entries="number of entries in it",
        language="language it is written in",
        manifest="SHA-256 of its signed manifest, which holds a random number of its own",
        checkpoint_size="size of the tree that it proves",
    ),
    EntryKind.AUDIT_BREACH: _rule(
        "it was asked whom a breach concerns, and a notice was drafted",
        "actor",
        frozenset({"purpose", "datasets", "fields"}),
        since="start of the window asked about",
        until="end of the window asked about",
        filter="names of the filters set",
        discovered_at="when the breach was discovered",
        due_at="when the notice is due (UU 27/2022 Art. 46: 3 x 24 hours)",
        exchanges="number of exchanges found",
        affected="number of subjects found",
    ),
    EntryKind.AUDIT_KEY_GIVEN: _rule(
        "a person was given the key to find everything about themselves in exported entries",
        "actor subjects",
        _PERSON | {"purpose"},
        records="number of record versions whose salts went along",
    ),
    EntryKind.ERASURE_REQUESTED: _rule(
        "an officer asked that a person be erased", "actor", _PERSON, **_ERASURE_DETAILS
    ),
    EntryKind.ERASURE_APPROVED: _rule(
        "a second officer approved an erasure", "actor", _PERSON, **_ERASURE_DETAILS
    ),
    EntryKind.ERASURE_REJECTED: _rule(
        "an erasure was rejected, or withdrawn", "actor", _PERSON, **_ERASURE_DETAILS
    ),
    EntryKind.ERASURE_STARTED: _rule(
        "an erasure is being carried out: nothing about the person is answered or taken in any more",
        "actor",
        frozenset(),
        **_ERASURE_DETAILS,
    ),
    EntryKind.SUBJECT_ERASED: _rule(
        "a person was erased: handle and keys are destroyed; whom it was, nothing tells any more",
        "actor",
        frozenset(),
        **_ERASURE_DETAILS,
        records="record versions removed",
    ),
    EntryKind.SUPPRESSION_LIFT_REQUESTED: _rule(
        "an officer asked that somebody who was erased may be taken in again; whom, no entry tells",
        "actor",
        frozenset(),
        **_ERASURE_DETAILS,
    ),
    EntryKind.SUPPRESSION_LIFT_REJECTED: _rule(
        "it was rejected, or withdrawn, that somebody who was erased may be taken in again",
        "actor",
        frozenset(),
        **_ERASURE_DETAILS,
    ),
    EntryKind.SUPPRESSION_LIFTED: _rule(
        "a second officer agreed: somebody who was erased may be taken in again, as a stranger",
        "actor",
        frozenset(),
        **_ERASURE_DETAILS,
    ),
    EntryKind.HOLD_PLACED: _rule(
        "a legal hold was placed on a person's data", "actor", _PERSON, **_HOLD_DETAILS
    ),
    EntryKind.HOLD_RELEASED: _rule("a legal hold was released", "actor", _PERSON, **_HOLD_DETAILS),
    EntryKind.KEY_RETIRED: _rule(
        "an older version of the key-encryption key is destroyed",
        "actor",
        frozenset(),
        **_KEY_DETAILS,
        version="version of the key-encryption key",
    ),
    EntryKind.KEY_REWRAPPED: _rule(
        "every subject's keys were wrapped anew under the key-encryption key in force",
        "actor",
        frozenset(),
        **_KEY_DETAILS,
        version="version of the key-encryption key",
        rewrapped="subjects whose keys were wrapped anew",
    ),
    EntryKind.FORK_LIFTED: _rule(
        "an officer took a witness's report of a fork off, so that the log is signed again",
        "actor",
        frozenset(),
        witness="name of the witness in the policy",
        found_at="when the fork was found",
    ),
    EntryKind.STREAM_CHANGED: _rule(
        "where the log is sent was added, tried out or removed",
        "actor outcome",
        frozenset(),
        stream="name of the destination",
        format="ocsf, cef or fhir",
        host="host and port of the receiver",
        filter="which entries it gets",
        first="number of the first entry it gets",
        problem="code of the error, where a try failed",
    ),
    EntryKind.ATTENTION_FLAGGED: _rule(
        "a rule that watches access flagged what wants a person's attention",
        "outcome",
        frozenset({"purpose"}),
        **_ATTENTION_DETAILS,
        entries="number of entries concerned",
        first="number of the first entry concerned",
        last="number of the last entry concerned",
        score="what the rule measured, in thousandths",
        threshold="from which on the rule flags, in thousandths",
        officer="pseudonym of the officer concerned",
    ),
    EntryKind.ATTENTION_JUDGED: _rule(
        "an auditor judged what was flagged, and the rule learned from it",
        "actor outcome",
        frozenset({"purpose"}),
        **_ATTENTION_DETAILS,
        officer="pseudonym of the officer concerned",
        threshold="from which on the rule flags this again, in thousandths; missing when nothing was learned",
        until="until when that holds",
    ),
    EntryKind.ATTENTION_SET_ASIDE: _rule(
        "entries that could not be read were set aside by the watch over access, which went on",
        "actor",
        frozenset(),
        entries="number of entries set aside",
        first="number of the first of them",
        last="number of the last of them",
    ),
    EntryKind.ATTENTION_RELATED: _rule(
        "it was noted, or taken back, whose record an officer should not look up: their own or a relative's",
        "actor outcome",
        frozenset(),
        officer="pseudonym of the officer concerned",
        relation="self or family",
    ),
    EntryKind.LOGIN_ACCEPTED: _rule(
        "a system proved who it is, and was given an access token",
        "consumer system outcome",
        frozenset(),
        kid="key id that signed the assertion",
        scopes="what the token covers",
        valid_until="until when the token is taken",
    ),
    EntryKind.LOGIN_REFUSED: _rule(
        "tokens were refused to callers who did not prove who they are; told in sums",
        "outcome",
        frozenset(),
        problem="error of RFC 6749 section 5.2",
        since="start of the window that is told in one entry",
        until="end of the window that is told in one entry",
    ),
    EntryKind.KEY_ADDED: _rule("a public key was registered", "", frozenset(), **_KEY_DETAILS),
    EntryKind.KEY_ROLLED: _rule("a key was replaced by a newer one", "", frozenset(), **_KEY_DETAILS),
    EntryKind.ROLE_CHANGED: _rule(
        "an officer was given a role or lost it",
        "actor",
        frozenset(),
        officer="pseudonym of the officer",
        role="role",
        change="granted or revoked",
    ),
    EntryKind.PARTICIPANT_CHANGED: _rule(
        "an agency, system or officer was registered, suspended or reinstated",
        "actor outcome",
        frozenset(),
        participant="agency, system or officer",
        participant_id="its id; an officer's pseudonym",
    ),
    EntryKind.CONTRACT_PUBLISHED: _rule(
        "a version of a data contract came into force",
        "provider datasets",
        _WHAT | {"agreements"},
        contract_version="version of the contract",
        contract_hash="SHA-256 of its canonical bytes",
        replaces="version before",
    ),
}

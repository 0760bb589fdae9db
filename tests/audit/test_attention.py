"""Watching access: each rule finds what was planted among ordinary accesses, and learns from verdicts."""

import datetime as dt
import uuid

import psycopg
import pytest

from audit import EntryDraft, EntryKind, SubjectHandle, SubjectKeys, append_many
from audit.attention import RULES, Verdict, Watch, judge
from audit.attention import related as relations
from audit.attention.errors import FlagUnknown, RelationInvalid, VerdictRefused
from audit.attention.queue import LEARNED_FOR, flag, flags, rule_figures
from audit.errors import EntryRefused
from audit.publishing.sequencer import Sequencer
from audit.subject_view import Reader
from benchmarks.attention import flagged, late_figures, teach, watch_until
from benchmarks.practice_accesses import Imagination, figures, write
from foundation import clock
from foundation.database import Role
from lintas.status import gather
from verification.working_days import is_working_day

READER = Reader(actor="auditor-01", reason="test")
LEAST = {  # recall and precision in the second half, after the verdicts of the first
    "no-case": (1.0, 0.7),
    "bulk-officer": (0.9, 0.8),
    "bulk-system": (1.0, 1.0),
    "odd-hours": (0.7, 0.7),
    "rate": (0.9, 0.8),
    "celebrity": (1.0, 0.6),
    "related": (1.0, 1.0),
    "colleague": (1.0, 0.6),
    "duplicate-id": (1.0, 1.0),
    "clock-skew": (0.7, 1.0),
}


def keys():
    return SubjectKeys(SubjectHandle(uuid.uuid4()), uuid.uuid4().bytes * 2, uuid.uuid4().bytes * 2)


class Office:
    """A log in which officers look people up, and the watch over it."""

    def __init__(self, installation):
        self.installation = installation

    def look_up(self, *subjects, officer="petugas-01", case=False, purpose="aid", **changes):
        drafts = [
            EntryDraft(
                kind=EntryKind.EXCHANGE_ANSWERED,
                consumer="dinsos-contoh",
                system="portal-contoh",
                actor=officer,
                purpose=purpose,
                decision_id=changes.get("decision", uuid.uuid4()),
                outcome="verified",
                details={"answer": uuid.uuid4(), "case": case},
                subject=subject,
                occurred_at=clock.now(),
            )
            for subject in subjects or (keys(),)
        ]
        with self.installation.database.connect(Role.STEWARD) as connection:
            append_many(connection, drafts)
        with Sequencer(self.installation) as sequencer:
            sequencer.settle()

    def watch(self, *names):
        rules = {name: RULES[name] for name in names or RULES}
        watch = Watch(self.installation, is_working_day, batch=3, rules=rules)
        with self.installation.database.connect(Role.MONITOR, autocommit=True) as connection:
            while not watch.turn(connection).is_nothing:
                pass

    def flags(self, state="open"):
        with self.installation.database.connect(Role.AUDITOR) as connection:
            return flags(connection, READER, state=state)

    def judge(self, verdict, by="auditor-01", reason="looked into"):
        (waiting,) = self.flags()
        with self.installation.database.connect(Role.AUDITOR) as connection:
            return judge(connection, waiting.flag_id, verdict, by=by, reason=reason)

    def entries(self, kind):
        from audit.entry import parse

        with Sequencer(self.installation) as sequencer:
            sequencer.settle()
        query = "SELECT entry FROM audit.entries WHERE kind = %s ORDER BY entry_index"
        with self.installation.database.connect(Role.AUDITOR) as connection:
            return [parse(bytes(row[0])) for row in connection.execute(query, [kind])]


@pytest.fixture
def office(installation):
    return Office(installation)


def test_each_rule_finds_what_was_planted_and_is_more_precise_after_verdicts(installation):
    world = Imagination(7, officers=8, weeks=4, is_working_day=is_working_day).draw()
    half = len(world.accesses) // 2
    write(installation, world)
    watch_until(installation, half)
    waiting = [(rule, entries) for _, rule, entries in flagged(installation)]
    untaught = {each.rule: each for each in figures(list(RULES), world.cases, waiting)}
    judged = teach(installation, world)
    with installation.database.connect(Role.AUDITOR) as connection:
        told = {each.rule: each for each in rule_figures(connection)}
    assert judged == sum(each.misuse + each.justified for each in told.values())
    assert told["no-case"].precision == pytest.approx(untaught["no-case"].precision)
    watch_until(installation, None)
    taught = {each.rule: each for each in late_figures(installation, world, half)}
    for each in taught.values():
        recall, precision = LEAST[each.rule]
        assert each.planted > 0, each
        assert each.recall >= recall, each
        assert each.precision >= precision, each
    assert taught["no-case"].precision > untaught["no-case"].precision


def test_a_justified_verdict_raises_the_threshold_for_this_officer_and_purpose_only(office):
    with clock.shifted(dt.timedelta()):
        office.look_up(keys(), keys())
        office.watch("no-case")
        (first,) = office.flags()
        assert (first.rule, first.officer, first.score, first.entries) == ("no-case", "petugas-01", 2, 2)
        judged = office.judge(Verdict.JUSTIFIED)
        assert judged.threshold == 3
        assert "no-case flags officer:petugas-01 of dinsos-contoh for aid from 3" in judged.learned
    with clock.shifted(dt.timedelta(days=1)):
        office.look_up(keys(), keys())
        office.look_up(keys(), officer="petugas-02")
        office.look_up(keys(), purpose="tax")
        office.watch("no-case")
        assert {(each.officer, each.purpose) for each in office.flags()} == {
            ("petugas-02", "aid"),
            ("petugas-01", "tax"),
        }
        (kept,) = office.flags("suppressed")
        assert (kept.officer, kept.score, kept.threshold) == ("petugas-01", 2, 3)
        office.look_up(keys())
        office.watch("no-case")
        assert office.flags("suppressed") == [], "it grew beyond what was justified"
        assert len(office.flags()) == 3
    outcomes = [each["outcome"] for each in office.entries("attention.flagged")]
    assert sorted(outcomes) == ["flagged", "flagged", "flagged", "flagged", "suppressed"]


def test_what_was_learned_runs_out(office):
    office.look_up()
    office.watch("no-case")
    office.judge(Verdict.JUSTIFIED)
    with clock.shifted(LEARNED_FOR + dt.timedelta(days=1)):
        office.look_up()
        office.watch("no-case")
        assert len(office.flags()) == 1


def test_misuse_makes_the_rule_keener_and_no_verdict_turns_it_off(office):
    rule = RULES["bulk-officer"]
    with clock.shifted(dt.timedelta()):
        office.look_up(*(keys() for _ in range(int(rule.threshold))), case=True)
        office.watch("bulk-officer")
        assert office.judge(Verdict.MISUSE).threshold == 20
    with clock.shifted(dt.timedelta(days=1)):
        office.look_up(*(keys() for _ in range(20)), case=True)
        office.look_up(*(keys() for _ in range(20)), case=True, officer="petugas-02")
        office.watch("bulk-officer")
        (again,) = office.flags()
        assert (again.officer, again.threshold) == ("petugas-01", 20)
    for each in RULES.values():
        assert each.raised(each.threshold, 10_000) == each.ceiling == each.threshold * 4
        assert each.lowered(each.floor) == each.floor
        assert each.raised(each.threshold, each.threshold) > each.threshold or not each.is_whole


def test_what_is_unclear_teaches_nothing_and_what_was_judged_is_not_asked_again(office):
    office.look_up()
    office.watch("no-case")
    assert office.judge(Verdict.UNCLEAR).threshold is None
    office.look_up(keys())
    office.watch("no-case")
    (fresh,) = office.flags()
    assert fresh.entries == 1


def test_ones_own_a_relatives_and_a_colleagues_record_are_flagged_without_naming_anybody(office, canary):
    own, relative, stranger = keys(), keys(), keys()
    with office.installation.database.connect(Role.AUDITOR) as connection:
        for relation, person in (("self", own), ("family", relative)):
            relations.note(connection, "dinsos-contoh", "petugas-01", relation, person, by="auditor-01")
        with pytest.raises(RelationInvalid):
            relations.note(connection, "dinsos-contoh", "petugas-01", "neighbour", own, by="auditor-01")
    office.look_up(stranger, relative, case=True)
    office.look_up(stranger, relative, own, case=True, officer="petugas-02")
    office.watch("related", "colleague")
    assert {(each.rule, each.officer, each.entries) for each in office.flags()} == {
        ("related", "petugas-01", 1),
        ("colleague", "petugas-02", 1),
    }
    noted = office.entries("attention.related")
    assert [each["details"] for each in noted] == [
        {"officer": "petugas-01", "relation": "self"},
        {"officer": "petugas-01", "relation": "family"},
    ]
    with office.installation.database.connect(Role.AUDITOR) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT index_key FROM audit.attention_related")
        connection.rollback()
        assert relations.forget(connection, "dinsos-contoh", "petugas-01", by="auditor-01") == 2


def test_when_a_person_leaves_the_index_of_subjects_the_facts_about_them_go_too(office):
    person = keys()
    office.look_up(person, keys())
    office.watch()
    with office.installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("DELETE FROM audit.subject_index WHERE index_key = %s", [person.index_key()])
        left = connection.execute("SELECT subject FROM audit.attention_subject").fetchall()
    assert person.index_key() not in [bytes(row[0]) for row in left]
    assert len(left) == 1


def test_a_clock_that_is_wrong_is_noticed(office):
    office.look_up(case=True)
    with clock.shifted(dt.timedelta(minutes=-10)):
        office.look_up(case=True)
    office.watch()
    (found,) = office.flags()
    assert found.rule == "clock-skew"
    assert 590 < found.score < 700


def test_a_clock_far_ahead_does_not_make_the_watch_forget(office):
    office.look_up(case=True)
    with clock.shifted(dt.timedelta(days=3650)):
        office.look_up(case=True)
    office.watch("clock-skew")
    with office.installation.database.connect(Role.MIGRATOR) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM audit.attention_access").fetchone()
    assert kept == 2


def test_two_answers_under_one_decision_are_noticed(office):
    decision = uuid.uuid4()
    office.look_up(keys(), case=True, decision=decision)
    office.watch()
    office.look_up(keys(), case=True, decision=decision)
    office.watch()
    (found,) = office.flags()
    assert (found.rule, found.entries) == ("duplicate-id", 2)


def test_nobody_judges_twice_about_themselves_without_a_reason_or_with_a_persons_number(office, canary):
    office.look_up()
    office.watch("no-case")
    with pytest.raises(VerdictRefused, match="about themselves"):
        office.judge(Verdict.JUSTIFIED, by="petugas-01")
    with pytest.raises(VerdictRefused, match="reason"):
        office.judge(Verdict.JUSTIFIED, reason=" ")
    with pytest.raises(EntryRefused):
        office.judge(Verdict.JUSTIFIED, reason=f"about {canary.nik}")
    (waiting,) = office.flags()
    office.judge(Verdict.MISUSE)
    with office.installation.database.connect(Role.AUDITOR) as connection:
        with pytest.raises(VerdictRefused, match="already"):
            judge(connection, waiting.flag_id, Verdict.UNCLEAR, by="auditor-02", reason="again")
        with pytest.raises(FlagUnknown):
            judge(connection, uuid.uuid4(), Verdict.UNCLEAR, by="auditor-02", reason="none")
        found, entries = flag(connection, waiting.flag_id, READER)
    assert (found.verdict, found.judged_by, list(entries)) == ("misuse", "auditor-01", [0])
    (judged,) = office.entries("attention.judged")
    assert (judged["outcome"], judged["details"]["rule"]) == ("misuse", "no-case")
    views = [each["details"]["view"] for each in office.entries("audit.viewed")]
    assert set(views) == {"attention", "attention flag"}


def test_taking_up_is_one_transaction_and_only_one_watch_works(office):
    office.look_up(keys(), keys())
    with office.installation.database.connect(Role.MONITOR, autocommit=True) as connection:
        watch = Watch(office.installation, is_working_day)
        with connection.transaction(force_rollback=True):
            assert watch.turn(connection).until == 2
            with office.installation.database.connect(Role.MONITOR, autocommit=True) as other:
                assert watch.turn(other).is_nothing
        assert watch.turn(connection).until == 2
        assert watch.turn(connection).since == 2
    assert [each.rule for each in office.flags()] == ["no-case"]


def test_the_monitor_cannot_judge_and_the_auditor_cannot_flag(office):
    wrong = {
        Role.MONITOR: (
            "UPDATE audit.attention_flag SET verdict = 'justified'",
            "DELETE FROM audit.attention_flag",
            "INSERT INTO audit.attention_lesson SELECT * FROM audit.attention_lesson",
            "SELECT * FROM audit.sealed",
        ),
        Role.AUDITOR: (
            "DELETE FROM audit.attention_flag",
            "UPDATE audit.attention_flag SET score = 0",
            "DELETE FROM audit.attention_lesson",
            "SELECT * FROM audit.attention_subject",
        ),
    }
    for role, statements in wrong.items():
        for statement in statements:
            with office.installation.database.connect(role) as connection:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
                connection.rollback()


DAMAGES = {
    "no JSON": b"not an entry",
    "no time": b'{"kind":"exchange.answered"}',
    "a moment that is none": b'{"kind":"exchange.answered","time":"yesterday"}',
    "a list for details": b'{"kind":"exchange.answered","time":"2026-01-01T00:00:00Z","details":[]}',
    "a character that no column takes": (
        b'{"kind":"exchange.answered","time":"2026-01-01T00:00:00Z","consumer":"a\\u0000b"}'
    ),
    "a number for a name": b'{"kind":"exchange.answered","time":"2026-01-01T00:00:00Z","consumer":7}',
    "a case that is no yes or no": (
        b'{"kind":"exchange.answered","time":"2026-01-01T00:00:00Z","details":{"case":"maybe"}}'
    ),
    "the end of time": b'{"kind":"exchange.answered","time":"9999-12-31T23:59:59Z"}',
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_set_aside_once_and_the_watch_goes_on(office, damage):
    office.look_up()
    office.look_up(officer="petugas-02")
    with office.installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute("UPDATE audit.entries SET entry = %s WHERE entry_index = 0", [damage])
    office.watch("no-case")
    assert [each.officer for each in office.flags()] == ["petugas-02"]
    (told,) = office.entries("attention.set-aside")
    assert (told["details"]["first"], told["details"]["last"], told["details"]["entries"]) == (0, 0, 1)
    office.watch("no-case")
    assert len(office.entries("attention.set-aside")) == 1
    (trouble,) = [each for each in gather(office.installation).troubles if "damaged" in each.what]
    assert (trouble.what.split()[0], trouble.next) == ("1", "lintas audit verify")


def test_an_entry_that_bears_the_id_of_another_is_set_aside(office):
    """Ids are unique within a partition of the log only, and somebody may have copied one."""
    office.look_up()
    office.watch("no-case")
    office.look_up(keys(), keys())
    with office.installation.database.connect(Role.MIGRATOR) as connection:
        connection.execute(
            "UPDATE audit.attention_access SET entry_id ="
            " (SELECT entry_id FROM audit.entries WHERE kind = 'exchange.answered' OFFSET 1 LIMIT 1)"
        )
    office.watch("no-case")
    (told,) = office.entries("attention.set-aside")
    assert told["details"]["entries"] == 1
    assert sum(each.entries for each in office.flags()) == 2

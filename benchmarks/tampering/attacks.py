"""What is tried, one attack after the other, each upon a fresh copy of the bus."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import uuid4

import orjson

from audit.erasure.erasing import carry_out
from audit.erasure.grounds import ErasureGround
from audit.erasure.requests import approve, request_erasure
from audit.subjects.vault import Vault
from audit.tree.merkle import leaf_hash
from benchmarks.tampering.dishonest import Change, DishonestOperator, changed, number_of
from benchmarks.tampering.scene import Scene, settle
from foundation import clock
from foundation.database import Role
from records.suppression import forget_person, suppression_tag
from records.sync import SyncContext, run_sync
from schemas.contracts import load_contracts
from schemas.identifiers import Nik
from verification.forgetting import forget_person as forget_answers

ANSWERED = "exchange.answered"
_PERSONS = "dukcapil-mojokerto/persons"
_ENTRY = "UPDATE audit.entries SET entry = %s WHERE entry_index = %s"
_AWAY = 1_000_000


@dataclass(frozen=True)
class Attack:
    """Something a dishonest operator may try.

    Attributes:
        name: What is tried.
        how: By which means.
        noticed_by: Names of the detectors that must notice; everybody else must not.
        do: Does it.
        prevented: Says what stopped it, where it cannot be done at all.
    """

    name: str
    how: str
    noticed_by: frozenset[str]
    do: Callable[[Scene], None]
    prevented: Callable[[Scene], str | None] | None = None


def _owner(scene: Scene) -> DishonestOperator:
    return DishonestOperator(scene.installation)


def _nothing(_: Scene) -> None:
    """The control: nobody may cry wolf."""


def _rewritten(change: Change) -> Callable[[Scene], None]:
    return lambda scene: _owner(scene).rewrite(change)


# Each change of the history once: what it makes of the list of entries.


def _edit(entries: list[bytes]) -> list[bytes]:
    place = number_of(entries, ANSWERED)
    other = "verified" if orjson.loads(entries[place])["outcome"] != "verified" else "refer"
    return [*entries[:place], changed(entries[place], outcome=other), *entries[place + 1 :]]


def _drop(entries: list[bytes]) -> list[bytes]:
    place = number_of(entries, ANSWERED)
    return [*entries[:place], *entries[place + 1 :]]


def _insert(entries: list[bytes]) -> list[bytes]:
    place = number_of(entries, ANSWERED)
    true = {name: value for name, value in orjson.loads(entries[place]).items() if name != "sealed"}
    invented = changed(orjson.dumps(true), id=str(uuid4()), nonce=uuid4().hex)
    return [*entries[:place], invented, *entries[place:]]


def _reorder(entries: list[bytes]) -> list[bytes]:
    one, other = number_of(entries, ANSWERED), number_of(entries, ANSWERED, 1)
    order = list(entries)
    order[one], order[other] = order[other], order[one]
    return order


def _truncate(entries: list[bytes]) -> list[bytes]:
    return entries[: number_of(entries, ANSWERED, -1)]


def _backdate(entries: list[bytes]) -> list[bytes]:
    place = number_of(entries, ANSWERED)
    earlier = orjson.loads(entries[place])["time"].replace("2026-", "2025-", 1)
    return [*entries[:place], changed(entries[place], time=earlier), *entries[place + 1 :]]


def _swap_consent(entries: list[bytes]) -> list[bytes]:
    place = number_of(entries, ANSWERED)
    consent = {**orjson.loads(entries[place])["consent"], "id": str(uuid4())}
    return [*entries[:place], changed(entries[place], consent=consent), *entries[place + 1 :]]


def _replay(entries: list[bytes]) -> list[bytes]:
    return [*entries, entries[number_of(entries, ANSWERED)]]


def _in_table(change: Change) -> Callable[[Scene], None]:
    """The same change by SQL in the table of entries only, as somebody without the log's key can."""

    def do(scene: Scene) -> None:
        owner = _owner(scene)
        before = owner.entries()
        after = change(before)
        moved = "UPDATE audit.entries SET entry_index = entry_index"
        if len(after) == len(before):
            for place, (old, new) in enumerate(zip(before, after, strict=True)):
                if old != new:
                    owner.execute(_ENTRY, new, place)
        elif len(after) < len(before):
            place = next((i for i, each in enumerate(after) if each != before[i]), len(after))
            gone = len(before) - len(after)
            owner.execute(
                "DELETE FROM audit.entries WHERE entry_index BETWEEN %s AND %s", place, place + gone - 1
            )
            owner.execute(f"{moved} + {_AWAY} WHERE entry_index >= %s", place)
            owner.execute(f"{moved} - {_AWAY} - %s WHERE entry_index >= {_AWAY}", gone)
        else:
            place = next((i for i, each in enumerate(before) if each != after[i]), len(before))
            owner.execute("ALTER TABLE audit.entries_from_0 DROP CONSTRAINT entries_from_0_entry_id_key")
            owner.execute(f"{moved} + {_AWAY} WHERE entry_index >= %s", place)
            owner.execute(f"{moved} - {_AWAY} + 1 WHERE entry_index >= {_AWAY}")
            owner.execute(
                "INSERT INTO audit.entries SELECT %s, (e->>'id')::uuid, e->>'kind',"
                " (e->>'time')::timestamptz, e->>'provider', e->>'consumer',"
                " e->>'purpose', e->>'outcome', %s::bytea"
                "  FROM (SELECT %s::jsonb AS e) AS given",
                place, after[place], after[place].decode(),
            )  # fmt: skip

    return do


def _flip(scene: Scene) -> None:
    _owner(scene).execute(
        "UPDATE audit.tiles SET hashes = set_byte(hashes, 64, get_byte(hashes, 64) # 1)"
        " WHERE level = 0 AND tile_index = 0"
    )


def _fork(scene: Scene) -> None:
    """Another history, under the real key, is shown to some; the database stays as it is."""
    owner = _owner(scene)
    leaves = [leaf_hash(each) for each in _edit(owner.entries())]
    scene.kept.shown.write_text(owner.signed_head(leaves)[1], encoding="utf-8")


def _roll_back(scene: Scene) -> None:
    scene.restore_backup()


def _roll_back_with_files(scene: Scene) -> None:
    scene.restore_backup()
    _owner(scene).publish(None)


def _suppress(scene: Scene) -> None:
    """An answer is given, and its entry taken out of the outbox before it is sequenced."""
    _owner(scene).execute(
        "DELETE FROM audit.outbox WHERE id = (SELECT max(id) FROM audit.outbox WHERE kind = %s)", ANSWERED
    )
    settle(scene.installation)
    _a_minute_passes()


def _suppress_with_the_portal(scene: Scene) -> None:
    _suppress(scene)
    shutil.rmtree(scene.kept.receipts)
    scene.kept.receipts.mkdir()


def _hide(scene: Scene) -> None:
    """An entry about a person is taken out of the index through which they are shown their exchanges."""
    owner = _owner(scene)
    entries = owner.entries()
    first = orjson.loads(entries[number_of(entries, ANSWERED)])
    owner.execute("DELETE FROM audit.subject_index WHERE entry_id = %s", first["id"])


def _read(scene: Scene) -> None:
    _owner(scene).execute("SELECT nik, name FROM records.person_v1")


def _fetch(scene: Scene) -> None:
    """The bus's credentials are used to fetch from an agency, past the bus."""
    file = next(scene.kept.access_logs.glob("*dukcapil*"))
    at = clock.now() - timedelta(hours=9)
    line = {"time": at.isoformat(), "dataset": _PERSONS, "operation": "list", "records": 300}
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def _erase_and_re_add(scene: Scene) -> None:
    """A person is erased by two officers; the source still has them, and the next sync reads it."""
    bus, none = scene.installation, timedelta(0)
    nik = Nik.parse(scene.kept.nik)
    with Vault(bus, Role.STEWARD) as vault:
        keys = vault.handle_for("nik", nik.value)
    with bus.database.connect(Role.STEWARD) as connection:
        request = request_erasure(
            connection, keys, ErasureGround.UNLAWFUL_PROCESSING, officer="walidata-02", retention=none
        )
        approve(connection, request.request_id, keys, officer="walidata-01", retention=none)
    carry_out(
        bus, request.request_id, officer="walidata-01", retention=none,
        tag_of=partial(suppression_tag, bus), forgetters=[forget_person, forget_answers],
    )  # fmt: skip
    with scene.agencies.registry.administrator() as source:
        source.execute(
            "UPDATE biodata_wni SET alamat = 'JL. BARU 9', last_sync = now() WHERE nik = %s", [nik.value]
        )
    contract = next(each for each in load_contracts(None) if each.id == _PERSONS)
    run_sync(SyncContext(bus), contract)
    settle(bus)


def _not_brought_back(scene: Scene) -> str | None:
    with scene.installation.database.admin(scene.installation.settings.database_name) as connection:
        row = connection.execute(
            "SELECT count(*) FROM records.person_v1 WHERE nik = %s", [scene.kept.nik]
        ).fetchone()
    return "the suppression tag kept the sync from bringing them back" if row and row[0] == 0 else None


def _a_minute_passes() -> None:
    """Set by `benchmarks.tamper` for the time of one attack: promises become due."""


HISTORY: Mapping[str, Change] = {
    "edit": _edit,
    "drop": _drop,
    "insert": _insert,
    "reorder": _reorder,
    "truncate the tail": _truncate,
    "backdate": _backdate,
    "swap consent": _swap_consent,
    "replay": _replay,
}
_HISTORY_KEPT = frozenset({"auditor", "policy", "portal", "witness"})
_ALL_READ = frozenset({"verify", "auditor", "portal", "person"})
_IN_TABLE = {
    "insert": _ALL_READ | {"sequencer"},
    "replay": frozenset({"verify", "sequencer", "portal"}),  # beyond the tree, so in no export
}
_REPLAYED = frozenset({"verify", "auditor", "policy", "person"})
_REBUILT = "all rebuilt, signed with the real key"

ATTACKS: Sequence[Attack] = (
    Attack("nothing", "the control", frozenset(), _nothing),
    *(
        Attack(name, "in the table", _IN_TABLE.get(name, _ALL_READ), _in_table(change))
        for name, change in HISTORY.items()
    ),
    *(
        Attack(name, _REBUILT, _REPLAYED if name == "replay" else _HISTORY_KEPT, _rewritten(change))
        for name, change in HISTORY.items()
    ),
    Attack("flip a tile bit", "in the table", _ALL_READ | {"sequencer"}, _flip),
    Attack("fork", "another history shown to some, signed with the real key",
           frozenset({"auditor", "policy"}), _fork),
    Attack("roll back", "the database, from a backup",
           frozenset({"verify", "sequencer", "auditor", "portal", "witness"}), _roll_back),
    Attack("roll back", "database and files, from a backup", _HISTORY_KEPT, _roll_back_with_files),
    Attack("erase, then re-add", "by the next sync", frozenset({"person"}), _erase_and_re_add,
           _not_brought_back),
    Attack("never logged", "its entry taken out of the outbox", frozenset({"portal"}), _suppress),
    Attack("never logged", "the same, and the portal throws its promise away", frozenset(),
           _suppress_with_the_portal),
    Attack("hide from a person", "a row of their index deleted", frozenset({"person"}), _hide),
    Attack("read the database", "by its owner, past the bus", frozenset({"statistics"}), _read),
    Attack("read at the source", "with the bus's credentials, past the bus", frozenset({"agencies"}), _fetch),
)  # fmt: skip

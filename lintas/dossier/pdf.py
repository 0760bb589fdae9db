"""A dossier on paper: A4, in the fonts every reader has, with page numbers."""

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from lintas.dossier.collecting import Collected, CollectedEntry, Revision
from lintas.dossier.kind_words import kind_words
from lintas.dossier.layout import Page, facts, heading, paragraph, table
from lintas.dossier.question import Question
from lintas.dossier.words import words

__all__ = ["render"]

_LOCAL = ZoneInfo("Asia/Jakarta")
_PLACE = re.compile(r"\{[a-z_]+\}")


def render(collected: Collected, question: Question, head: Mapping[str, Any]) -> bytes:
    """The PDF of what was collected."""
    said = words(question.language)
    language = question.language
    story: list[Any] = [*_head(collected, question, head, said)]
    story += _overview(collected.entries, said, language)
    for each in collected.entries:
        story += _entry(each, said, language)
    story += _rests(collected, said)
    story += _rules(collected, question, said)
    story += _closing(said)
    target = io.BytesIO()
    Page(title=said["title"], page=said["page"], footer=f"{head['log']} · {head['written_at']}").write(
        target, story
    )
    return target.getvalue()


def _head(
    collected: Collected, question: Question, head: Mapping[str, Any], said: Mapping[str, str]
) -> Iterable[Any]:
    proven = sum(each.receipt is not None for each in collected.entries)
    about = said[f"about.{question.kind}"]
    rows = [
        (said["question"], f"{about} ({question.entry})" if question.entry else about),
        (said["written_for"], said[f"for.{question.asker}"]),
        (said["written_at"], moment(str(head["written_at"]))),
        (said["by"], str(head["written_by"])),
        (said["log"], str(head["log"])),
        (said["checkpoint"], said["tree"].format(size=head["checkpoint_size"])),
        (said["proof"], said["entries_count"].format(count=len(collected.entries), proven=proven)),
    ]
    if question.since or question.until:
        ends = (moment(end.isoformat()) if end else "…" for end in (question.since, question.until))
        rows.insert(1, (said["period"], " – ".join(ends)))
    return [paragraph(said["title"], "Title"), paragraph(said["subtitle"], "Subtitle"), facts(rows)]


def _overview(entries: Sequence[CollectedEntry], said: Mapping[str, str], language: str) -> Iterable[Any]:
    yield from heading(said["overview"])
    if not entries:
        yield paragraph(said["nothing"])
        return
    names = ("no", "when", "who", "what", "right", "outcome")
    rows = [
        (
            str(each.index),
            moment(str(each.data["time"])),
            _joined(each.data.get("consumer"), each.data.get("actor")),
            _joined(kind_words(str(each.data["kind"]), language), *_datasets(each.data)),
            _joined(each.data.get("legal_basis"), each.data.get("purpose")),
            str(each.data.get("outcome") or "–"),
        )
        for each in entries
    ]
    yield table([said[name] for name in names], rows, widths=(9, 38, 36, 46, 31, 18))


def _entry(each: CollectedEntry, said: Mapping[str, str], language: str) -> Iterable[Any]:
    from audit.tree.merkle import leaf_hash

    data = each.data
    names = (
        "consumer",
        "provider",
        "system",
        "actor",
        "purpose",
        "legal_basis",
        "outcome",
        "decision",
    )
    rows = [(said["when"], moment(str(data["time"])))]
    rows.append((said["kind"], f"{data['kind']} – {kind_words(str(data['kind']), language)}"))
    rows += [(said[name], str(data[name])) for name in names if data.get(name)]
    rows += [
        (said[name], _references(data[source]))
        for name, source in (("agreements", "agreements"), ("consent", "consent"))
        if data.get(source)
    ]
    if data.get("datasets"):
        rows.append((said["datasets"], ", ".join(data["datasets"])))
    if data.get("fields"):
        rows.append((said["fields"], _fields(data["fields"])))
    if data.get("rules"):
        rows.append((said["rules"], ", ".join(data["rules"])))
    if data.get("details"):
        rows.append((said["details"], _named(data["details"])))
    if each.opened is not None:
        rows.append((said["opened"], _named(each.opened)))
    proof = said["proven"].format(file=f"proofs/{each.index}.tlog-proof")
    rows.append((said["proof"], proof if each.receipt is not None else said["unproven"]))
    rows.append((said["leaf"], leaf_hash(each.encoded).hex()))
    yield from heading(said["entry"].format(index=each.index), small=True)
    yield facts(rows)


def _rests(collected: Collected, said: Mapping[str, str]) -> Iterable[Any]:
    revisions = [*collected.agreements, *collected.consents, *collected.contracts, *collected.services]
    if not revisions:
        return
    yield from heading(said["rests"])
    for each in revisions:
        title = said[f"{each.kind}_of"].format(id=each.id, revision=each.revision)
        yield from heading(title, small=True)
        yield facts([*_told(each, said), *_kept(each, said)])


def _told(each: Revision, said: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    told = each.facts
    if each.kind == "agreement" and told:
        yield said["paper"], f"{told['paper_reference']}: {told['title']}"
        yield said["parties"], f"{told['provider']} → {told['consumer']}"
        yield said["purpose"], ", ".join(told["purposes"])
        yield said["legal_basis"], str(told["legal_basis"])
        yield said["instrument"], str(told["legal_instrument"])
        yield said["valid"], f"{moment(told['valid_from'])} – {moment(told['valid_until'])}"
        yield said["retention"], said["days"].format(count=told["retention_days"])
        if told["ended_at"]:
            yield said["ended"], moment(told["ended_at"])
    if each.kind == "consent" and told:
        yield said["state"], str(told["state"])
        yield said["when"], moment(str(told["occurred_at"]))
        if told.get("valid_until"):
            yield said["valid"], f"… – {moment(str(told['valid_until']))}"
    if each.kind == "contract":
        if not told["logged"]:
            yield said["state"], said["not_logged"]
        yield said["entries_of"], ", ".join(map(str, told["entries"]))


def _kept(each: Revision, said: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    if each.hash:
        yield said["hash"], each.hash
    yield said["proof"], said["bytes_there"] if each.content is not None else said["bytes_gone"]


def _rules(collected: Collected, question: Question, said: Mapping[str, str]) -> Iterable[Any]:
    if not collected.rules:
        return
    yield from heading(said["rules_title"])
    yield facts([(rule, _blank(told.get(question.language, "–"))) for rule, told in collected.rules.items()])


def _closing(said: Mapping[str, str]) -> Iterable[Any]:
    yield from heading(said["check"])
    yield paragraph(said["check_text"], raw=True)
    yield from heading(said["limits"])
    for name in ("limit_missing", "limit_complete", "limit_fork"):
        yield paragraph(f"• {said[name]}")


def moment(text: str) -> str:
    """A moment as people read it here: Western Indonesian Time."""
    return datetime.fromisoformat(text).astimezone(_LOCAL).strftime("%Y-%m-%d %H:%M:%S WIB")


def _blank(sentence: str) -> str:
    """A rule's sentence in general, without the names that one finding fills in."""
    return _PLACE.sub("…", sentence)


def _datasets(data: Mapping[str, Any]) -> list[str]:
    named = data.get("datasets") or sorted({name.partition(":")[0] for name in data.get("fields", ())})
    return [str(name) for name in named]


def _fields(fields: Sequence[str]) -> str:
    by_dataset: dict[str, list[str]] = {}
    for name in fields:
        dataset, _, column = name.partition(":")
        by_dataset.setdefault(dataset, []).append(column)
    parts = [f"{dataset}: {', '.join(columns)}" for dataset, columns in by_dataset.items()]
    return "\n".join(parts)


def _references(value: Any) -> str:
    references = value if isinstance(value, list) else [value]
    return "\n".join(f"{each['id']}, rev. {each['revision']}" for each in references)


def _named(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {_plain(value)}" for name, value in sorted(values.items()))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_plain(item)}" for name, item in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value) if isinstance(value, str) else json.dumps(value)


def _joined(*parts: Any) -> str:
    return "\n".join(str(part) for part in parts if part) or "–"

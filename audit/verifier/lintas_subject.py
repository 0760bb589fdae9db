#!/usr/bin/env python3
"""Find everything about yourself in an exported log, offline, whatever the operator's index says.

For the person whom it concerns, or whoever they trust. It needs the exported folder, the log's public keys,
and the key file that the operator must hand to the person. First the whole log is checked (lintas_verify.py,
which lies beside this file); then every entry is tried with the person's key, and every batch with the salts
of their records.

    python lintas_subject.py DIRECTORY --keys KEYS --subject-key FILE [--view FILE]

`--view` is what the person was shown (`lintas audit subject --json`, or a portal's reply): what it left out
is named. Exit code 0: everything holds. 1: something is false, or was left out. 2: it could not be checked.
"""

import argparse
import hmac
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.verifier import lintas_verify as verify
else:
    try:  # beside this file, when it runs alone
        import lintas_verify as verify
    except ImportError:
        from audit.verifier import lintas_verify as verify

FORMAT = "lintas-subject-key-1"
NOT_PROVEN = (
    "not proven: that the key file names every version of the person's records; salts open what they are of",
    "not proven: that everything which happened was logged",
)


@dataclass(frozen=True)
class Version:
    """One version of a record about the person, and the salt that opens its leaf."""

    dataset: str
    batch: str
    leaf: bytes


@dataclass(frozen=True)
class SubjectKey:
    """The key file."""

    tag_key: bytes
    versions: tuple[Version, ...]


def read_subject_key(file: Path) -> SubjectKey:
    """Read a key file."""
    try:
        content = json.loads(verify.read_text(file))
        if content["format"] != FORMAT:
            raise ValueError
        versions = tuple(
            Version(str(each["dataset"]), str(each["batch"]), record_leaf(each))
            for each in content["records"]
        )
        return SubjectKey(bytes.fromhex(content["tag_key"]), versions)
    except (ValueError, KeyError, TypeError) as error:
        raise verify.Unchecked(f"{file.name}: not a key file of a subject") from error


def record_leaf(version: dict[str, str]) -> bytes:
    """The leaf of a record version: SHA-256 over 0x00, salt (16 bytes) and content hash (32 bytes)."""
    salt, content = bytes.fromhex(version["leaf_salt"]), bytes.fromhex(version["content_hash"])
    if len(salt) != 16 or len(content) != 32:
        raise ValueError
    return verify.leaf_hash(salt + content)


def tag(tag_key: bytes, nonce: bytes) -> str:
    """What stands in an entry with this nonce when it is about the holder of the key."""
    return hmac.digest(tag_key, b"lintas/subject-tag/v1\x00" + nonce, "sha256")[:16].hex()


def entries_of(directory: Path, keys: verify.Keys) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every exported entry with its number."""
    _, size, _ = verify.open_checkpoint(verify.read_text(directory / "checkpoint"), keys)
    for tile in range((size + 255) // 256):
        for place, entry in enumerate(verify.read_bundle(directory, tile, min(256, size - tile * 256))):
            yield tile * 256 + place, json.loads(entry)


def scan(
    directory: Path, keys: verify.Keys, subject: SubjectKey
) -> tuple[dict[int, dict[str, Any]], dict[str, tuple[int, dict[str, Any]]]]:
    """The entries about the person, by number; and every batch with a root, by its id."""
    found, batches = {}, {}
    for number, entry in entries_of(directory, keys):
        if tag(subject.tag_key, bytes.fromhex(entry["nonce"])) in entry.get("subjects", []):
            found[number] = entry
        figures = entry.get("batch", {})
        if figures.get("leaves"):
            batches[str(figures.get("batch_id"))] = (number, entry)
    return found, batches


def check_batches(
    directory: Path, subject: SubjectKey, batches: dict[str, tuple[int, dict[str, Any]]]
) -> int:
    """Look for the person's record versions in every batch; return how many were found."""
    wanted = {version.leaf: version for version in subject.versions}
    held: set[bytes] = set()
    missing = 0
    for batch, (number, entry) in batches.items():
        manifest = directory / "batches" / f"{batch}.leaves"
        if not manifest.exists():
            missing += 1
            continue
        leaves = read_leaves(manifest, entry["batch"])
        mine = [wanted[leaf] for leaf in leaves if leaf in wanted]
        held.update(version.leaf for version in mine)
        if mine:
            names = ", ".join(sorted({version.dataset for version in mine}))
            say(f"batch of {entry['time']} (entry {number}): {len(mine)} of your records, {names}")
    if missing:
        say(f"not checked: {missing} batches whose manifests were not exported")
    for version in subject.versions:
        if version.leaf not in held and (directory / "batches" / f"{version.batch}.leaves").exists():
            raise verify.Falsehood(
                f"a record of {version.dataset} is not in the batch that is said to hold it"
            )
    return len(held)


def read_leaves(manifest: Path, figures: dict[str, Any]) -> set[bytes]:
    """The leaves of a batch, checked against the root in its entry."""
    data = verify.read_bytes(manifest)
    leaves = [data[place : place + 32] for place in range(0, len(data), 32)]
    tree = verify.GrowingTree()
    for leaf in leaves:
        tree.append(leaf)
    if len(leaves) != figures["leaves"] or tree.root().hex() != figures["root"]:
        raise verify.Falsehood(f"the manifest of batch {manifest.stem} is not the one that was logged")
    return set(leaves)


def check_view(file: Path, found: dict[int, dict[str, Any]]) -> None:
    """Name what the person was not shown. What is newer than the newest entry shown may just be later."""
    try:
        rows = json.loads(verify.read_text(file))
        rows = rows["exchanges"] if isinstance(rows, dict) else rows
        shown = {str(row.get("entry_id") or row.get("entry") or row.get("id")) for row in rows}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise verify.Unchecked(f"{file.name}: not a list of exchanges") from error
    newest = max((number for number, entry in found.items() if entry["id"] in shown), default=-1)
    omitted = [number for number, entry in found.items() if entry["id"] not in shown]
    for number in omitted:
        later = " (newer than what was shown)" if number > newest else ""
        say(f"not shown to you: {described(number, found[number])}{later}")
    if any(number <= newest for number in omitted) or (omitted and newest < 0):
        raise verify.Falsehood("entries about you were left out of what you were shown")


def described(number: int, entry: dict[str, Any]) -> str:
    """One entry in a line."""
    words = [entry["time"], entry["kind"], entry.get("consumer", ""), entry.get("purpose", "")]
    words.append(" ".join(entry.get("fields", [])))
    return f"entry {number}: " + ", ".join(word for word in words if word)


def check(directory: Path, keys_file: Path, subject_file: Path, view: Path | None) -> None:
    """The whole check."""
    keys, subject = verify.read_keys(keys_file), read_subject_key(subject_file)
    if not (directory / "tile" / "entries").is_dir():
        raise verify.Unchecked("the export holds only hashes: ask for one with entries")
    verify.verify_log(directory, keys)
    found, batches = scan(directory, keys, subject)
    for number, entry in found.items():
        say(described(number, entry))
    records = check_batches(directory, subject, batches)
    yours = f"{len(found)} entries about you, and {records} of your record versions"
    say(f"found: {yours} in {len(batches)} batches")
    if view is not None:
        check_view(view, found)
        say("proven: what you were shown leaves out no entry up to the newest one shown")
    say("proven: no other entry in this log carries your tag")


def say(text: str) -> None:
    """One line of the result."""
    sys.stdout.write(text + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=Path, help="the exported log")
    parser.add_argument("--keys", type=Path, required=True, help="file of verifier keys of the log")
    parser.add_argument("--subject-key", type=Path, required=True, help="the person's key file")
    parser.add_argument("--view", type=Path, help="what the person was shown")
    options = parser.parse_args(arguments)
    try:
        check(options.directory, options.keys, options.subject_key, options.view)
    except verify.Falsehood as error:
        say(f"FALSE: {error}")
        return verify.FALSE
    except verify.UNREADABLE as error:
        say(f"NOT CHECKED: {error}")
        return verify.UNCHECKED
    for line in NOT_PROVEN:
        say(line)
    return verify.HOLDS


if __name__ == "__main__":
    sys.exit(main())

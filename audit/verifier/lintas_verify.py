#!/usr/bin/env python3
"""Check receipts and exported logs of Lintas offline, trusting nobody but the public keys you give it.

One file, standard library and `cryptography` only, made to be read in half an hour. It shares no code
with the log that it checks. Formats: RFC 6962 (tree), C2SP signed-note, tlog-checkpoint, tlog-tiles and
tlog-proof.

    python lintas_verify.py receipt FILE.tlog-proof --keys KEYS [--entry FILE]
    python lintas_verify.py log DIRECTORY --keys KEYS [--seen CHECKPOINT]

KEYS is a file with one verifier key a line (`name+keyid+base64`), obtained from somebody other than the
operator of the log where you can. `--seen` is a checkpoint that you kept from an earlier check.

Exit code 0: all that was checked holds. 1: something is false. 2: it could not be checked.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from array import array
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class PublicKey(Protocol):
    """What verifies signatures of a log; raises InvalidSignature."""

    def verify(self, signature: bytes, data: bytes, /) -> None:
        """Whether the signature of the data is true."""


Keys = Mapping[tuple[str, str], PublicKey]
EMPTY_ROOT = hashlib.sha256(b"").digest()
HOLDS, FALSE, UNCHECKED = 0, 1, 2
NAME = re.compile(r"[^\s+]+")
NOT_PROVEN = (
    "self-consistent only: 0 independent witnesses asked (lintas_witnesses.py counts them by your policy)",
    "not proven: that the operator shows everybody this same history",
    "not proven: that everything which happened was logged",
)


class Falsehood(Exception):  # noqa: N818
    """Something that was checked does not hold."""


class Unchecked(Exception):  # noqa: N818
    """Something needed for the check is missing or unreadable."""


# What no check foresaw must not pass for a falsehood: Python itself ends with exit code 1.
UNREADABLE = (
    Unchecked, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, OSError
)  # fmt: skip


# --- hashing: RFC 6962 section 2.1 ---------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class GrowingTree:
    """Roots of a tree while leaves are appended: one (height, hash) for each complete subtree."""

    def __init__(self) -> None:
        self.size = 0
        self.subtrees: list[tuple[int, bytes]] = []

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash, joining equal subtrees."""
        height = 0
        while self.subtrees and self.subtrees[-1][0] == height:
            leaf = node_hash(self.subtrees.pop()[1], leaf)
            height += 1
        self.subtrees.append((height, leaf))
        self.size += 1

    def root(self) -> bytes:
        """Root of the tree so far."""
        if not self.subtrees:
            return EMPTY_ROOT
        result = self.subtrees[-1][1]
        for _, left in reversed(self.subtrees[:-1]):
            result = node_hash(left, result)
        return result


def check_inclusion(index: int, size: int, leaf: bytes, path: list[bytes], root: bytes) -> None:
    """RFC 9162 section 2.1.3.2, step by step."""
    if not 0 <= index < size:
        raise Falsehood(f"index {index} is outside a tree of {size} entries")
    if any(len(item) != 32 for item in (leaf, *path, root)):
        raise Falsehood("a hash in the proof has the wrong length")
    position, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Falsehood("the proof has too many hashes")
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise Falsehood("the proof has too few hashes")
    if result != root:
        raise Falsehood("the entry is not in the tree that was signed")


# --- signed notes and checkpoints ----------------------------------------------------------------------


def decode(text: str) -> bytes:
    """Base64 in its one canonical form."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError as error:
        raise Falsehood("malformed base64") from error
    if base64.b64encode(data).decode() != text:
        raise Falsehood("base64 that is not in canonical form")
    return data


def read_keys(file: Path) -> Keys:
    """Verifier keys, by name and key id."""
    keys: dict[tuple[str, str], PublicKey] = {}
    for line in map(str.strip, read_text(file).splitlines()):
        if not line or line.startswith("#"):
            continue
        name, key_id, material = (*line.split("+", 2), "", "")[:3]
        try:
            public = decode(material)
        except Falsehood:
            public = b""
        expected = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4].hex()
        if len(public) != 33 or public[0] != 1 or key_id != expected or not NAME.fullmatch(name):
            raise Unchecked(f"{file}: a line is not an Ed25519 verifier key")
        keys[name, key_id] = Ed25519PublicKey.from_public_bytes(public[1:])
    if not keys:
        raise Unchecked(f"{file}: no verifier keys in it")
    return keys


def open_checkpoint(note: str, keys: Keys) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint that its log has signed with a known key."""
    if any(ord(character) < 0x20 and character != "\n" for character in note):
        raise Falsehood("control characters in a checkpoint")
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise Falsehood("a checkpoint without signatures")
    text += "\n"
    signers = [check_signature(line, text, keys) for line in lines[:-1].split("\n")]
    head = text[:-1].split("\n")
    if len(head) < 3 or not all(head) or not re.fullmatch(r"0|[1-9][0-9]{0,18}", head[1]):
        raise Falsehood("a malformed checkpoint")
    size, root = int(head[1]), decode(head[2])
    if size >> 63 or len(root) != 32 or (size == 0 and root != EMPTY_ROOT):
        raise Falsehood("a checkpoint with an impossible size or root")
    if head[0] not in signers:
        raise Falsehood("a checkpoint that its log has not signed with a key you trust")
    return head[0], size, root


def check_signature(line: str, text: str, keys: Keys) -> str | None:
    """Name of the known key that made this signature line; None for keys that are not known."""
    match = re.fullmatch(f"\u2014 ({NAME.pattern}) (\\S+)", line)
    if match is None:
        raise Falsehood("a malformed signature line")
    blob = decode(match[2])
    if len(blob) < 5:
        raise Falsehood("a signature that is too short")
    key = keys.get((match[1], blob[:4].hex()))
    if key is None:
        return None
    try:
        key.verify(blob[4:], text.encode())
    except InvalidSignature as error:
        raise Falsehood(f"a false signature in the name of {match[1]}") from error
    return match[1]


# --- receipts ------------------------------------------------------------------------------------------


def verify_receipt(file: Path, keys: Keys, entry_file: Path | None = None) -> None:
    """One `.tlog-proof` file, which carries its entry unless that is given apart."""
    head, separator, note = read_text(file).partition("\n\n")
    lines = head.split("\n")
    if not separator or lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Falsehood("this is not a tlog-proof file")
    entry = decode(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
    match = re.fullmatch(r"index (0|[1-9][0-9]{0,18})", lines.pop(0)) if lines else None
    if match is None:
        raise Falsehood("the proof has no index")
    path = [decode(line) for line in lines]
    if entry_file is not None:
        given = read_bytes(entry_file)
        if entry is not None and entry != given:
            raise Falsehood("the receipt carries another entry than the one given")
        entry = given
    if entry is None:
        raise Unchecked("the receipt carries no entry: give it with --entry")
    origin, size, root = open_checkpoint(note, keys)
    check_inclusion(int(match[1]), size, leaf_hash(entry), path, root)
    data = content(entry)
    say(f"entry {match[1]} of {size} in {origin}: {data.get('kind')} at {data.get('time')}")
    say("proven: this entry, byte for byte, is in the tree that the log signed")


def content(entry: bytes) -> dict[str, Any]:
    """What an entry says."""
    data = json.loads(entry)
    if not isinstance(data, dict):
        raise Unchecked("an entry of a kind that is not known here")
    return data


# --- exported logs -------------------------------------------------------------------------------------


def verify_log(directory: Path, keys: Keys, seen_file: Path | None = None) -> None:
    """A folder in the layout of tlog-tiles: every entry, tile and checkpoint in it."""
    origin, size, root = open_checkpoint(read_text(directory / "checkpoint"), keys)
    signed = {size: root}
    history = directory / "checkpoints"
    notes = sorted(history.iterdir()) if history.is_dir() else []
    if seen_file is not None:
        notes.append(seen_file)
    for file in notes:
        try:
            other, earlier, earlier_root = open_checkpoint(read_text(file), keys)
        except Falsehood as error:
            raise Falsehood(f"the checkpoint {file.name}: {error}") from error
        if other != origin:
            raise Falsehood(f"{file.name}: a checkpoint of another log, {other}")
        if earlier > size:
            raise Falsehood(f"the log ends at entry {size}, but a checkpoint of {earlier} was signed")
        if signed.setdefault(earlier, earlier_root) != earlier_root:
            raise Falsehood(f"two different trees of size {earlier} were signed: the log was forked")
    with_entries = (directory / "tile" / "entries").is_dir()
    minimum = read_minimum(directory)
    check_tree(directory, size, signed, minimum if with_entries else size)
    if with_entries and minimum > (logged := read_pruned(directory, size, minimum)):
        raise Falsehood(f"entry {logged} is missing: no entry says that those before {minimum} were pruned")
    leaves = "entries" if with_entries else "leaf hashes"
    say(f"checked: {size} {leaves} and {len(signed)} checkpoints of {origin}")
    say(f"proven: all of them stand in this order under each signed checkpoint, the last of {size}")
    if not with_entries:
        say("not proven: what the entries say, because the export holds only hashes")
    elif minimum:
        say(f"not proven: what the entries before {minimum} said: they were pruned, their hashes checked")


def read_minimum(directory: Path) -> int:
    """The first entry that was not pruned."""
    file = directory / "minimum-index"
    text = read_text(file).strip() if file.exists() else "0"
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text) or int(text) % 256:
        raise Falsehood("the minimum index is not the first entry of a bundle")
    return int(text)


def read_pruned(directory: Path, size: int, minimum: int) -> int:
    """Up to which index an entry says that the log was pruned; the file alone is nobody's word."""
    logged = 0
    for tile in range(minimum // 256, (size + 255) // 256):
        for entry in read_bundle(directory, tile, min(256, size - tile * 256)):
            data = content(entry) if b"audit.pruned" in entry else {}
            if data.get("kind") == "audit.pruned" and data.get("outcome") == "pruned":
                logged = max(logged, int(data["details"]["minimum_index"]))
    return logged


def check_tree(directory: Path, size: int, signed: dict[int, bytes], minimum: int) -> None:
    """Hash every leaf that was not pruned, compare it with its tile, and each signed root that is reached."""
    tree, proven = GrowingTree(), 0
    above: list[bytes] = []
    starts = array("Q")
    wrong: int | None = None
    for tile in range((size + 255) // 256):
        width = min(256, size - tile * 256)
        stored = read_tile(directory, 0, tile, width)
        there = tile * 256 >= minimum
        leaves = [leaf_hash(e) for e in read_bundle(directory, tile, width)] if there else stored
        for leaf, expected in zip(leaves, stored, strict=False):
            if leaf != expected and wrong is None:
                wrong = tree.size
            tree.append(leaf)
            starts.append(int.from_bytes(leaf[:8], "big"))
            if tree.size in signed:
                if tree.root() != signed[tree.size]:
                    raise Falsehood(name_entry(wrong, proven, tree.size))
                if wrong is not None:
                    raise Falsehood(f"the tile with entry {wrong} was changed; the entries are as signed")
                proven = tree.size
        if len(leaves) != width:
            raise Falsehood(name_count(wrong, tile * 256, len(leaves), width))
        if width == 256:
            above.append(fold(stored))
    check_upper_tiles(directory, above)
    check_none_twice(starts)


def check_none_twice(starts: "array[int]") -> None:
    """No leaf stands in the log twice: every entry has a nonce, so the same bytes are a replay."""
    for one, other in pairwise(sorted(starts)):
        if one == other:
            first = starts.index(one)
            again = starts.index(one, first + 1)
            raise Falsehood(f"entry {again} is entry {first} once more: an exchange that was replayed")


def name_entry(wrong: int | None, proven: int, size: int) -> str:
    """Which entry is false, as exactly as can be said."""
    if wrong is not None:
        return f"entry {wrong} is not the one that was logged"
    return f"an entry from {proven} to {size - 1} is not the one that was logged"


def name_count(wrong: int | None, first: int, count: int, width: int) -> str:
    """What is false about a bundle with fewer or more entries than its tile."""
    if wrong is not None:
        return f"{name_entry(wrong, 0, 0)} (its bundle has {count} entries, not {width})"
    if count < width:
        return f"entry {first + count} is missing from its bundle"
    return f"entry {first + width} was added: the tree has no place for it"


def check_upper_tiles(directory: Path, hashes: list[bytes]) -> None:
    """Every upper tile is made of the full tiles below it."""
    number = 1
    while hashes:
        above: list[bytes] = []
        for tile in range((len(hashes) + 255) // 256):
            part = hashes[tile * 256 : tile * 256 + 256]
            if read_tile(directory, number, tile, len(part)) != part:
                raise Falsehood(f"tile {tile} of level {number} is not made of the tiles below it")
            if len(part) == 256:
                above.append(fold(part))
        number, hashes = number + 1, above


def fold(hashes: list[bytes]) -> bytes:
    """Root of a full tile."""
    tree = GrowingTree()
    for item in hashes:
        tree.append(item)
    return tree.root()


def tile_path(directory: Path, level: int | str, index: int, width: int) -> Path:
    """Where a tile stands."""
    groups = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        groups = f"x{index % 1000:03d}/{groups}"
    return directory / "tile" / str(level) / (groups if width == 256 else f"{groups}.p/{width}")


def read_tile(directory: Path, level: int, index: int, width: int) -> list[bytes]:
    """Hashes of a tile."""
    data = read_bytes(tile_path(directory, level, index, width))
    if len(data) != width * 32:
        raise Falsehood(f"tile {index} of level {level} does not hold {width} hashes")
    return [data[i : i + 32] for i in range(0, len(data), 32)]


def read_bundle(directory: Path, index: int, width: int) -> list[bytes]:
    """Entries of a bundle, each with its length before it; one that was cut keeps it, so it is no entry."""
    file = tile_path(directory, "entries", index, width)
    data = read_bytes(file) if file.exists() else b""
    entries: list[bytes] = []
    position = 0
    while position < len(data):
        end = position + 2 + int.from_bytes(data[position : position + 2], "big")
        entries.append(data[position + 2 : end] if end <= len(data) else data[position:])
        position = end
    return entries


# --- the command ---------------------------------------------------------------------------------------


def read_bytes(file: Path) -> bytes:
    """Content of a file."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unchecked(f"{file}: {error.strerror}") from error


def read_text(file: Path) -> str:
    """Content of a UTF-8 file."""
    try:
        return read_bytes(file).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Falsehood(f"{file}: not UTF-8") from error


def say(text: str) -> None:
    """One line of the result; octets that are no text, as a policy may have them, become question marks."""
    sys.stdout.write(text.encode("utf-8", "replace").decode() + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    receipt = commands.add_parser("receipt", help="check one receipt")
    receipt.add_argument("file", type=Path)
    receipt.add_argument("--entry", type=Path, help="the entry, when the receipt does not carry it")
    log = commands.add_parser("log", help="check an exported log")
    log.add_argument("file", type=Path, metavar="directory")
    log.add_argument("--seen", type=Path, help="a checkpoint kept from an earlier check")
    for command in (receipt, log):
        command.add_argument("--keys", type=Path, required=True, help="file of verifier keys")
    options = parser.parse_args(arguments)
    try:
        keys = read_keys(options.keys)
        if options.command == "receipt":
            verify_receipt(options.file, keys, options.entry)
        else:
            verify_log(options.file, keys, options.seen)
    except Falsehood as error:
        say(f"FALSE: {error}")
        return FALSE
    except UNREADABLE as error:
        say(f"NOT CHECKED: {error}")
        return UNCHECKED
    for line in NOT_PROVEN:
        say(line)
    return HOLDS


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Check a part that was taken out of a log of Lintas, offline, with public keys alone.

    python lintas_extract.py DIRECTORY --keys KEYS --bus-keys JWKS

Needs lintas_verify.py beside it, and `cryptography`. KEYS are the log's verifier keys, JWKS the public keys
of the bus, both from somebody other than the operator where you can. Checked are: the signature of the
manifest, the digest of every file in the folder, and for every entry its place in the signed tree, that the
filter asks for it, and that the table says the same. Exit code 0: all of it holds. 1: something is false.
2: it could not be checked.
"""

import argparse
import csv
import hashlib
import json
import re
import sys
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from audit.verifier import lintas_verify as verify
else:
    try:  # beside this file, when it runs alone
        import lintas_verify as verify
    except ImportError:
        from audit.verifier import lintas_verify as verify

LINE = re.compile(rb'\{"index":(0|[1-9][0-9]*),"path":\[((?:"[A-Za-z0-9+/=]+",?)*)\],"entry":(\{.*\})\}\n')
BusKeys = dict[str, Ed25519PublicKey]
LISTS = ("datasets", "fields", "rules")
NOT_PROVEN = (
    "not proven: that the filter asks for no other entry; filter the whole log to see that",
    *verify.NOT_PROVEN,
)


def verify_extract(directory: Path, keys: verify.Keys, bus_keys: BusKeys) -> dict[str, Any]:
    """Check a folder, and return its manifest."""
    manifest = open_manifest(verify.read_text(directory / "manifest.jws").strip(), bus_keys)
    check_files(directory, manifest["files"])
    origin, size, root = verify.open_checkpoint(verify.read_text(directory / "checkpoint"), keys)
    if (origin, size) != (manifest["origin"], manifest["checkpoint_size"]):
        raise verify.Falsehood("the checkpoint is another one than the manifest names")
    table = read_table(directory) if "entries.csv" in manifest["files"] else None
    indexes: list[int] = []
    for index, path, encoded in read_entries(directory / "entries.ndjson"):
        if indexes and index <= indexes[-1]:
            raise verify.Falsehood(f"entry {index} does not come after entry {indexes[-1]}")
        verify.check_inclusion(index, size, verify.leaf_hash(encoded), path, root)
        entry = json.loads(encoded)
        if not asked_for(entry, manifest["filter"]):
            raise verify.Falsehood(f"entry {index} is not one that the filter asks for")
        if table is not None and next(table, None) != cells(index, entry):
            raise verify.Falsehood(f"the table says something else about entry {index}")
        indexes = [*indexes[:1], index] if indexes else [index]
        count(manifest, entry)
    check_counts(manifest, indexes, table)
    return manifest


def open_manifest(token: str, bus_keys: BusKeys) -> dict[str, Any]:
    """The content of the manifest, signed by a known key of the bus."""
    try:
        head, body, signature = token.split(".")
        header = json.loads(unpad(head))
        known = bus_keys.get(header["kid"])
        if known is None:
            raise verify.Falsehood("the manifest is not signed with a key of the bus that you trust")
        known.verify(unpad(signature), f"{head}.{body}".encode())
        if (header["alg"], header["typ"]) != ("Ed25519", "lintas-extract+jwt"):
            raise verify.Falsehood("the manifest is a token of another kind")
        manifest: dict[str, Any] = json.loads(unpad(body))
    except InvalidSignature as error:
        raise verify.Falsehood("the manifest carries a false signature") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise verify.Falsehood("the manifest is malformed") from error
    return {**manifest, "counted": {}}


def read_bus_keys(file: Path) -> BusKeys:
    """The Ed25519 keys of a JWK set, by id."""
    try:
        found = json.loads(verify.read_text(file))["keys"]
        return {key["kid"]: Ed25519PublicKey.from_public_bytes(unpad(key["x"])) for key in found}
    except (ValueError, KeyError, TypeError) as error:
        raise verify.Unchecked(f"{file}: not a set of Ed25519 JWKs") from error


def check_files(directory: Path, files: dict[str, Any]) -> None:
    """Every file has the digest that was signed, and there is no other one."""
    for name, described in files.items():
        if Path(name).name != name:
            raise verify.Falsehood("the manifest names a file outside the folder")
        try:
            with (directory / name).open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
        except OSError as error:
            raise verify.Unchecked(f"{name}: {error.strerror}") from error
        if digest != described["sha256"]:
            raise verify.Falsehood(f"{name} is not the file that was signed")


def read_entries(file: Path) -> Iterator[tuple[int, list[bytes], bytes]]:
    """Index, proof and exact bytes of each entry."""
    with file.open("rb") as lines:
        for line in lines:
            match = LINE.fullmatch(line)
            if match is None:
                raise verify.Falsehood("a line of entries.ndjson is malformed")
            path = [verify.decode(item) for item in re.findall(r'"([^"]+)"', match[2].decode())]
            yield int(match[1]), path, match[3]


def read_table(directory: Path) -> Iterator[list[str]]:
    """Rows of the table, without the apostrophes that keep spreadsheets from calculating."""
    with (directory / "entries.csv").open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file)):
            if number:
                yield [cell[1:] if cell.startswith("'") else cell for cell in row]


def cells(index: int, entry: dict[str, Any]) -> list[str]:
    """What the table must say about an entry."""
    names = ("time", "kind", "provider", "consumer", "system", "actor", "purpose", "legal_basis", "decision")
    found = [str(index), *(entry.get(name, "") for name in (*names, "outcome"))]
    found += [" ".join(entry.get(name, ())) for name in LISTS]
    return [*found, str(entry.get("batch", {}).get("batch_id", "")), entry["id"]]


def asked_for(entry: dict[str, Any], asked: dict[str, str]) -> bool:
    """Whether the filter of the manifest asks for an entry."""
    moment = datetime.fromisoformat(entry["time"])
    batches = [str(entry.get(part, {}).get("batch_id")) for part in ("batch", "details")]
    special = {
        "since": lambda value: moment >= datetime.fromisoformat(value),
        "until": lambda value: moment < datetime.fromisoformat(value),
        "kind": lambda value: value in (entry["kind"], entry["kind"].split(".")[0]),
        "agency": lambda value: value in (entry.get("provider"), entry.get("consumer")),
        "dataset": lambda value: value in entry.get("datasets", ()),
        "rule": lambda value: value in entry.get("rules", ()),
        "batch": lambda value: value in batches,
    }
    return all(
        special[name](value) if name in special else entry.get(name) == value for name, value in asked.items()
    )


def count(manifest: dict[str, Any], entry: dict[str, Any]) -> None:
    """Count an entry beside what the manifest says."""
    manifest["counted"][entry["kind"]] = manifest["counted"].get(entry["kind"], 0) + 1


def check_counts(manifest: dict[str, Any], indexes: list[int], table: Iterator[list[str]] | None) -> None:
    """As many entries as were signed, of the same kinds, and no row too many."""
    ends = (indexes[0], indexes[-1]) if indexes else (None, None)
    counted = manifest["counted"]
    if (sum(counted.values()), counted) != (manifest["entries"], manifest["kinds"]):
        raise verify.Falsehood("there are not as many entries as the manifest says")
    if ends != (manifest["first"], manifest["last"]) or (table is not None and next(table, None) is not None):
        raise verify.Falsehood("the entries begin or end elsewhere than the manifest says")


def unpad(text: str) -> bytes:
    """Base64url without padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def told(manifest: dict[str, Any]) -> list[str]:
    """What was proven, and what was not, in sentences."""
    asked = ", ".join(f"{name} {value}" for name, value in manifest["filter"].items()) or "every entry"
    lines = [
        f"checked: {manifest['entries']} entries of {manifest['origin']}, under its checkpoint of"
        f" {manifest['checkpoint_size']}; asked for: {asked}",
        "proven: each stands in the signed tree byte for byte, and the filter asks for it",
    ]
    if manifest["about"]:
        lines.append(
            f"not proven: which {' and '.join(manifest['about'])} they are about; that takes their keys"
        )
    if manifest["minimum_index"]:
        lines.append(f"not contained: entries below {manifest['minimum_index']}, which were pruned")
    if "entries.parquet" in manifest["files"]:
        lines.append("of entries.parquet only the digest was compared")
    return [*lines, *NOT_PROVEN]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--keys", type=Path, required=True, help="file of the log's verifier keys")
    parser.add_argument("--bus-keys", type=Path, required=True, help="JWK set of the bus")
    options = parser.parse_args(arguments)
    try:
        bus_keys = read_bus_keys(options.bus_keys)
        manifest = verify_extract(options.directory, verify.read_keys(options.keys), bus_keys)
    except verify.Falsehood as error:
        verify.say(f"FALSE: {error}")
        return verify.FALSE
    except verify.UNREADABLE as error:
        verify.say(f"NOT CHECKED: {error}")
        return verify.UNCHECKED
    for line in told(manifest):
        verify.say(line)
    return verify.HOLDS


if __name__ == "__main__":
    sys.exit(main())

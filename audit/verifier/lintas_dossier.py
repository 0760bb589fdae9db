#!/usr/bin/env python3
"""Check a dossier offline: its signature, its files, and that every entry in it stands in the signed log.

Standard library and `cryptography` only, with lintas_verify.py beside this file.

    python lintas_dossier.py BUNDLE --log-keys KEYS --bus-keys JWKS

BUNDLE is the zip, or a folder it was unpacked to. KEYS are verifier keys of the log, one a line; JWKS the
public keys of the bus (`/.well-known/jwks.json`): get both from somebody other than the operator where you
can.

Exit code 0: all of it holds. 1: something is false. 2: it could not be checked, or not all of it: an entry
has no proof, because no checkpoint covered it when the dossier was written.
"""

import argparse
import base64
import hashlib
import json
import sys
import tempfile
import zipfile
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

FORMAT, TOKEN_TYPE = "lintas-dossier-1", "lintas-dossier+jws"
LARGEST = 512 * 1024 * 1024
SIGNATURE_FILES = {"manifest.json", "manifest.jws"}
NOT_PROVEN = (
    "not proven: that the dossier names every entry that answers its question",
    "not proven: that everything which happened was logged",
)


def unpadded(text: str) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check_signature(bundle: Path, keys_file: Path) -> dict[str, Any]:
    """The manifest, once the bus's signature over exactly its bytes holds."""
    manifest = verify.read_bytes(bundle / "manifest.json")
    parts = verify.read_text(bundle / "manifest.jws").strip().split(".")
    keys = json.loads(verify.read_text(keys_file))["keys"]
    if len(parts) != 3:
        raise verify.Falsehood("the signature is not a compact JWS")
    header = json.loads(unpadded(parts[0]))
    if header.get("typ") != TOKEN_TYPE or unpadded(parts[1]) != manifest:
        raise verify.Falsehood("the signature is over something else than this manifest")
    known = [key for key in keys if key.get("kid") == header.get("kid") and key.get("crv") == "Ed25519"]
    if not known:
        raise verify.Falsehood("the manifest is not signed by a key of the bus that you trust")
    try:
        public = Ed25519PublicKey.from_public_bytes(unpadded(known[0]["x"]))
        public.verify(unpadded(parts[2]), f"{parts[0]}.{parts[1]}".encode())
    except InvalidSignature as error:
        raise verify.Falsehood("the signature over the manifest is false") from error
    content: dict[str, Any] = json.loads(manifest)
    if content.get("format") != FORMAT:
        raise verify.Unchecked("this is not a dossier of a known form")
    return content


def check_files(bundle: Path, listed: dict[str, str]) -> None:
    """Every file is as it was signed, and there is no other."""
    there = {file.relative_to(bundle).as_posix() for file in bundle.rglob("*") if file.is_file()}
    if extra := sorted(there - listed.keys() - SIGNATURE_FILES):
        raise verify.Falsehood(f"{extra[0]} is not part of the signed dossier")
    for name, digest in listed.items():
        if name not in there:
            raise verify.Falsehood(f"{name} is missing")
        if hashlib.sha256(verify.read_bytes(bundle / name)).hexdigest() != digest:
            raise verify.Falsehood(f"{name} is not as it was signed")


def check_entries(bundle: Path, manifest: dict[str, Any], keys: verify.Keys) -> tuple[int, int]:
    """Every proof leads from its entry to a signed tree; count the entries with and without a proof."""
    proven, bare = 0, 0
    for each in manifest["entries"]:
        if each["proof"] is None:
            bare += 1
            continue
        data = json.loads(verify.read_bytes(bundle / each["entry"]))
        if data["id"] != each["id"]:
            raise verify.Falsehood(f"{each['entry']} is another entry than the manifest says")
        verify.verify_receipt(bundle / each["proof"], keys, bundle / each["entry"])
        head = verify.read_text(bundle / each["proof"]).partition("\n\n")[0]
        if f"index {each['index']}" not in head.split("\n"):
            raise verify.Falsehood(f"{each['proof']} proves another place in the log than the manifest says")
        proven += 1
    return proven, bare


def check_references(bundle: Path, manifest: dict[str, Any]) -> int:
    """Every agreement and consent that an entry cites has, byte for byte, the hash that the entry states."""
    cited = {
        (str(one["id"]), str(one["revision"])): one["hash"]
        for each in manifest["entries"]
        for entry in [json.loads(verify.read_bytes(bundle / each["entry"]))]
        for one in [*entry.get("agreements", []), *([entry["consent"]] if entry.get("consent") else [])]
    }
    checked = 0
    for each in manifest["rests_on"]:
        stated = cited.get((each["id"], each["revision"]))
        if stated is None or each["file"] is None:
            continue
        if hashlib.sha256(verify.read_bytes(bundle / each["file"])).hexdigest() != stated:
            raise verify.Falsehood(f"{each['file']} is not the revision that the log cites")
        checked += 1
    return checked


def check(bundle: Path, log_keys: Path, bus_keys: Path) -> int:
    """The whole check of an unpacked bundle; returns how many entries have no proof."""
    keys = verify.read_keys(log_keys)
    manifest = check_signature(bundle, bus_keys)
    check_files(bundle, manifest["files"])
    proven, bare = check_entries(bundle, manifest, keys)
    references = check_references(bundle, manifest)
    if (bundle / "checkpoint").exists():
        _, size, _ = verify.open_checkpoint(verify.read_text(bundle / "checkpoint"), keys)
        say(f"checkpoint: {size} entries of {manifest['log']}")
    say(
        f"checked: {len(manifest['files'])} files, {proven} entries with proofs, {references} revisions cited"
    )
    if bare:
        say(f"not proven: {bare} entries that no checkpoint covered when this was written")
    say(
        f"proven: written by the bus on {manifest['written_at']}, and {proven} of its {proven + bare} entries"
        " stand in the signed log"
    )
    return bare


def unpacked(bundle: Path, folder: Path) -> Path:
    """A folder with the files of a bundle; names that lead out of it are refused."""
    if bundle.is_dir():
        return bundle
    try:
        with zipfile.ZipFile(bundle) as archive:
            if sum(each.file_size for each in archive.infolist()) > LARGEST:
                raise verify.Unchecked("the bundle unpacks to more than a dossier ever holds")
            for name in archive.namelist():
                if name.startswith("/") or ".." in name.split("/"):
                    raise verify.Falsehood("the bundle names a file outside of itself")
            archive.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise verify.Unchecked(f"{bundle.name}: not a bundle") from error
    return folder


def say(text: str) -> None:
    """One line of the result."""
    sys.stdout.write(text + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bundle", type=Path, help="the zip, or the folder it was unpacked to")
    parser.add_argument("--log-keys", type=Path, required=True, help="file of verifier keys of the log")
    parser.add_argument("--bus-keys", type=Path, required=True, help="the bus's public keys, as a JWK set")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            bare = check(unpacked(options.bundle, Path(folder)), options.log_keys, options.bus_keys)
        except verify.Falsehood as error:
            say(f"FALSE: {error}")
            return verify.FALSE
        except verify.UNREADABLE as error:
            say(f"NOT CHECKED: {error}")
            return verify.UNCHECKED
    for line in NOT_PROVEN:
        say(line)
    return verify.UNCHECKED if bare else verify.HOLDS


if __name__ == "__main__":
    sys.exit(main())

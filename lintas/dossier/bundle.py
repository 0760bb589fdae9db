"""The bundle: every file of a dossier, and a manifest of their hashes signed as the bus.

```
manifest.json        question, files with their SHA-256, entries with their proofs and what they rested on
manifest.jws         the bus's signature over exactly those bytes (compact JWS, type lintas-dossier+jws)
dossier.pdf          the same for people
checkpoint           the newest signed checkpoint
entries/<n>.json     exact bytes of each entry        proofs/<n>.tlog-proof   its receipt
agreements/ consents/ contracts/ services/            exact texts, as they stood
opened/<n>.json      for a citizen: what is sealed about themselves
log.keys, bus.jwks   public keys, for convenience: get them from somebody else to be sure
```
"""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.canonical import sha256_hex
from foundation.keyring import KeyPair
from foundation.signatures import compact_jws
from lintas.dossier.collecting import Collected, Revision

__all__ = ["FORMAT", "TOKEN_TYPE", "bundle_files", "signed", "write_bundle"]

FORMAT = "lintas-dossier-1"
TOKEN_TYPE = "lintas-dossier+jws"  # noqa: S105 - a media type
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def bundle_files(collected: Collected) -> dict[str, bytes]:
    """The files that hold what was collected, by their path."""
    files: dict[str, bytes] = {}
    for each in collected.entries:
        files[f"entries/{each.index}.json"] = each.encoded
        if each.receipt is not None:
            files[f"proofs/{each.index}.tlog-proof"] = each.receipt.encode()
        if each.opened is not None:
            files[f"opened/{each.index}.json"] = _json(each.opened)
    for revision in _revisions(collected):
        if revision.content is not None:
            files[path_of(revision)] = revision.content
        if revision.kind == "agreement" and revision.facts:
            names = ("provider_kid", "provider_signature", "consumer_kid", "consumer_signature")
            signatures = {name: revision.facts[name] for name in names}
            files[path_of(revision).replace(".json", ".signatures.json")] = _json(signatures)
    if collected.checkpoint:
        files["checkpoint"] = collected.checkpoint.encode()
    return files


def path_of(revision: Revision) -> str:
    """Where the text of a revision stands."""
    ending = "json" if revision.kind in {"agreement", "consent"} else "yaml"
    name = _UNSAFE.sub("_", f"{revision.id}-{revision.revision}")
    if revision.kind == "contract":  # two texts may bear one version
        name += f"-{revision.hash[:8]}"
    return f"{revision.kind}s/{name}.{ending}"


def signed(
    collected: Collected, files: Mapping[str, bytes], head: Mapping[str, Any], key: KeyPair
) -> tuple[bytes, str]:
    """The manifest's exact bytes and the bus's signature over them."""
    manifest = {
        "format": FORMAT,
        **head,
        "files": {name: sha256_hex(content) for name, content in sorted(files.items())},
        "entries": [
            {
                "index": each.index,
                "id": str(each.entry_id),
                "entry": f"entries/{each.index}.json",
                "proof": f"proofs/{each.index}.tlog-proof" if each.receipt is not None else None,
            }
            for each in collected.entries
        ],
        "rests_on": [
            {
                "kind": each.kind,
                "id": each.id,
                "revision": each.revision,
                "hash": each.hash,
                "file": path_of(each) if each.content is not None else None,
                **({"entries": each.facts["entries"]} if "entries" in each.facts else {}),
            }
            for each in _revisions(collected)
        ],
    }
    encoded = _json(manifest)
    return encoded, compact_jws(key, TOKEN_TYPE, encoded)


def write_bundle(target: Path, files: Mapping[str, bytes]) -> None:
    """Write all files into a zip; the same files give the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)
    target.chmod(0o600)


def _revisions(collected: Collected) -> list[Revision]:
    return [*collected.agreements, *collected.consents, *collected.contracts, *collected.services]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode()

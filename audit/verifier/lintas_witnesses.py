#!/usr/bin/env python3
"""Say who besides the operator stands behind a receipt or an exported log of Lintas, by your own policy.

Lies beside `lintas_verify.py`, which checks everything else; together they share no code with the log.
Formats: C2SP tlog-policy, tlog-cosignature (types 0x04 Ed25519 and 0x06 ML-DSA-44), signed-note.

    python lintas_witnesses.py FILE.tlog-proof --policy POLICY
    python lintas_witnesses.py CHECKPOINT --policy POLICY
    python lintas_witnesses.py EXPORTED_DIRECTORY --policy POLICY

Exit code 0: the quorum of the policy stands behind it. 1: it does not, or something is false. 2: it could
not be checked.
"""

import argparse
import base64
import hashlib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from audit.verifier import lintas_verify as verify
else:
    try:  # beside this file, when it runs alone
        import lintas_verify as verify
    except ImportError:
        from audit.verifier import lintas_verify as verify

LOG, ED25519, ML_DSA_44 = 1, 4, 6
SIZES = {LOG: 32, ED25519: 32, ML_DSA_44: 1312}
CONTROL = re.compile("[\0-\b\v-\x1f\x7f]")


@dataclass
class Policy:
    """Logs and witnesses by name and key id, groups k-of-n, and the quorum."""

    logs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    witnesses: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str | None = None


@dataclass(frozen=True)
class MlDsaLog:
    """The key of a log that signs with ML-DSA-44, which does not cover extension lines: there may be none."""

    name: str
    key: bytes

    def verify(self, signature: bytes, text: bytes, /) -> None:
        """As the keys of other logs do."""
        if text.count(b"\n") != 3 or not is_true(self.key, self.name, text.decode(), signature):
            raise InvalidSignature


# --- the policy file -----------------------------------------------------------------------------------


def read_policy(text: str) -> Policy:
    """Read the lines of a policy: octets, of which those that are no UTF-8 stand as surrogates here."""
    policy = Policy()
    if CONTROL.search(text):
        raise verify.Unchecked("the policy has a control character")
    for line in text.split("\n"):
        words = re.split(r"[ \t]+", line.strip(" \t"))
        if not words[0] or words[0].startswith("#"):
            continue
        known = {name for name, _ in policy.witnesses.values()} | set(policy.groups)
        free = len(words) > 1 and words[1] not in {*known, "none"}
        if words[0] == "log" and len(words) in (2, 3):
            identity, key = read_key(words[1], {LOG, ML_DSA_44}, policy.logs.values())
            policy.logs[identity] = key
        elif words[0] == "witness" and len(words) in (3, 4) and free:
            others = [key for _, key in policy.witnesses.values()]
            identity, key = read_key(words[2], {ED25519, ML_DSA_44}, others)
            policy.witnesses[identity] = (words[1], key)
        elif words[0] == "group" and len(words) > 3 and set(words[3:]) <= known and free:
            policy.groups[words[1]] = (threshold(words[2], len(words) - 3), words[3:])
        elif words[0] == "quorum" and len(words) == 2 and words[1] in {*known, "none"} and not policy.quorum:
            policy.quorum = words[1]
        else:
            raise verify.Unchecked(f"the policy has a line that cannot be read: {words[0]}")
    members = [name for _, names in policy.groups.values() for name in names]
    if policy.quorum is None or not policy.logs or len(members) != len(set(members)):
        raise verify.Unchecked("the policy needs a log, one quorum, and each member in one group only")
    return policy


def read_key(text: str, kinds: set[int], others: Iterable[bytes]) -> tuple[tuple[str, str], bytes]:
    """(name, key id) and type with public key of a verifier key, which none of the others has."""
    name, key_id, encoded = (*text.split("+", 2), "", "")[:3]
    try:
        key = verify.decode(encoded)
    except verify.Falsehood:
        key = b""
    expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex()
    if not key or key[0] not in kinds or len(key) != 1 + SIZES[key[0]] or key_id != expected:
        raise verify.Unchecked("the policy has a key that is malformed, or of another kind than its line")
    if not verify.NAME.fullmatch(name) or (key[0] == ML_DSA_44 and len(name.encode()) > 255):
        raise verify.Unchecked("the policy has a key with an impossible name")
    if any(key[1:] == other[1:] for other in others):
        raise verify.Unchecked("the policy has the same public key twice")
    return (name, key_id), key


def threshold(text: str, members: int) -> int:
    """How many members of a group suffice."""
    found = {"all": members, "any": 1}.get(text) or (int(text) if re.fullmatch(r"[1-9][0-9]*", text) else 0)
    if not 1 <= found <= members:
        raise verify.Unchecked("the policy has a group with an impossible threshold")
    return found


# --- who signed ----------------------------------------------------------------------------------------


def cosigners(note: str, policy: Policy) -> tuple[list[str], str, int]:
    """Names of the witnesses with a true cosignature, origin and size of a checkpoint that its log signed."""
    origin, size, _ = verify.open_checkpoint(note, log_keys(policy))
    text, _, lines = note.rpartition("\n\n")
    found = []
    for line in lines.rstrip("\n").split("\n"):
        _, name, encoded = line.split(" ")
        blob = verify.decode(encoded)
        witness = policy.witnesses.get((name, blob[:4].hex()))
        if witness is None:
            continue
        if not is_true(witness[1], name, text + "\n", blob[4:]):
            raise verify.Falsehood(f"a false cosignature in the name of {name}")
        found.append(witness[0])
    return found, origin, size


def log_keys(policy: Policy) -> verify.Keys:
    """The keys of the policy's logs, as the other file takes them."""
    return {
        (name, key_id): MlDsaLog(name, key)
        if key[0] == ML_DSA_44
        else Ed25519PublicKey.from_public_bytes(key[1:])
        for (name, key_id), key in policy.logs.items()
    }


def is_true(key: bytes, name: str, text: str, signature: bytes) -> bool:
    """Whether this is a true cosignature of the text, over exactly the bytes of tlog-cosignature."""
    time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
    if time >= 1 << 63:
        return False
    try:
        if key[0] == ED25519:
            message = f"cosignature/v1\ntime {time}\n{text}".encode()
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature, message)
            return True
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

        origin, size, root = text.split("\n")[:3]
        names = [each.encode() for each in (name, origin)]
        message = b"subtree/v1\n\0" + bytes([len(names[0])]) + names[0] + time.to_bytes(8, "big")
        message += bytes([len(names[1])]) + names[1] + bytes(8) + int(size).to_bytes(8, "big")
        message += base64.b64decode(root)
        MLDSA44PublicKey.from_public_bytes(key[1:]).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# --- who counts ----------------------------------------------------------------------------------------


def quorum_is_met(policy: Policy, names: list[str]) -> bool:
    """Whether these witnesses make the quorum; members stand on lines before their group."""
    satisfied = {*names, "none"}
    for group, (needed, members) in policy.groups.items():
        if len(satisfied & set(members)) >= needed:
            satisfied.add(group)
    return policy.quorum in satisfied


def independent(policy: Policy, names: list[str], origin: str) -> int:
    """Administrations behind it other than the log's: same host, or one group below the quorum, is one."""
    whose = {witness: name.split("/")[0].lower() for (name, _), (witness, _) in policy.witnesses.items()}
    inside = {witness: [witness] for witness in whose}
    below = {member for _, members in policy.groups.values() for member in members}
    for group, (_, members) in policy.groups.items():
        inside[group] = [witness for member in members for witness in inside[member]]
        if group in below:
            together = {whose[witness] for witness in inside[group]}
            whose = {witness: min(together) if host in together else host for witness, host in whose.items()}
    log_host = origin.split("/", maxsplit=1)[0].lower()
    own_keys = {key[1:] for key in policy.logs.values()}
    own, foreign = set(), set()
    for (name, _), (witness, key) in policy.witnesses.items():
        if name.split("/")[0].lower() == log_host:
            own.add(whose[witness])
        if witness in names and key[1:] not in own_keys:
            foreign.add(whose[witness])
    return len(foreign - own)


# --- the command ---------------------------------------------------------------------------------------


def notes_of(path: Path) -> list[str]:
    """Checkpoints to look at: of a receipt, a file, or an exported log, the newest first."""
    if path.is_dir():
        history = path / "checkpoints"
        files = sorted(history.iterdir(), key=lambda f: int(f.name), reverse=True) if history.is_dir() else []
        return [verify.read_text(file) for file in [path / "checkpoint", *files]]
    text = verify.read_text(path)
    return [text.partition("\n\n")[2] if text.startswith("c2sp.org/tlog-proof@v1\n") else text]


def check(path: Path, policy: Policy) -> None:
    """Say who stands behind the newest checkpoint that a quorum stands behind."""
    for note in notes_of(path):
        names, origin, size = cosigners(note, policy)
        if quorum_is_met(policy, names):
            count = independent(policy, names, origin)
            verify.say(f"{count} independent witnesses stand behind {size} entries of {origin}")
            verify.say(f"proven: the quorum is met; each of these signs one history only: {', '.join(names)}")
            return
        verify.say(f"of the tree of {size} entries, only these witnesses: {', '.join(names) or 'none'}")
    raise verify.Falsehood("the quorum of the policy stands behind none of it")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path, help="a receipt, a checkpoint, or an exported log")
    parser.add_argument("--policy", type=Path, required=True, help="the tlog-policy file that you trust")
    options = parser.parse_args(arguments)
    try:
        text = verify.read_bytes(options.policy).decode("utf-8", "surrogateescape")
        check(options.path, read_policy(text))
    except verify.Falsehood as error:
        verify.say(f"FALSE: {error}")
        return verify.FALSE
    except (*verify.UNREADABLE, ImportError, UnsupportedAlgorithm) as error:
        verify.say(f"NOT CHECKED: {error}")
        return verify.UNCHECKED
    return verify.HOLDS


if __name__ == "__main__":
    sys.exit(main())

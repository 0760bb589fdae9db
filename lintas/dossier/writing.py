"""Writing a dossier: collected, put on paper, bundled, signed; that it was written is itself an entry."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lintas.dossier.question import Question

if TYPE_CHECKING:
    from foundation.installation import Installation

__all__ = ["Written", "write_dossier"]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written where."""

    pdf: Path
    bundle: Path
    entries: int
    proven: int
    checkpoint_size: int
    manifest_hash: str


def write_dossier(
    installation: "Installation", question: Question, folder: Path, *, actor: str, consumer: str
) -> Written:
    """Answer a question in `folder`, as `dossier.pdf` and `dossier.zip`.

    The entry about it commits before the files are there: nobody holds a dossier that the log does not know.

    Raises:
        QuestionTooWide: When the answer has more entries than anybody reads.
        UnknownEntry: When there is no such entry.
    """
    from audit.checkpoints.keys import log_verifier_keys
    from foundation import clock
    from foundation.canonical import sha256_hex
    from foundation.database import Role, translated
    from lintas.dossier.bundle import bundle_files, signed, write_bundle
    from lintas.dossier.collecting import collect
    from lintas.dossier.pdf import render
    from verification.signing import BusSigner

    signer = BusSigner(installation.keyring)
    now = clock.now()
    with translated(), installation.database.connect(Role.AUDITOR) as connection:
        collected = collect(installation, connection, question)
        head: dict[str, Any] = {
            "nonce": secrets.token_hex(16),
            "question": str(question.kind),
            "asker": str(question.asker),
            "language": question.language,
            "since": question.since.isoformat() if question.since else None,
            "until": question.until.isoformat() if question.until else None,
            "written_at": now.isoformat(timespec="seconds"),
            "written_by": actor,
            "log": installation.settings.log_origin,
            "checkpoint_size": collected.checkpoint_size,
        }
        files = bundle_files(collected)
        files["dossier.pdf"] = render(collected, question, head)
        files["log.keys"] = "".join(f"{key}\n" for key in log_verifier_keys(installation)).encode()
        files["bus.jwks"] = _jwks(signer.public_keys())
        manifest, signature = signed(collected, files, head, signer.pair)
        digest = sha256_hex(manifest)
        _log(connection, question, head, actor=actor, consumer=consumer, entries=len(collected.entries),
             manifest=digest)  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    pdf, bundle = folder / "dossier.pdf", folder / "dossier.zip"
    pdf.touch(mode=0o600)
    pdf.write_bytes(files["dossier.pdf"])
    write_bundle(bundle, {**files, "manifest.json": manifest, "manifest.jws": signature.encode()})
    proven = sum(each.receipt is not None for each in collected.entries)
    return Written(pdf, bundle, len(collected.entries), proven, collected.checkpoint_size, digest)


def _log(
    connection: Any,
    question: Question,
    head: dict[str, Any],
    *,
    actor: str,
    consumer: str,
    entries: int,
    manifest: str,
) -> None:
    from audit.entry import EntryDraft, EntryKind
    from audit.log import append

    append(
        connection,
        EntryDraft(
            kind=EntryKind.AUDIT_DOSSIER,
            actor=actor,
            consumer=consumer,
            subject=question.subject,
            details={
                "question": str(question.kind),
                "asker": str(question.asker),
                "entry": question.entry,
                "since": question.since,
                "until": question.until,
                "entries": entries,
                "language": question.language,
                "manifest": manifest,
                "checkpoint_size": head["checkpoint_size"],
            },
        ),
    )


def _jwks(keys: list[dict[str, str]]) -> bytes:
    import json

    return json.dumps({"keys": keys}, indent=1, sort_keys=True).encode()

"""The auditor's part of the demo: receipts checked offline, and an entry changed behind the bus's back."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.installation import Installation
from lintas.demo_portal import PortalStory
from lintas.errors import DemoBroken
from lintas.stage import Stages

if TYPE_CHECKING:
    from sandbox.portal import Portal, VerifiedAnswer

__all__ = ["ProofStory"]

_PATIENCE_SECONDS = 30.0


class ProofStory:
    """Trusts public keys alone."""

    def __init__(self, installation: Installation, stages: Stages) -> None:
        self.installation = installation
        self.stages = stages

    def verify_receipts(self, story: PortalStory, answers: "Mapping[str, VerifiedAnswer]") -> None:
        """Check each receipt with the portal's own code, then with the stand-alone verifier on its own."""
        import audit.verifier
        from audit.checkpoints.keys import log_verifier_keys

        verifier = Path(audit.verifier.__file__).with_name("lintas_verify.py")
        keys = story.folder / "log.keys"
        keys.write_text("".join(f"{key}\n" for key in log_verifier_keys(self.installation)), encoding="utf-8")
        for role, answer in answers.items():
            portal = story.portal_of(answer.content["service"])
            receipt, behind = self._cosigned(portal, answer)
            proven = portal.check_receipt(answer, receipt)
            path = story.folder / f"{role}.tlog-proof"
            path.write_text(receipt, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-I", str(verifier), "receipt", str(path), "--keys", str(keys)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise DemoBroken(f"the stand-alone verifier refused a receipt: {done.stdout.strip()}")
            self.stages.good(
                f"receipt of the answer {answer.verdict}: entry {proven.index} stands in a log of"
                f" {proven.tree_size} entries (checked by the portal and by audit/verifier/lintas_verify.py);"
                f" {behind}"
            )

    def _cosigned(self, portal: "Portal", answer: "VerifiedAnswer") -> tuple[str, str]:
        """The receipt under a checkpoint that the witness has cosigned, moments after the log's own."""
        from audit.checkpoints.keys import log_verifier_keys
        from audit.checkpoints.policy import Policy
        from audit.publishing.receipt import verify_receipt

        place = self.installation.settings.log_policy
        if place is None:
            return answer.receipt or portal.receipt(answer, wait=5), "no witness is asked"
        policy, keys = Policy.load(place), log_verifier_keys(self.installation)
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            receipt = portal.receipt(answer, wait=5)
            if count := verify_receipt(receipt, keys, policy=policy).witnesses:
                return receipt, f"{count} independent {'witness' if count == 1 else 'witnesses'}"
            time.sleep(0.2)
        raise DemoBroken("no witness stands behind a receipt")

    def tamper_and_find(self, answers: "Mapping[str, VerifiedAnswer]") -> None:
        """Change one entry as the database's superuser, see it named, put it back."""
        entry_id = answers["police-lapsed"].promise["entry"]
        original = self._replace(entry_id, None)
        altered = original.replace(b'"outcome":"refer"', b'"outcome":"passed"')
        if altered == original:
            altered = original[:-2] + b" }"
        try:
            self._replace(entry_id, altered)
            self._expect(whole=False)
        finally:
            self._replace(entry_id, original)
        self._expect(whole=True)

    def _expect(self, *, whole: bool) -> None:
        from audit.checking.verification import verify_installation

        report = verify_installation(self.installation)
        if report.intact is not whole:
            raise DemoBroken("`lintas audit verify` did not notice" if not whole else str(report.first))
        if whole:
            self.stages.good(f"put back: the log is whole again, {report.entries:,} entries recomputed")
            for each in report.not_proven:
                self.stages.line(f"[dim]not proven: {each}[/dim]")
        else:
            self.stages.good(
                f"one row changed as superuser; lintas audit verify says: [red]{report.first}[/red]"
            )

    def _replace(self, entry_id: str, content: bytes | None) -> bytes:
        """The bytes of an entry, replaced when others are given: what only the server's superuser can do."""
        name = self.installation.settings.database_name
        with self.installation.database.admin(name) as connection:
            row = connection.execute(
                "SELECT entry FROM audit.entries WHERE entry_id = %s", [entry_id]
            ).fetchone()
            if row is None:
                raise DemoBroken("the entry is not in the log")
            if content is not None:
                with connection.transaction():
                    connection.execute("SET LOCAL session_replication_role = replica")
                    connection.execute(
                        "UPDATE audit.entries SET entry = %s WHERE entry_id = %s", [content, entry_id]
                    )
        return bytes(row[0])

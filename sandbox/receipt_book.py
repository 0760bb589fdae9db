"""What a portal keeps of every exchange: the signed answer, the promise, the receipt, the last checkpoint.

These files are what `lintas audit reconcile` compares with the log.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

__all__ = ["ReceiptBook"]


class ReceiptBook:
    """A folder of receipts, named by the ids of their answers.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint_file(self) -> Path:
        """Where the last checkpoint that was seen is kept."""
        return self.folder / "log.checkpoint"

    def keep_answer(self, answer_id: str, answer: str, promise: str) -> None:
        """Keep a signed answer, and add the promise that came with it; each reading brings its own."""
        file = self.folder / f"{UUID(answer_id)}.jws"
        kept = file.read_text(encoding="ascii").splitlines() if file.exists() else []
        new = [token for token in (answer, promise) if token not in kept]
        file.write_text("".join(f"{token}\n" for token in (*kept, *new)), encoding="ascii")

    def keep_receipt(self, answer_id: str, receipt: str) -> None:
        """Keep the receipt of an answer."""
        (self.folder / f"{UUID(answer_id)}.tlog-proof").write_text(receipt, encoding="utf-8")

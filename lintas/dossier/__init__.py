"""A dossier: the answer to who saw what, when and by which right, with its proofs, on paper and as files.

In: a question (one subject, one exchange, one case, one period) and who asks. Out: a PDF and a signed bundle
that `audit/verifier/lintas_dossier.py` checks offline. It stands in the highest room because it brings
together what the log (audit), agreements and consents (consent), contracts (schemas) and services
(verification) keep.
"""

from lintas.dossier.question import Asker, Kind, Question
from lintas.dossier.writing import Written, write_dossier

__all__ = ["Asker", "Kind", "Question", "Written", "write_dossier"]

"""WHAT IS ASKED: services, their criteria, answers and referrals.

In: a question about an applicant from an authenticated system, with the claims of the application.
Out: a signed answer (verified, refer or not possible) with an outcome and a reason for each criterion, a
promise that the log holds the exchange, and, where a human must look, a referral with an owner and a
deadline. What cannot be answered lawfully is refused, and the refusal is logged too.
"""

from verification.catalogue import Catalogue, Service, load_catalogue
from verification.errors import ServiceInvalid, ServiceUnknown

__all__ = ["Catalogue", "Service", "ServiceInvalid", "ServiceUnknown", "load_catalogue"]

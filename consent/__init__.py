"""MAY IT FLOW: agreements, consents, and the decision on each exchange.

In: signed agreement revisions of two agencies, consent events of subjects, requests for an exchange.
Out: a `Decision` that names its rules and the exact revisions relied on; a hold on those revisions in the
transaction that commits the exchange; entries for every change in the log.

    request -> facts.gather -> decision.decide -> ... evidence ... -> commitment.hold + take_quota -> commit
"""

from consent.decision import Decision, ExchangeRequest, Facts, RuleFinding, decide
from consent.rules import RULES, Explanation
from consent.vocabulary import Channel, ConsentState, Giver, GuardianGround, LegalBasis, Mode, Outcome, Verb

__all__ = [
    "RULES",
    "Channel",
    "ConsentState",
    "Decision",
    "ExchangeRequest",
    "Explanation",
    "Facts",
    "Giver",
    "GuardianGround",
    "LegalBasis",
    "Mode",
    "Outcome",
    "RuleFinding",
    "Verb",
    "decide",
]

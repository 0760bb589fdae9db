"""What one rule found about one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consent.exchange import ExchangeRequest
from consent.rules import RULES, Explanation

__all__ = ["RuleFinding", "rule_broken", "rule_carrying"]


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """What one rule found; its sentence is made when somebody reads it."""

    rule_id: str
    satisfied: bool
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def explanation(self) -> Explanation:
        """The finding as a sentence, in both languages."""
        return RULES[self.rule_id].explain(**self.names)

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain data, for problems and receipts."""
        return {
            "rule": self.rule_id,
            "satisfied": self.satisfied,
            "explanation": self.explanation.as_dict(),
        }


def rule_broken(rule_id: str, request: ExchangeRequest, **names: str) -> RuleFinding:
    """A rule that the request breaks, with the names that its sentence needs."""
    return RuleFinding(rule_id, satisfied=False, names=_names(request) | names)


def rule_carrying(rule_id: str, request: ExchangeRequest, **names: str) -> RuleFinding:
    """A rule that carries the allowance of the request."""
    return RuleFinding(rule_id, satisfied=True, names=_names(request) | names)


def _names(request: ExchangeRequest) -> dict[str, str]:
    return {
        "consumer": request.consumer,
        "system": request.system,
        "purpose": request.purpose,
        "verb": request.verb.value,
        "mode": request.mode.value,
    }

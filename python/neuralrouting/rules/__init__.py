"""What accounts order about routing: rules, read with the line of every mistake, and matched. Pure."""

from neuralrouting.rules.matching import RuleSet
from neuralrouting.rules.reading import Missing, read_rules
from neuralrouting.rules.tree import RulesRejected
from neuralrouting.rules.values import Rule, RuleFacts, Then, When
from neuralrouting.rules.writing import write_line, write_rules

__all__ = [
    "Missing",
    "Rule",
    "RuleFacts",
    "RuleSet",
    "RulesRejected",
    "Then",
    "When",
    "read_rules",
    "write_line",
    "write_rules",
]

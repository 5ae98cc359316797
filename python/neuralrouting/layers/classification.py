"""Layer 2: what the gateway takes from the native classifier. Pure."""

from neuralrouting.engine import Classification
from neuralrouting.exchange import Task

SURE_OF_RISK = 0.8
"""From this probability on a risk counts. Between 0.5 and here the classifier says yes, too, but there short harmless
questions ("What is 2+2?", "Is water wet?") are among them, while who asks for advice about himself is well above."""


def task_of(found: Classification) -> Task:
    """Return the task as the classifier told it, unsure or not, with a risk only where that is sure."""
    domain = found.risk_domain if found.risk_probability >= SURE_OF_RISK else None
    return Task(found.task, found.confidence, found.abstained, found.complexity, domain is not None, domain)

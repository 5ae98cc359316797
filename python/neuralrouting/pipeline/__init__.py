"""The layers in the order in which a request meets them: start reading in `flow`."""

from neuralrouting.pipeline.flow import Accounts, Caching, Pipeline, Routing

__all__ = ["Accounts", "Caching", "Pipeline", "Routing"]

"""The composition root: configuration in, application out; the only room where all parts meet."""

from neuralrouting.app.application import Application, create
from neuralrouting.app.gateway import gateway
from neuralrouting.app.parts import CATALOG_VARIABLE, LOCAL_VARIABLE

__all__ = ["CATALOG_VARIABLE", "LOCAL_VARIABLE", "Application", "create", "gateway"]

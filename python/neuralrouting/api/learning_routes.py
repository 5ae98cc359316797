"""The routes of what the gateway learns: feedback, the confidence matrix, and shadow audits."""

from starlette.routing import Route

from neuralrouting.api.access import GuardedRoute, Opening
from neuralrouting.api.confidence import ConfidenceMatrix
from neuralrouting.api.door import Door
from neuralrouting.api.feedback import FeedbackDesk
from neuralrouting.api.shadow import Shadow
from neuralrouting.pipeline.learning import Learning
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.confidence import ConfidenceRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.feedback import FeedbackRows


def learning_routes(door: Door, database: Database, learning: Learning, shadow: Shadow) -> list[Route]:
    """Return the routes of `/v1/feedback`, `/v1/routing/matrix` and `/v1/shadow`."""
    accounts = AccountRows(database)
    desk = FeedbackDesk(FeedbackRows(database), AuditRows(database), accounts)
    matrix = ConfidenceMatrix(ConfidenceRows(database), learning.confidence, learning.rebuild, accounts)
    return [
        GuardedRoute("/v1/feedback", door, {"POST": Opening("member", desk.give)}),
        GuardedRoute("/v1/routing/matrix", door, {"GET": Opening("member", matrix.show)}),
        GuardedRoute("/v1/routing/matrix/rebuild", door, {"POST": Opening("owner", matrix.rebuild)}),
        GuardedRoute("/v1/shadow", door, {"GET": Opening("member", shadow.show)}),
        GuardedRoute("/v1/shadow/audits", door, {"GET": Opening("member", shadow.page)}),
        GuardedRoute("/v1/shadow/audits/{id}", door, {"GET": Opening("member", shadow.one)}),
        GuardedRoute("/v1/shadow/audits/{id}/verdict", door, {"PUT": Opening("owner", shadow.judge)}),
    ]

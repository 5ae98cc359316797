"""The pages of single requests and of what the shield found, wired."""

from contextlib import AsyncExitStack

from neuralrouting.app.stopping import at_stop
from neuralrouting.dashboard.live import Live
from neuralrouting.dashboard.page import Section
from neuralrouting.dashboard.viewer import Gate
from neuralrouting.dashboard.views.request_card import RequestCards, Shelves
from neuralrouting.dashboard.views.requests import Requests
from neuralrouting.dashboard.views.security import Security, ShieldOf
from neuralrouting.dashboard.views.tail import Tail
from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database
from neuralrouting.storage.feedback import FeedbackRows
from neuralrouting.storage.security import SecurityRows
from neuralrouting.storage.shadow_audits import ShadowAudits
from neuralrouting.storage.verdicts import EventVerdicts


def open_watching(stack: AsyncExitStack, gate: Gate, database: Database, shield_of: ShieldOf) -> Section:
    """Open the live tails and the pages beside them; tails end when the stack closes."""
    live = Live(database)
    stack.push_async_callback(live.close)
    stack.enter_context(at_stop(live.end))
    rows, events = AuditRows(database), SecurityRows(database)
    shelves = Shelves(rows, Books(database), FeedbackRows(database), ShadowAudits(database), events)
    cards = RequestCards(shelves)
    security = Security(events, EventVerdicts(database), shield_of)
    return Section(
        (Requests(rows, cards, live).page(), cards.page(), security.page()),
        tuple(security.deeds()),
        (Tail(live, gate).service(),),
    )

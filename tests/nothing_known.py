"""Orders and odds of a gateway in which nobody orders anything and nothing was learned."""

from collections.abc import Mapping, Sequence

from neuralrouting.accounts.orders import NO_ORDERS, AccountOrders
from neuralrouting.catalog import Deployment
from neuralrouting.engine import Predictor
from neuralrouting.exchange import Odds, Task


class NoOrders:
    """Of a gateway in which no account orders anything."""

    def of(self, account_id: str) -> AccountOrders:  # noqa: ARG002
        """Return that nothing is ordered."""
        return NO_ORDERS


class NoOdds:
    """Of a gateway that learns nothing: the tiers decide."""

    def odds(
        self,
        account_id: str,  # noqa: ARG002
        task: Task,  # noqa: ARG002
        predicted: Mapping[str, float],  # noqa: ARG002
        candidates: Sequence[Deployment],  # noqa: ARG002
    ) -> tuple[Odds, ...]:
        """Return that nothing is known."""
        return ()

    def predictor(self, account_id: str) -> Predictor | None:  # noqa: ARG002
        """Return that the shipped heads predict."""
        return None

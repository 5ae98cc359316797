"""What spending is put down to, as the conditions of a query: for sums and for single requests alike."""

from collections.abc import Mapping

import msgspec


class Attribution(msgspec.Struct, frozen=True):
    """What figures or requests are narrowed to: None is any, an empty text those that have none.

    `model` is a deployment's id (`openai/gpt-4o`) or the name of a model, at whichever provider. `key` is a key's id.
    """

    user: str | None = None
    feature: str | None = None
    team: str | None = None
    model: str | None = None
    key: str | None = None
    endpoint: str | None = None


ANYTHING = Attribution()
COLUMNS = {
    "user": "end_user",
    "feature": "feature",
    "team": "team",
    "model": "deployment",
    "key": "key_id",
    "endpoint": "endpoint",
}
"""The column, of `cells` as of `requests`, that holds each of these."""


def conditions(
    wanted: Attribution, first: int, columns: Mapping[str, str] = COLUMNS, *, nulls: bool = True
) -> tuple[list[str], list[str]]:
    """Return the conditions and their values, whose placeholders begin with number `first`.

    `columns` is where each name is kept; `nulls`: none may be NULL there, not only ''. Without, an index can serve.
    """
    texts: list[str] = []
    values: list[str] = []
    for name, column in columns.items():
        value: str | None = getattr(wanted, name)
        if value is None:
            continue
        place = f"${first + len(values)}"
        text = f"COALESCE({column}, '') = {place}" if nulls else f"{column} = {place}"
        if name == "model" and value:
            # The end of the id is compared, not searched for: LIKE would obey `%` and `_` in a name.
            end = f"SUBSTR({column}, LENGTH({column}) - LENGTH(CAST({place} AS TEXT)))"
            text = f"({column} = {place} OR {end} = '/' || CAST({place} AS TEXT))"
        texts.append(text)
        values.append(value)
    return texts, values

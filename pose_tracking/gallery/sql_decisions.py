"""What becomes of people's decisions when the sightings they were made on are forgotten."""

from __future__ import annotations

from .sql_database import SqlDatabase


def hand_over(database: SqlDatabase, ids: list[int]) -> None:
    """Move the decisions on sightings that are about to go to the oldest that stays of the same identity.

    Where none stays there is nothing left that the decision could be about.
    """
    going = set(ids)
    for id in ids:
        concerned = database.rows(
            "SELECT id, a, b FROM decisions WHERE is_superseded = 0 AND ? IN (a, b) ORDER BY id", (id,)
        )
        if not concerned:
            continue
        members = database.rows(
            "SELECT o.id FROM sightings s JOIN sightings o ON o.identity = s.identity WHERE s.id = ? ORDER BY o.id",
            (id,),
        )
        heir = next((member for (member,) in members if member not in going), None)
        for decision, a, b in concerned:
            other = b if a == id else a
            if heir is None or heir == other:
                database.rows("UPDATE decisions SET is_superseded = 1 WHERE id = ?", (decision,))
            else:
                database.rows("UPDATE decisions SET a = ?, b = ? WHERE id = ?", (heir, other, decision))

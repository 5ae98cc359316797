-- What people, keys and commands have changed, one row for each change, in the transaction of the change itself. Each
-- account has a chain of its own ('' is that of what belongs to no account, such as plans): `hash` is SHA-256 over the
-- hash before and the row's other columns. `before` and `after` are JSON of what differs; NULL: there was, or is, none.
CREATE TABLE trail (
    account_id TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (account_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER trail_is_not_changed BEFORE UPDATE ON trail
BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END;

CREATE TRIGGER trail_is_not_shortened BEFORE DELETE ON trail
BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END;

-- The last entry of each chain, so that one that was cut short is found.
CREATE TABLE trail_heads (
    account_id TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL DEFAULT 0,
    hash BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(hash) = 32)
) STRICT;

CREATE TRIGGER trail_head_goes_on BEFORE UPDATE ON trail_heads WHEN NEW.seq <> OLD.seq + 1
BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END;

CREATE TRIGGER trail_head_is_not_removed BEFORE DELETE ON trail_heads
BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END;

-- What people, keys and commands have changed, one row for each change, in the transaction of the change itself. Each
-- account has a chain of its own ('' is that of what belongs to no account, such as plans): `hash` is SHA-256 over the
-- hash before and the row's other columns. `before` and `after` are JSON of what differs; NULL: there was, or is, none.
CREATE TABLE trail (
    account_id TEXT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq > 0),
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    hash BYTEA NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (account_id, seq)
);

-- The last entry of each chain, so that one that was cut short is found.
CREATE TABLE trail_heads (
    account_id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL DEFAULT 0,
    hash BYTEA NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (length(hash) = 32)
);

CREATE FUNCTION trail_is_only_appended_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the trail is only appended to';
END
$$;

CREATE TRIGGER trail_is_not_changed BEFORE UPDATE OR DELETE ON trail
FOR EACH ROW EXECUTE FUNCTION trail_is_only_appended_to();

CREATE TRIGGER trail_is_not_emptied BEFORE TRUNCATE ON trail
FOR EACH STATEMENT EXECUTE FUNCTION trail_is_only_appended_to();

CREATE TRIGGER trail_head_goes_on BEFORE UPDATE ON trail_heads
FOR EACH ROW WHEN (NEW.seq <> OLD.seq + 1) EXECUTE FUNCTION trail_is_only_appended_to();

CREATE TRIGGER trail_head_is_not_removed BEFORE DELETE ON trail_heads
FOR EACH ROW EXECUTE FUNCTION trail_is_only_appended_to();

CREATE TRIGGER trail_heads_are_not_emptied BEFORE TRUNCATE ON trail_heads
FOR EACH STATEMENT EXECUTE FUNCTION trail_is_only_appended_to();

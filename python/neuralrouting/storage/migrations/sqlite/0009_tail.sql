-- What a person said of something that the shield found: `wrong` is a false positive. What was recorded stays as it is.
CREATE TABLE security_verdicts (
    account_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('right', 'wrong')),
    actor TEXT NOT NULL,
    judged_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, request_id)
) STRICT, WITHOUT ROWID;

-- Counts by day are read from here alone, and so is who is counted.
CREATE INDEX security_events_counts ON security_events (account_id, created_ms, action, category, key_id, end_user);

-- `requests` is followed by its rowid, which grows with every row: writers take turns here, so that no row is written
-- late with a number that came before.

-- What a person said of something that the shield found: `wrong` is a false positive. What was recorded stays as it is.
CREATE TABLE security_verdicts (
    account_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('right', 'wrong')),
    actor TEXT NOT NULL,
    judged_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, request_id)
);

-- Counts by day are read from here alone, and so is who is counted.
CREATE INDEX security_events_counts ON security_events (account_id, created_ms, action, category, key_id, end_user);

-- In which order rows were written, for whoever follows them. NULL: a row from before this, which nobody follows any more;
-- giving those a number would rewrite the table.
ALTER TABLE requests ADD COLUMN seq BIGINT;
CREATE SEQUENCE requests_seq OWNED BY requests.seq;
ALTER TABLE requests ALTER COLUMN seq SET DEFAULT nextval('requests_seq');
CREATE INDEX requests_seq_index ON requests (seq) WHERE seq IS NOT NULL;

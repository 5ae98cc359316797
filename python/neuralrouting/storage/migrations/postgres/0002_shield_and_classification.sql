-- NULL: the configured default.
ALTER TABLE api_keys ADD COLUMN shield_mode TEXT CHECK (shield_mode IN ('off', 'monitor', 'block'));

-- An account's own rules, as TOML. Taken back means empty, not deleted, so that workers see it as a change.
CREATE TABLE shield_rules (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id),
    toml TEXT NOT NULL,
    changed_ms BIGINT NOT NULL
);

-- What the shield found, at most one row a request; its prompt only where bodies are stored. Risk is in thousandths.
CREATE TABLE security_events (
    request_id TEXT NOT NULL PRIMARY KEY,
    created_ms BIGINT NOT NULL,
    account_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    end_user TEXT,
    endpoint TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('block', 'flag', 'monitor', 'unscanned')),
    category TEXT,
    rule_category TEXT,
    risk_permille SMALLINT NOT NULL CHECK (risk_permille BETWEEN 0 AND 1000),
    rule_ids TEXT NOT NULL,
    channel TEXT,
    via TEXT,
    message_index BIGINT,
    span_start BIGINT,
    span_end BIGINT,
    excerpt TEXT,
    text_sha256 BYTEA,
    pack_hash TEXT NOT NULL,
    truncated SMALLINT NOT NULL CHECK (truncated IN (0, 1)),
    body BYTEA
);

CREATE INDEX security_events_account_created ON security_events (account_id, created_ms, request_id);

-- What was asked for, NULL where no model was to be asked. Complexity is in tenths of its scale from 0 to 10.
ALTER TABLE requests ADD COLUMN task TEXT;
ALTER TABLE requests ADD COLUMN complexity_tenths SMALLINT CHECK (complexity_tenths BETWEEN 0 AND 100);
ALTER TABLE requests ADD COLUMN high_risk SMALLINT CHECK (high_risk IN (0, 1));
ALTER TABLE requests ADD COLUMN risk_domain TEXT;

-- Money is in nano-dollars, time in Unix milliseconds, durations in microseconds, flags are 0 or 1.

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    live SMALLINT NOT NULL CHECK (live IN (0, 1)),
    secret_sha256 BYTEA NOT NULL CHECK (LENGTH(secret_sha256) = 32),
    last4 TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT,
    changed_ms BIGINT NOT NULL
);

CREATE INDEX api_keys_changed ON api_keys (changed_ms);

-- No foreign keys: a request that was served is written down even when its account is gone.
CREATE TABLE requests (
    request_id TEXT NOT NULL PRIMARY KEY,
    created_ms BIGINT NOT NULL,
    account_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    stream SMALLINT NOT NULL CHECK (stream IN (0, 1)),
    end_user TEXT,
    session_id TEXT,
    feature TEXT,
    requested_model TEXT,
    routing_mode TEXT,
    route_rule TEXT,
    deployment TEXT,
    model TEXT,
    provider TEXT,
    simulated SMALLINT NOT NULL CHECK (simulated IN (0, 1)),
    cache TEXT NOT NULL,
    status SMALLINT NOT NULL,
    error_code TEXT,
    attempts TEXT NOT NULL,
    candidates TEXT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    usage_source TEXT,
    cost_nanousd BIGINT,
    baseline_nanousd BIGINT,
    price_version TEXT,
    latency_us BIGINT NOT NULL,
    ttft_us BIGINT,
    overhead_us BIGINT,
    request_body BYTEA,
    response_body BYTEA
);

CREATE INDEX requests_account_created ON requests (account_id, created_ms);

-- Only appended to, since an index over random keys cost more than the row: of two entries with one key the newer counts.
-- `seq` grows, so that a worker can ask for what is new to it.
CREATE TABLE cache_entries (
    seq BIGSERIAL PRIMARY KEY,
    key BYTEA NOT NULL,
    account_id TEXT NOT NULL,
    body BYTEA NOT NULL,
    deployment TEXT NOT NULL,
    simulated SMALLINT NOT NULL CHECK (simulated IN (0, 1)),
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    stored_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

-- Money is in nano-dollars, time in Unix milliseconds, durations in microseconds, flags are 0 or 1.

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    live INTEGER NOT NULL CHECK (live IN (0, 1)),
    secret_sha256 BLOB NOT NULL CHECK (LENGTH(secret_sha256) = 32),
    last4 TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    changed_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX api_keys_changed ON api_keys (changed_ms);

-- No foreign keys: a request that was served is written down even when its account is gone.
CREATE TABLE requests (
    request_id TEXT NOT NULL PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    account_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    stream INTEGER NOT NULL CHECK (stream IN (0, 1)),
    end_user TEXT,
    session_id TEXT,
    feature TEXT,
    requested_model TEXT,
    routing_mode TEXT,
    route_rule TEXT,
    deployment TEXT,
    model TEXT,
    provider TEXT,
    simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    cache TEXT NOT NULL,
    status INTEGER NOT NULL,
    error_code TEXT,
    attempts TEXT NOT NULL,
    candidates TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    usage_source TEXT,
    cost_nanousd INTEGER,
    baseline_nanousd INTEGER,
    price_version TEXT,
    latency_us INTEGER NOT NULL,
    ttft_us INTEGER,
    overhead_us INTEGER,
    request_body BLOB,
    response_body BLOB
) STRICT;

CREATE INDEX requests_account_created ON requests (account_id, created_ms);

-- Only appended to, since an index over random keys cost more than the row: of two entries with one key the newer counts.
-- `seq` grows, so that a worker can ask for what is new to it.
CREATE TABLE cache_entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL,
    account_id TEXT NOT NULL,
    body BLOB NOT NULL,
    deployment TEXT NOT NULL,
    simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

-- Credits are in millicredits (`_mc`), money in nano-dollars, time in Unix milliseconds, flags are 0 or 1.

-- NULL in a limit: none. `monthly_mc` NULL: credits are not counted. `modes` is a JSON list of routing modes.
CREATE TABLE plans (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    price_cents BIGINT NOT NULL CHECK (price_cents >= 0),
    monthly_mc BIGINT CHECK (monthly_mc >= 0),
    requests_per_minute BIGINT CHECK (requests_per_minute > 0),
    tokens_per_minute BIGINT CHECK (tokens_per_minute > 0),
    parallel BIGINT CHECK (parallel > 0),
    modes TEXT NOT NULL,
    force_model SMALLINT NOT NULL CHECK (force_model IN (0, 1)),
    changed_ms BIGINT NOT NULL
);

INSERT INTO plans VALUES
    ('unlimited', 'Unlimited', 0, NULL, NULL, NULL, NULL, '["auto","cost","quality","speed"]', 1, 0),
    ('free', 'Free', 0, 5000000, 3, NULL, NULL, '["auto"]', 0, 0),
    ('starter', 'Starter', 2900, 50000000, 60, NULL, NULL, '["auto","cost"]', 1, 0),
    ('growth', 'Growth', 8900, 200000000, 250, NULL, NULL, '["auto","cost","quality","speed"]', 1, 0),
    ('business', 'Business', 34900, 1000000000, 1000, NULL, NULL, '["auto","cost","quality","speed"]', 1, 0);

ALTER TABLE accounts ADD COLUMN plan_id TEXT NOT NULL DEFAULT 'unlimited';
ALTER TABLE accounts ADD COLUMN changed_ms BIGINT NOT NULL DEFAULT 0;
CREATE INDEX accounts_changed ON accounts (changed_ms);

ALTER TABLE api_keys ADD COLUMN role TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'owner', 'operator'));
ALTER TABLE api_keys ADD COLUMN team TEXT;
ALTER TABLE api_keys ADD COLUMN requests_per_minute BIGINT CHECK (requests_per_minute > 0);
ALTER TABLE api_keys ADD COLUMN tokens_per_minute BIGINT CHECK (tokens_per_minute > 0);
ALTER TABLE api_keys ADD COLUMN parallel BIGINT CHECK (parallel > 0);

-- One per account. `reserved_mc` is what the workers' leases hold; `grant_mc` is what is left of the month's credits,
-- which `posted_mc` includes; `period` is the month they are of ('2026-11') and `granted_mc` all that was granted in it;
-- `seq` and `hash` are of the last ledger row.
CREATE TABLE balances (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id),
    posted_mc BIGINT NOT NULL DEFAULT 0,
    reserved_mc BIGINT NOT NULL DEFAULT 0 CHECK (reserved_mc >= 0),
    grant_mc BIGINT NOT NULL DEFAULT 0 CHECK (grant_mc >= 0),
    period TEXT NOT NULL DEFAULT '',
    granted_mc BIGINT NOT NULL DEFAULT 0 CHECK (granted_mc >= 0),
    seq BIGINT NOT NULL DEFAULT 0,
    hash BYTEA NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000',
    CHECK (posted_mc >= reserved_mc)
) WITH (fillfactor = 50);

INSERT INTO balances (account_id) SELECT id FROM accounts;

-- Only appended to. One row is one entry with both its sides: `delta_mc` goes to the account, the opposite to `counter`.
-- `ref` is the request id of a usage, the reference of anything else. `cost_nanousd` is what the provider takes (NULL:
-- unpriced). `loss_mc` was due and could not be taken any more. `hash` is over the hash before and this row.
CREATE TABLE ledger (
    account_id TEXT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq > 0),
    created_ms BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('usage', 'grant', 'expiry', 'topup', 'refund', 'adjustment')),
    ref TEXT NOT NULL,
    counter TEXT NOT NULL CHECK (counter IN ('revenue', 'plan', 'funding', 'house')),
    delta_mc BIGINT NOT NULL,
    cost_nanousd BIGINT,
    loss_mc BIGINT NOT NULL DEFAULT 0 CHECK (loss_mc >= 0),
    simulated SMALLINT NOT NULL DEFAULT 0 CHECK (simulated IN (0, 1)),
    actor TEXT,
    reason TEXT,
    hash BYTEA NOT NULL CHECK (LENGTH(hash) = 32),
    PRIMARY KEY (account_id, seq)
);

CREATE UNIQUE INDEX ledger_once ON ledger (account_id, kind, ref);

CREATE FUNCTION ledger_is_only_appended_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is only appended to';
END
$$;

CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE OR DELETE ON ledger
FOR EACH ROW EXECUTE FUNCTION ledger_is_only_appended_to();

CREATE TRIGGER ledger_is_not_emptied BEFORE TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_only_appended_to();

-- One per running worker. `applied` is how far (in bytes) its journal is in the tables, `turn` counts its transactions,
-- `seen_ms` is the database's clock when it last wrote. `alone`: it may let requests in by its machine's own count.
CREATE TABLE workers (
    id TEXT NOT NULL PRIMARY KEY,
    machine TEXT NOT NULL,
    turn BIGINT NOT NULL DEFAULT 0,
    applied BIGINT NOT NULL DEFAULT 0,
    seen_ms BIGINT NOT NULL,
    alone SMALLINT NOT NULL DEFAULT 0 CHECK (alone IN (0, 1))
);

-- What a worker may spend without asking: of the purse 'credits/ACCOUNT' in millicredits, of the purse
-- 'budget/ID/EPOCH/SUBJECT' in nano-dollars.
CREATE TABLE leases (
    worker_id TEXT NOT NULL REFERENCES workers (id),
    purse TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (worker_id, purse)
);

CREATE INDEX leases_purse ON leases (purse);

-- `subject` is '' for the scope `account`, '*' for each value of the scope on its own, else the one value.
CREATE TABLE budgets (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('account', 'key', 'user', 'feature', 'team', 'model')),
    subject TEXT NOT NULL,
    period TEXT NOT NULL CHECK (period IN ('hour', 'day', 'week', 'month', 'total')),
    limit_nanousd BIGINT NOT NULL CHECK (limit_nanousd > 0),
    action TEXT NOT NULL CHECK (action IN ('warn', 'block', 'downgrade')),
    warn_percent BIGINT NOT NULL DEFAULT 80 CHECK (warn_percent BETWEEN 1 AND 100),
    deleted SMALLINT NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    changed_ms BIGINT NOT NULL
);

CREATE INDEX budgets_account ON budgets (account_id);
CREATE INDEX budgets_changed ON budgets (changed_ms);

-- What was spent of one budget, by one subject, in the period that began at `epoch_ms` (0: total).
CREATE TABLE budget_windows (
    purse TEXT NOT NULL PRIMARY KEY,
    budget_id TEXT NOT NULL,
    epoch_ms BIGINT NOT NULL,
    subject TEXT NOT NULL,
    spent_nanousd BIGINT NOT NULL DEFAULT 0 CHECK (spent_nanousd >= 0),
    reserved_nanousd BIGINT NOT NULL DEFAULT 0 CHECK (reserved_nanousd >= 0)
);

CREATE INDEX budget_windows_budget ON budget_windows (budget_id, epoch_ms);

-- Rows from before this have `hold_state` NULL. 'none': nothing was to be paid; 'expired': the worker died before the end.
ALTER TABLE requests ADD COLUMN team TEXT;
ALTER TABLE requests ADD COLUMN hold_state TEXT CHECK (hold_state IN ('none', 'settled', 'voided', 'expired'));
ALTER TABLE requests ADD COLUMN held_mc BIGINT NOT NULL DEFAULT 0 CHECK (held_mc >= 0);
ALTER TABLE requests ADD COLUMN charged_mc BIGINT NOT NULL DEFAULT 0 CHECK (charged_mc >= 0 AND charged_mc <= held_mc);
ALTER TABLE requests ADD COLUMN house_nanousd BIGINT NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN provider_cache_nanousd BIGINT NOT NULL DEFAULT 0;

-- One per combination of what spending is attributed to; `id` is made from the other columns. '' stands for none.
CREATE TABLE cells (
    id BIGINT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    team TEXT NOT NULL,
    end_user TEXT NOT NULL,
    feature TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    deployment TEXT NOT NULL,
    simulated SMALLINT NOT NULL CHECK (simulated IN (0, 1))
);

CREATE INDEX cells_account ON cells (account_id);

-- Sums of the requests of one cell in the hour or the UTC day that began at `start_ms`. Baseline and savings are over the
-- requests that have both a cost and a baseline; `unpriced` counts those without a cost.
CREATE TABLE rollups (
    cell_id BIGINT NOT NULL,
    grain TEXT NOT NULL CHECK (grain IN ('hour', 'day')),
    start_ms BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    blocked BIGINT NOT NULL,
    exact_hits BIGINT NOT NULL,
    semantic_hits BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    charged_mc BIGINT NOT NULL,
    cost_nanousd BIGINT NOT NULL,
    baseline_nanousd BIGINT NOT NULL,
    saved_routing_nanousd BIGINT NOT NULL,
    saved_exact_nanousd BIGINT NOT NULL,
    saved_semantic_nanousd BIGINT NOT NULL,
    provider_cache_nanousd BIGINT NOT NULL,
    house_nanousd BIGINT NOT NULL,
    PRIMARY KEY (cell_id, grain, start_ms)
);

-- Sums of the requests of one session (the client's `session_id`).
CREATE TABLE sessions (
    account_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    simulated SMALLINT NOT NULL CHECK (simulated IN (0, 1)),
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    cost_nanousd BIGINT NOT NULL,
    baseline_nanousd BIGINT NOT NULL,
    saved_nanousd BIGINT NOT NULL,
    PRIMARY KEY (account_id, session_id, simulated)
);

-- Answers kept for a repeated Idempotency-Key. `worker_id` is who makes the answer while `status` is NULL.
CREATE TABLE idempotency (
    account_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BYTEA NOT NULL CHECK (LENGTH(fingerprint) = 32),
    worker_id TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    status BIGINT,
    headers TEXT,
    body BYTEA,
    PRIMARY KEY (account_id, endpoint, idempotency_key)
);

CREATE INDEX idempotency_expires ON idempotency (expires_ms);
CREATE INDEX idempotency_running ON idempotency (worker_id) WHERE status IS NULL;

-- What runs once a day, by whoever comes first: when it last ran and what it found.
CREATE TABLE checks (
    name TEXT NOT NULL PRIMARY KEY,
    ran_ms BIGINT NOT NULL,
    day TEXT NOT NULL,
    findings TEXT NOT NULL
);

-- Requests that a machine may let in of a subject's minute (`subject`: SHA-256 in hex), granted at the database's clock;
-- `past`: what it had let in until then by its own count. Only machines that share a PostgreSQL write here.
CREATE TABLE rate_slices (
    subject TEXT NOT NULL,
    granted_ms BIGINT NOT NULL,
    machine TEXT NOT NULL,
    past SMALLINT NOT NULL CHECK (past IN (0, 1)),
    units BIGINT NOT NULL CHECK (units >= 0),
    PRIMARY KEY (subject, granted_ms, machine, past)
);

CREATE INDEX rate_slices_granted ON rate_slices (granted_ms);

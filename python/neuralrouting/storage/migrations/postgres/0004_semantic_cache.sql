-- What else of the request must be equal where only its last text is alike (`scope`), what that text is compared by
-- (`probe`, in the terms of `embedder`), and its vector by a second embedder. NULL: found by its exact key only.
ALTER TABLE cache_entries ADD COLUMN scope BYTEA;
ALTER TABLE cache_entries ADD COLUMN probe BYTEA;
ALTER TABLE cache_entries ADD COLUMN embedder TEXT;
ALTER TABLE cache_entries ADD COLUMN decider TEXT;
ALTER TABLE cache_entries ADD COLUMN decided BYTEA;

-- One entry by its key, and those of an account in turn. It costs as much to write as the row does; one over scopes,
-- which purges alone would use, would cost that again.
CREATE INDEX cache_entries_key ON cache_entries (account_id, key, seq);

-- Of this account, what was stored by `purged_ms` and matches all that is not NULL is gone: here, and in the memory of
-- every worker, which follows by `seq`. The row comes first, the entries go after; `swept_ms`: when they last went.
CREATE TABLE cache_purges (
    seq BIGSERIAL PRIMARY KEY,
    account_id TEXT NOT NULL,
    scope BYTEA,
    key BYTEA,
    pattern TEXT,
    purged_ms BIGINT NOT NULL,
    swept_ms BIGINT NOT NULL
);

-- Whether an answer from the cache was right. One that was not is purged in the same transaction.
CREATE TABLE cache_judgements (
    seq BIGSERIAL PRIMARY KEY,
    account_id TEXT NOT NULL,
    scope BYTEA,
    key BYTEA NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('exact', 'canonical', 'semantic')),
    similarity DOUBLE PRECISION NOT NULL,
    agreed SMALLINT NOT NULL CHECK (agreed IN (0, 1)),
    source TEXT NOT NULL,
    judged_ms BIGINT NOT NULL
);

CREATE INDEX cache_judgements_account ON cache_judgements (account_id, kind, agreed);
CREATE INDEX cache_judgements_against ON cache_judgements (seq) WHERE agreed = 0;

-- What has been settled and is not in `figures` yet: a row for each cell and hour of each turn, only appended to. Sums
-- are those of `rollups`. Whoever wants to know what an account came to adds both tables up.
CREATE TABLE fresh_figures (
    seq INTEGER NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_user TEXT NOT NULL,
    feature TEXT NOT NULL,
    team TEXT NOT NULL,
    deployment TEXT NOT NULL,
    key_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    blocked INTEGER NOT NULL,
    exact_hits INTEGER NOT NULL,
    semantic_hits INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    charged_mc INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    baseline_nanousd INTEGER NOT NULL,
    saved_routing_nanousd INTEGER NOT NULL,
    saved_exact_nanousd INTEGER NOT NULL,
    saved_semantic_nanousd INTEGER NOT NULL,
    provider_cache_nanousd INTEGER NOT NULL,
    house_nanousd INTEGER NOT NULL
) STRICT;

-- Sums of an account by at most two of what spending is put down to: `axes` names them ('', 'user', 'user feature'),
-- `first` and `second` are their values. `grain` is the hour, the UTC day or the span of eight days that began at
-- `start_ms`; spans are counted from 1970 on. Hours are kept by one axis at most.
CREATE TABLE figures (
    account_id TEXT NOT NULL,
    axes TEXT NOT NULL,
    grain TEXT NOT NULL CHECK (grain IN ('hour', 'day', 'span')),
    start_ms INTEGER NOT NULL,
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    blocked INTEGER NOT NULL,
    exact_hits INTEGER NOT NULL,
    semantic_hits INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    charged_mc INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    baseline_nanousd INTEGER NOT NULL,
    saved_routing_nanousd INTEGER NOT NULL,
    saved_exact_nanousd INTEGER NOT NULL,
    saved_semantic_nanousd INTEGER NOT NULL,
    provider_cache_nanousd INTEGER NOT NULL,
    house_nanousd INTEGER NOT NULL,
    PRIMARY KEY (account_id, axes, grain, start_ms, first, second, simulated)
) STRICT, WITHOUT ROWID;

INSERT INTO fresh_figures (
    account_id, start_ms, end_user, feature, team, deployment, key_id, endpoint, simulated, requests, failed, blocked,
    exact_hits, semantic_hits, unpriced, prompt_tokens, completion_tokens, cached_tokens, charged_mc, cost_nanousd,
    baseline_nanousd, saved_routing_nanousd, saved_exact_nanousd, saved_semantic_nanousd, provider_cache_nanousd,
    house_nanousd
)
SELECT
    account_id, start_ms, end_user, feature, team, deployment, key_id, endpoint, simulated, requests, failed, blocked,
    exact_hits, semantic_hits, unpriced, prompt_tokens, completion_tokens, cached_tokens, charged_mc, cost_nanousd,
    baseline_nanousd, saved_routing_nanousd, saved_exact_nanousd, saved_semantic_nanousd, provider_cache_nanousd,
    house_nanousd
FROM cells JOIN rollups ON rollups.cell_id = cells.id WHERE rollups.grain = 'hour' ORDER BY start_ms;

-- Three questions at once and more are still answered by the rollups: these find the few cells that they are about.
CREATE INDEX cells_user ON cells (account_id, end_user);
CREATE INDEX cells_feature ON cells (account_id, feature, deployment);
DROP INDEX cells_account;

-- Pages of requests are read in this order: without the id in it, thousands of rows were sorted for each page.
CREATE INDEX requests_page ON requests (account_id, created_ms, request_id);
DROP INDEX requests_account_created;

-- The same for pages of audits.
CREATE INDEX shadow_audits_page ON shadow_audits (account_id, seq);

-- What has been settled and is not in `figures` yet: a row for each cell and hour of each turn, only appended to. Sums
-- are those of `rollups`. Whoever wants to know what an account came to adds both tables up.
CREATE TABLE fresh_figures (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL,
    start_ms BIGINT NOT NULL,
    end_user TEXT COLLATE "C" NOT NULL,
    feature TEXT COLLATE "C" NOT NULL,
    team TEXT COLLATE "C" NOT NULL,
    deployment TEXT COLLATE "C" NOT NULL,
    key_id TEXT COLLATE "C" NOT NULL,
    endpoint TEXT COLLATE "C" NOT NULL,
    simulated SMALLINT NOT NULL CHECK (simulated IN (0, 1)),
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
    house_nanousd BIGINT NOT NULL
);

-- Sums of an account by at most two of what spending is put down to: `axes` names them ('', 'user', 'user feature'),
-- `first` and `second` are their values. `grain` is the hour, the UTC day or the span of eight days that began at
-- `start_ms`; spans are counted from 1970 on. Hours are kept by one axis at most.
CREATE TABLE figures (
    account_id TEXT COLLATE "C" NOT NULL,
    axes TEXT COLLATE "C" NOT NULL,
    grain TEXT COLLATE "C" NOT NULL CHECK (grain IN ('hour', 'day', 'span')),
    start_ms BIGINT NOT NULL,
    first TEXT COLLATE "C" NOT NULL,
    second TEXT COLLATE "C" NOT NULL,
    simulated SMALLINT NOT NULL CHECK (simulated IN (0, 1)),
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
    PRIMARY KEY (account_id, axes, grain, start_ms, first, second, simulated)
);

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

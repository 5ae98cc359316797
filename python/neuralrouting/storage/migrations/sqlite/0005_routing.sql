-- What an account has ordered about routing. `rules` is YAML as its owner wrote it; NULL: as configured. `shadow` 0: its
-- prompts are never answered a second time behind the request.
CREATE TABLE routing_settings (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id),
    rules TEXT NOT NULL DEFAULT '',
    routing_mode TEXT CHECK (routing_mode IN ('auto', 'cost', 'quality', 'speed')),
    cascade INTEGER CHECK (cascade IN (0, 1)),
    shadow INTEGER NOT NULL DEFAULT 1 CHECK (shadow IN (0, 1)),
    changed_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX routing_settings_changed ON routing_settings (changed_ms);

-- NULL: as the account's.
ALTER TABLE api_keys ADD COLUMN routing_mode TEXT CHECK (routing_mode IN ('auto', 'cost', 'quality', 'speed'));

-- What each layer saw and decided, as JSON; NULL: a row from before this.
ALTER TABLE requests ADD COLUMN decision TEXT;

-- One prompt answered by two models and judged, behind the request that asked it; neither prompt nor answers are kept.
-- `kind` `answer`: `candidate` against `reference`, one of which `served`; `cache`: a stored answer (`candidate`, whose
-- entry is `entry`) against one given afresh. `difference` is the candidate's quality minus the reference's, -1 to 1,
-- NULL: not judged. `propensity` is the probability with which it was drawn. `features` is what the prompt is predicted
-- by, `embedding` its direction. `human` is what a person said of it. `cost_nanousd` is all calls of this audit.
CREATE TABLE shadow_audits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('answer', 'cache')),
    task TEXT NOT NULL,
    complexity_tenths INTEGER,
    served TEXT NOT NULL,
    candidate TEXT NOT NULL,
    reference TEXT NOT NULL,
    candidate_version TEXT NOT NULL DEFAULT '',
    reference_version TEXT NOT NULL DEFAULT '',
    entry BLOB,
    similarity REAL,
    propensity REAL NOT NULL CHECK (propensity > 0 AND propensity <= 1),
    predicted REAL,
    features BLOB,
    embedding BLOB,
    verdict TEXT CHECK (verdict IN ('win', 'tie', 'lose')),
    difference REAL CHECK (difference BETWEEN -1 AND 1),
    method TEXT NOT NULL,
    judge TEXT,
    reason TEXT NOT NULL,
    cost_nanousd INTEGER NOT NULL CHECK (cost_nanousd >= 0),
    simulated INTEGER NOT NULL DEFAULT 0 CHECK (simulated IN (0, 1)),
    judged_ms INTEGER NOT NULL,
    human TEXT CHECK (human IN ('win', 'tie', 'lose')),
    human_ms INTEGER
) STRICT;

CREATE INDEX shadow_audits_account ON shadow_audits (account_id, judged_ms);
CREATE INDEX shadow_audits_request ON shadow_audits (account_id, request_id);
CREATE INDEX shadow_audits_human ON shadow_audits (account_id, human_ms) WHERE human_ms IS NOT NULL;

-- What the audits of an account have cost on a UTC day (days since 1970), and what running ones may come to: it is set
-- aside here, by all workers, before anybody is asked.
CREATE TABLE shadow_spending (
    account_id TEXT NOT NULL,
    day INTEGER NOT NULL,
    nanousd INTEGER NOT NULL CHECK (nanousd >= 0),
    PRIMARY KEY (account_id, day)
) STRICT;

-- What somebody, or their next question, said of an answer. `score` goes from -1 to 1; `source` `reask` and `edit` are
-- weak signs that nobody gave on purpose.
CREATE TABLE feedback (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('user', 'reask', 'edit')),
    score REAL NOT NULL CHECK (score BETWEEN -1 AND 1),
    comment TEXT,
    task TEXT,
    deployment TEXT,
    created_ms INTEGER NOT NULL,
    UNIQUE (account_id, request_id, source)
) STRICT;

CREATE INDEX feedback_account ON feedback (account_id, created_ms);

-- The confidence matrix of an account as it was last built, the same for every worker. `seq` grows with every build in
-- the table, 0: there is none yet; `matrix` is JSON, `heads` what was learned of single prompts. Whoever builds it has
-- claimed it at `claimed_ms`.
CREATE TABLE confidence (
    account_id TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    built_ms INTEGER NOT NULL,
    matrix TEXT NOT NULL,
    heads BLOB,
    claimed_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX confidence_seq ON confidence (seq);

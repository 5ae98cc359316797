-- Whoever may look at the dashboard of an account. `email` is in lower case. `password_hash` NULL: none is set, they come
-- by a link or through an identity provider, which knows them as `subject` (issuer and subject). The id stays for ever,
-- the trail of what was changed names it.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    email TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'member', 'billing', 'viewer')),
    password_hash TEXT,
    subject TEXT UNIQUE,
    created_ms BIGINT NOT NULL,
    disabled_ms BIGINT,
    last_seen_ms BIGINT
);

CREATE INDEX users_account ON users (account_id, role);

-- Who is signed in, from where. `digest` is SHA-256 of the cookie's value; a session that has ended has no row.
CREATE TABLE user_sessions (
    digest BYTEA NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_ms BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
);

CREATE INDEX user_sessions_user ON user_sessions (user_id, created_ms);
CREATE INDEX user_sessions_expires ON user_sessions (expires_ms);

-- Links that let somebody in once. `digest` is SHA-256 of the token. `purpose` `first` makes the first user of all, who
-- is the owner of `account_id`, and has no `user_id`; `enter` is for a user that there is.
CREATE TABLE sign_in_links (
    digest BYTEA NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    user_id TEXT REFERENCES users (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('first', 'enter')),
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT,
    CHECK ((purpose = 'first') = (user_id IS NULL))
);

CREATE INDEX sign_in_links_user ON sign_in_links (user_id);
CREATE INDEX sign_in_links_expires ON sign_in_links (expires_ms);

-- Sign-ins that were tried and did not succeed, for each e-mail address (its digest) and each network address, since
-- the first of them.
CREATE TABLE sign_in_failures (
    subject TEXT NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL CHECK (failures >= 0),
    since_ms BIGINT NOT NULL
);

CREATE INDEX sign_in_failures_since ON sign_in_failures (since_ms);

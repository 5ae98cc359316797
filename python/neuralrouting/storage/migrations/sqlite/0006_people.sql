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
    created_ms INTEGER NOT NULL,
    disabled_ms INTEGER,
    last_seen_ms INTEGER
) STRICT;

CREATE INDEX users_account ON users (account_id, role);

-- Who is signed in, from where. `digest` is SHA-256 of the cookie's value; a session that has ended has no row.
CREATE TABLE user_sessions (
    digest BLOB NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT;

CREATE INDEX user_sessions_user ON user_sessions (user_id, created_ms);
CREATE INDEX user_sessions_expires ON user_sessions (expires_ms);

-- Links that let somebody in once. `digest` is SHA-256 of the token. `purpose` `first` makes the first user of all, who
-- is the owner of `account_id`, and has no `user_id`; `enter` is for a user that there is.
CREATE TABLE sign_in_links (
    digest BLOB NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    user_id TEXT REFERENCES users (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('first', 'enter')),
    expires_ms INTEGER NOT NULL,
    used_ms INTEGER,
    CHECK ((purpose = 'first') = (user_id IS NULL))
) STRICT;

CREATE INDEX sign_in_links_user ON sign_in_links (user_id);
CREATE INDEX sign_in_links_expires ON sign_in_links (expires_ms);

-- Sign-ins that were tried and did not succeed, for each e-mail address (its digest) and each network address, since
-- the first of them.
CREATE TABLE sign_in_failures (
    subject TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL CHECK (failures >= 0),
    since_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX sign_in_failures_since ON sign_in_failures (since_ms);

-- The catalog: artifacts, their variants, the versions of a variant, and where the bytes of a version are.
--
-- Times are microseconds since 1970-01-01T00:00:00Z. Version ids are the 16 bytes of a UUID.
-- A migration that was released is never changed: the next change is a new file.

-- "bdst": what tells this database from another program's.
PRAGMA application_id = 1650750324;

-- The facts that all variants of an artifact share.
CREATE TABLE artifacts (
    tenant        TEXT    NOT NULL,
    artifact      TEXT    NOT NULL,
    artifact_type TEXT    NOT NULL,
    board         TEXT,
    access        TEXT    NOT NULL CHECK (access IN ('public', 'private', 'temporary', 'authenticated')),
    created_at    INTEGER NOT NULL,
    -- When its last version was deleted: from then on it may be created anew, with other facts. The row stays, because
    -- the numbers of its variants' versions are never given twice.
    forgotten_at  INTEGER,
    PRIMARY KEY (tenant, artifact)
) STRICT, WITHOUT ROWID;

-- What listings walk; what is deleted costs them nothing.
CREATE INDEX artifacts_by_board ON artifacts (tenant, board, artifact)
    WHERE board IS NOT NULL AND forgotten_at IS NULL;
CREATE INDEX artifacts_by_type ON artifacts (tenant, artifact_type, artifact) WHERE forgotten_at IS NULL;

CREATE TABLE variants (
    id              INTEGER PRIMARY KEY,
    tenant          TEXT    NOT NULL,
    artifact        TEXT    NOT NULL,
    variant         TEXT    NOT NULL,
    -- The highest number ever given to a version.
    last_number     INTEGER NOT NULL CHECK (last_number >= 1),
    -- The newest version that is not deleted; NULL if all are. Not declared as a reference: the two tables refer to
    -- each other, and for a deferred one SQLite searches this table at each insert into the other.
    current_version BLOB,
    UNIQUE (tenant, artifact, variant),
    FOREIGN KEY (tenant, artifact) REFERENCES artifacts (tenant, artifact)
) STRICT;

-- What the other listings walk.
CREATE INDEX variants_present ON variants (tenant, artifact, variant) WHERE current_version IS NOT NULL;

CREATE TABLE versions (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    variant_id          INTEGER NOT NULL REFERENCES variants (id),
    number              INTEGER NOT NULL CHECK (number >= 1),
    size_bytes          INTEGER NOT NULL CHECK (size_bytes >= 0),
    content_type        TEXT,
    content_disposition TEXT,
    content_encoding    TEXT,
    content_language    TEXT,
    cache_control       TEXT,
    digest              TEXT    NOT NULL,
    digest_state        TEXT    NOT NULL CHECK (digest_state IN ('declared', 'verified')),
    created_at          INTEGER NOT NULL,
    -- The tombstone: readers no longer see the version.
    deleted_at          INTEGER,
    -- The bytes are known to be gone.
    purged_at           INTEGER CHECK (purged_at IS NULL OR deleted_at IS NOT NULL),
    UNIQUE (variant_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX versions_by_digest ON versions (digest);
CREATE INDEX versions_to_purge ON versions (deleted_at, id) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

CREATE TABLE user_metadata (
    version BLOB NOT NULL REFERENCES versions (id),
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (version, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE replicas (
    version       BLOB    NOT NULL REFERENCES versions (id),
    -- 0 is where the bytes were written to first.
    ordinal       INTEGER NOT NULL CHECK (ordinal >= 0),
    provider      TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('present', 'gone')),
    etag          TEXT,
    store_version TEXT,
    checksum      TEXT,
    verified_at   INTEGER,
    PRIMARY KEY (version, ordinal),
    -- The key first: it is also what a version is found by.
    UNIQUE (key, provider)
) STRICT, WITHOUT ROWID;

-- Writes under way. A writer may commit while its intent is active.
CREATE TABLE intents (
    version       BLOB    NOT NULL PRIMARY KEY CHECK (length(version) = 16),
    tenant        TEXT    NOT NULL,
    artifact      TEXT    NOT NULL,
    variant       TEXT    NOT NULL,
    artifact_type TEXT    NOT NULL,
    board         TEXT,
    access        TEXT    NOT NULL CHECK (access IN ('public', 'private', 'temporary', 'authenticated')),
    provider      TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    overwrite     INTEGER NOT NULL CHECK (overwrite IN (0, 1)),
    state         TEXT    NOT NULL CHECK (state IN ('active', 'superseded', 'reaping')),
    created_at    INTEGER NOT NULL,
    lease_until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX intents_of_variant ON intents (tenant, artifact, variant, lease_until) WHERE state = 'active';
CREATE INDEX intents_by_lease ON intents (state, lease_until);

-- Every key that was ever given: it is never given again.
CREATE TABLE used_keys (
    key     TEXT NOT NULL PRIMARY KEY,
    version BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The catalog: artifacts, their variants, the versions of a variant, where the bytes of a version are, what changed, and
-- how much each tenant stores.
--
-- Times are microseconds since 1970-01-01T00:00:00Z. Names are compared byte by byte, whatever the database's language.
-- A migration that was released is never changed: the next change is a new file.

-- The facts that all variants of an artifact share.
CREATE TABLE artifacts (
    tenant        TEXT   COLLATE "C" NOT NULL,
    artifact      TEXT   COLLATE "C" NOT NULL,
    artifact_type TEXT   COLLATE "C" NOT NULL,
    board         TEXT   COLLATE "C",
    access        TEXT   NOT NULL CHECK (access IN ('public', 'private', 'temporary', 'authenticated')),
    created_at    BIGINT NOT NULL,
    -- When its last version was deleted for good: from then on it may be created anew, with other facts. The row stays,
    -- because the numbers of its variants' versions are never given twice.
    forgotten_at  BIGINT,
    PRIMARY KEY (tenant, artifact)
);

-- What listings walk; what is deleted costs them nothing.
CREATE INDEX artifacts_by_board ON artifacts (tenant, board, artifact)
    WHERE board IS NOT NULL AND forgotten_at IS NULL;
CREATE INDEX artifacts_by_type ON artifacts (tenant, artifact_type, artifact) WHERE forgotten_at IS NULL;

CREATE TABLE variants (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant          TEXT   COLLATE "C" NOT NULL,
    artifact        TEXT   COLLATE "C" NOT NULL,
    variant         TEXT   COLLATE "C" NOT NULL,
    -- The highest number ever given to a version.
    last_number     BIGINT NOT NULL CHECK (last_number >= 1),
    -- The newest version that is not deleted; NULL if all are.
    current_version UUID,
    UNIQUE (tenant, artifact, variant),
    FOREIGN KEY (tenant, artifact) REFERENCES artifacts (tenant, artifact)
);

-- What the other listings walk.
CREATE INDEX variants_present ON variants (tenant, artifact, variant) WHERE current_version IS NOT NULL;

CREATE TABLE versions (
    id                  UUID   PRIMARY KEY,
    variant_id          BIGINT NOT NULL REFERENCES variants (id),
    number              BIGINT NOT NULL CHECK (number >= 1),
    size_bytes          BIGINT NOT NULL CHECK (size_bytes >= 0),
    content_type        TEXT,
    content_disposition TEXT,
    content_encoding    TEXT,
    content_language    TEXT,
    cache_control       TEXT,
    user_metadata       JSONB  NOT NULL,
    digest              TEXT   COLLATE "C" NOT NULL,
    digest_state        TEXT   NOT NULL CHECK (digest_state IN ('declared', 'verified')),
    created_at          BIGINT NOT NULL,
    -- The provider that was meant; NULL: that of replica 0.
    home                TEXT,
    -- The tombstone: readers no longer see the version.
    deleted_at          BIGINT,
    -- Until when it can be restored; NULL: it is not deleted, or for good.
    recoverable_until   BIGINT CHECK (recoverable_until IS NULL OR (deleted_at IS NOT NULL AND purged_at IS NULL)),
    -- The bytes are known to be gone.
    purged_at           BIGINT CHECK (purged_at IS NULL OR deleted_at IS NOT NULL),
    UNIQUE (variant_id, number)
);

CREATE INDEX versions_by_digest ON versions (digest);
CREATE INDEX versions_by_user_metadata ON versions USING gin (user_metadata jsonb_path_ops);
CREATE INDEX versions_away ON versions (variant_id) WHERE home IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX versions_recoverable ON versions (recoverable_until) WHERE recoverable_until IS NOT NULL;
CREATE INDEX versions_to_purge ON versions (id)
    WHERE deleted_at IS NOT NULL AND purged_at IS NULL AND recoverable_until IS NULL;

CREATE TABLE replicas (
    version       UUID    NOT NULL REFERENCES versions (id),
    -- 0 is where the bytes were written to first.
    ordinal       INTEGER NOT NULL CHECK (ordinal >= 0),
    provider      TEXT    COLLATE "C" NOT NULL,
    key           TEXT    COLLATE "C" NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('present', 'gone')),
    etag          TEXT,
    store_version TEXT,
    checksum      TEXT,
    verified_at   BIGINT,
    PRIMARY KEY (version, ordinal),
    -- The key first: it is also what a version is found by.
    UNIQUE (key, provider)
);

-- Writes under way. A writer may commit while its intent is active.
CREATE TABLE intents (
    version       UUID    PRIMARY KEY,
    tenant        TEXT    COLLATE "C" NOT NULL,
    artifact      TEXT    COLLATE "C" NOT NULL,
    variant       TEXT    COLLATE "C" NOT NULL,
    artifact_type TEXT    NOT NULL,
    board         TEXT,
    access        TEXT    NOT NULL CHECK (access IN ('public', 'private', 'temporary', 'authenticated')),
    -- The provider that was meant; NULL: the one that gets the bytes.
    home          TEXT,
    provider      TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    overwrite     BOOLEAN NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('active', 'superseded', 'reaping')),
    created_at    BIGINT  NOT NULL,
    lease_until   BIGINT  NOT NULL,
    -- What the writer said that the tenant may store; NULL: no limit.
    bytes_max     BIGINT  CHECK (bytes_max >= 0),
    objects_max   BIGINT  CHECK (objects_max >= 0)
);

CREATE INDEX intents_of_variant ON intents (tenant, artifact, variant, lease_until) WHERE state = 'active';
CREATE INDEX intents_by_lease ON intents (state, lease_until);

-- Every key that was ever given: it is never given again.
CREATE TABLE used_keys (
    key     TEXT COLLATE "C" PRIMARY KEY,
    version UUID NOT NULL
);

-- What each tenant stores, every version that is not deleted for good, and its own quota.
CREATE TABLE tenants (
    tenant      TEXT    COLLATE "C" PRIMARY KEY,
    bytes       BIGINT  NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    objects     BIGINT  NOT NULL DEFAULT 0 CHECK (objects >= 0),
    -- Whether the tenant has a quota of its own; else what its writers say holds.
    has_quota   BOOLEAN NOT NULL DEFAULT FALSE,
    -- NULL: no limit.
    bytes_max   BIGINT  CHECK (bytes_max >= 0),
    objects_max BIGINT  CHECK (objects_max >= 0)
);

-- The event log: every change of the records, in the transaction that made it.
CREATE TABLE events (
    -- Of two changes of one artifact the later has the greater one. Transactions of other artifacts may end in another
    -- order than that of their ids.
    id                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What readers follow. Given when the event is visible, so that no event turns up before one that was read.
    sequence          BIGINT UNIQUE,
    time              BIGINT NOT NULL,
    change            TEXT   NOT NULL CHECK (change IN ('committed', 'deleted', 'restored', 'purged')),
    version           UUID   NOT NULL,
    tenant            TEXT   COLLATE "C" NOT NULL,
    artifact          TEXT   COLLATE "C" NOT NULL,
    variant           TEXT   COLLATE "C" NOT NULL,
    -- Of a commit: the record, as JSON.
    record            TEXT   CHECK ((record IS NOT NULL) = (change = 'committed')),
    recoverable_until BIGINT CHECK (recoverable_until IS NULL OR change = 'deleted')
);

CREATE INDEX events_by_artifact ON events (tenant, artifact, sequence);
CREATE INDEX events_without_sequence ON events (id) WHERE sequence IS NULL;

-- Events are only ever added, and numbered once.
CREATE FUNCTION events_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.sequence IS NULL AND NEW.sequence IS NOT NULL
        AND (NEW.id, NEW.time, NEW.change, NEW.version, NEW.tenant, NEW.artifact, NEW.variant, NEW.record,
            NEW.recoverable_until)
        IS NOT DISTINCT FROM (OLD.id, OLD.time, OLD.change, OLD.version, OLD.tenant, OLD.artifact, OLD.variant,
            OLD.record, OLD.recoverable_until) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'events are never changed or deleted';
END
$$;
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION events_stay();

-- The last acknowledged entry of each chained audit log, by the log's name. It only ever moves forward.
CREATE TABLE audit_heads (
    log      TEXT   COLLATE "C" PRIMARY KEY,
    sequence BIGINT NOT NULL CHECK (sequence >= 1),
    mac      TEXT   NOT NULL CHECK (length(mac) = 64)
);

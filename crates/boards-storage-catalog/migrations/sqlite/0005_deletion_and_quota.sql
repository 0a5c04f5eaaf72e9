-- Deletions that can be taken back, and how much each tenant stores and may store.

-- Until when a deleted version can be restored; NULL: it is not deleted, or for good.
ALTER TABLE versions ADD COLUMN recoverable_until INTEGER
    CHECK (recoverable_until IS NULL OR (deleted_at IS NOT NULL AND purged_at IS NULL));

CREATE INDEX versions_recoverable ON versions (recoverable_until) WHERE recoverable_until IS NOT NULL;
DROP INDEX versions_to_purge;
CREATE INDEX versions_to_purge ON versions (deleted_at, id)
    WHERE deleted_at IS NOT NULL AND purged_at IS NULL AND recoverable_until IS NULL;

-- What each tenant stores: every version that is not deleted for good. Counted by the triggers below, in the transaction
-- of each change.
CREATE TABLE tenants (
    tenant      TEXT    NOT NULL PRIMARY KEY,
    bytes       INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    objects     INTEGER NOT NULL DEFAULT 0 CHECK (objects >= 0),
    -- The tenant's own quota; 0: what its writers say holds.
    has_quota   INTEGER NOT NULL DEFAULT 0 CHECK (has_quota IN (0, 1)),
    -- NULL: no limit.
    bytes_max   INTEGER CHECK (bytes_max >= 0),
    objects_max INTEGER CHECK (objects_max >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO tenants (tenant, bytes, objects)
    SELECT variants.tenant, sum(versions.size_bytes), count(*)
    FROM versions JOIN variants ON variants.id = versions.variant_id
    WHERE versions.deleted_at IS NULL GROUP BY variants.tenant;

-- A sum beyond what an INTEGER holds would become a REAL.
CREATE TRIGGER versions_are_counted AFTER INSERT ON versions
BEGIN
    INSERT INTO tenants (tenant, bytes, objects)
        SELECT tenant, NEW.size_bytes, 1 FROM variants WHERE id = NEW.variant_id
        ON CONFLICT DO UPDATE SET objects = objects + 1,
            bytes = CASE WHEN bytes > 9223372036854775807 - excluded.bytes THEN 9223372036854775807
                ELSE bytes + excluded.bytes END;
END;
CREATE TRIGGER versions_are_no_longer_counted AFTER UPDATE OF deleted_at, recoverable_until ON versions
WHEN NEW.deleted_at IS NOT NULL AND NEW.recoverable_until IS NULL
    AND (OLD.deleted_at IS NULL OR OLD.recoverable_until IS NOT NULL)
BEGIN
    UPDATE tenants SET objects = objects - 1, bytes = max(bytes - OLD.size_bytes, 0)
        WHERE tenant = (SELECT tenant FROM variants WHERE id = OLD.variant_id);
END;

-- What the writer said that the tenant may store; NULL: no limit.
ALTER TABLE intents ADD COLUMN bytes_max INTEGER CHECK (bytes_max >= 0);
ALTER TABLE intents ADD COLUMN objects_max INTEGER CHECK (objects_max >= 0);

-- A restoration is a change, too, and a deletion says until when it can be taken back.
CREATE TABLE events_new (
    -- In the order in which they took effect. Never given twice, even if the newest are gone.
    sequence          INTEGER PRIMARY KEY AUTOINCREMENT,
    time              INTEGER NOT NULL,
    change            TEXT    NOT NULL CHECK (change IN ('committed', 'deleted', 'restored', 'purged')),
    version           BLOB    NOT NULL CHECK (length(version) = 16),
    tenant            TEXT    NOT NULL,
    artifact          TEXT    NOT NULL,
    variant           TEXT    NOT NULL,
    -- Of a commit: the record, as JSON.
    record            TEXT    CHECK ((record IS NOT NULL) = (change = 'committed')),
    recoverable_until INTEGER CHECK (recoverable_until IS NULL OR change = 'deleted')
) STRICT;

INSERT INTO events_new (sequence, time, change, version, tenant, artifact, variant, record)
    SELECT sequence, time, change, version, tenant, artifact, variant, record FROM events;
DROP TABLE events;
ALTER TABLE events_new RENAME TO events;
CREATE INDEX events_by_artifact ON events (tenant, artifact, sequence);

-- Events are only ever added.
CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never deleted');
END;
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;

-- The event log: every change of the records, in the transaction that made it.

CREATE TABLE events (
    -- In the order in which they took effect. Never given twice, even if the newest are gone.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    time     INTEGER NOT NULL,
    change   TEXT    NOT NULL CHECK (change IN ('committed', 'deleted', 'purged')),
    version  BLOB    NOT NULL CHECK (length(version) = 16),
    tenant   TEXT    NOT NULL,
    artifact TEXT    NOT NULL,
    variant  TEXT    NOT NULL,
    -- Of a commit: the record, as JSON.
    record   TEXT    CHECK ((record IS NOT NULL) = (change = 'committed'))
) STRICT;

CREATE INDEX events_by_artifact ON events (tenant, artifact, sequence);

-- What is told of the time before the log was kept: as much as the records still say.
CREATE TEMPORARY VIEW told AS
SELECT versions.*, variants.tenant, variants.artifact, variants.variant
FROM versions JOIN variants ON variants.id = versions.variant_id;

INSERT INTO events (time, change, version, tenant, artifact, variant, record)
SELECT time, change, version, tenant, artifact, variant, record FROM (
    SELECT told.created_at AS time, 1 AS step, 'committed' AS change, told.id AS version, told.number,
        told.tenant, told.artifact, told.variant,
        json_object(
            'tenant', told.tenant, 'artifact', told.artifact, 'variant', told.variant,
            'artifact_type', artifacts.artifact_type, 'board', artifacts.board, 'access', artifacts.access,
            'version', lower(hex(told.id)), 'number', told.number, 'is_current', json('true'),
            'size_bytes', told.size_bytes,
            'attributes', json_object(
                'content_type', told.content_type, 'content_disposition', told.content_disposition,
                'content_encoding', told.content_encoding, 'content_language', told.content_language,
                'cache_control', told.cache_control,
                'user_metadata', json((SELECT json_group_object(name, value) FROM user_metadata
                    WHERE user_metadata.version = told.id))),
            'digest', told.digest, 'digest_state', told.digest_state,
            'created_at', printf('%s.%06dZ', strftime('%Y-%m-%dT%H:%M:%S', told.created_at / 1000000, 'unixepoch'),
                told.created_at % 1000000),
            'home', coalesce(told.home, (SELECT provider FROM replicas
                WHERE replicas.version = told.id AND ordinal = 0)),
            'replicas', json((SELECT json_group_array(json_object(
                    'provider', provider, 'key', key, 'etag', etag, 'store_version', store_version,
                    'checksum', checksum, 'verified_at', CASE WHEN verified_at IS NOT NULL THEN
                        printf('%s.%06dZ', strftime('%Y-%m-%dT%H:%M:%S', verified_at / 1000000, 'unixepoch'),
                            verified_at % 1000000) END)
                    ORDER BY ordinal)
                FROM replicas WHERE replicas.version = told.id))
        ) AS record
    FROM told JOIN artifacts ON artifacts.tenant = told.tenant AND artifacts.artifact = told.artifact
    UNION ALL
    SELECT deleted_at, 2, 'deleted', id, number, tenant, artifact, variant, NULL
    FROM told WHERE deleted_at IS NOT NULL
    UNION ALL
    SELECT purged_at, 3, 'purged', id, number, tenant, artifact, variant, NULL
    FROM told WHERE purged_at IS NOT NULL
)
ORDER BY time, step, tenant, artifact, variant, number;

DROP VIEW told;

-- Events are only ever added.
CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never deleted');
END;
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;

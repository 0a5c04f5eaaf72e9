-- The audit log: how far logs in files have come, and the events of the log that is kept here.

-- The last acknowledged entry of each chained log, by the log's name. It only ever moves forward.
CREATE TABLE audit_heads (
    log      TEXT    NOT NULL PRIMARY KEY,
    sequence INTEGER NOT NULL CHECK (sequence >= 1),
    mac      TEXT    NOT NULL CHECK (length(mac) = 64)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_events (
    -- In the order of their completion. Never given twice, even if the newest are gone.
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    id        BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    time      INTEGER NOT NULL,
    operation TEXT    NOT NULL,
    outcome   TEXT    NOT NULL,
    principal TEXT,
    tenant    TEXT,
    artifact  TEXT,
    provider  TEXT,
    -- The whole event, as JSON.
    event     TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_events_by_time ON audit_events (time);
CREATE INDEX audit_events_by_artifact ON audit_events (tenant, artifact, sequence) WHERE artifact IS NOT NULL;
CREATE INDEX audit_events_by_principal ON audit_events (principal, sequence) WHERE principal IS NOT NULL;

-- Events are only ever added.
CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are never deleted');
END;
CREATE TRIGGER audit_events_never_change BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are never changed');
END;
CREATE TRIGGER audit_heads_never_go_back BEFORE UPDATE ON audit_heads WHEN NEW.sequence < OLD.sequence
BEGIN
    SELECT RAISE(ABORT, 'the head of an audit log never goes back');
END;

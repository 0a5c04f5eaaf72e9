-- Placement: where a version was meant to be, when a fallback took it.

-- NULL: the provider that gets the bytes is the one that was meant.
ALTER TABLE intents ADD COLUMN home TEXT;

-- NULL: the provider of replica 0 is the one that was meant.
ALTER TABLE versions ADD COLUMN home TEXT;

-- What the listing of displaced versions walks; what is at home costs it nothing.
CREATE INDEX versions_away ON versions (variant_id) WHERE home IS NOT NULL AND deleted_at IS NULL;

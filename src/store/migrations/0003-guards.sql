-- Holds say of which kind they are and show samples; quarantine says which field it was and what its parents looked like;
-- fields that are fought over are frozen.

ALTER TABLE hold ADD COLUMN kind TEXT NOT NULL DEFAULT 'too-many';

-- The first records of a hold, as they would be written.
CREATE TABLE hold_sample (
  object        TEXT NOT NULL,
  side          TEXT NOT NULL,
  verb          TEXT NOT NULL,
  position      INTEGER NOT NULL,
  salesforce_id TEXT,
  platform_id   TEXT,
  moved         TEXT NOT NULL,
  PRIMARY KEY (object, side, verb, position),
  FOREIGN KEY (object, side, verb) REFERENCES hold (object, side, verb) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- `parents` is the fingerprint of the records it refers to as they stood when it was parked; null is not looked at yet.
ALTER TABLE quarantine ADD COLUMN field TEXT;
ALTER TABLE quarantine ADD COLUMN parents INTEGER;

-- One entry of one link that no direction writes any more, because its side came back with something else each time.
-- Once released, writes up to `after_intent` are not held against it.
CREATE TABLE frozen (
  link_id          INTEGER NOT NULL REFERENCES link(id) ON DELETE CASCADE,
  entry            TEXT NOT NULL,
  object           TEXT NOT NULL,
  side             TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  wrote            TEXT NOT NULL,
  times            INTEGER NOT NULL,
  value_salesforce TEXT NOT NULL,
  value_platform   TEXT NOT NULL,
  since            TEXT NOT NULL,
  run_id           INTEGER NOT NULL,
  released_at      TEXT,
  released_by      TEXT,
  after_intent     INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (link_id, entry)
) STRICT, WITHOUT ROWID;

-- What a person let go is not counted again.
CREATE INDEX approval_used ON approval (used_run) WHERE used_run IS NOT NULL;

DROP VIEW quarantined;
CREATE VIEW quarantined AS
  SELECT object, side, id, situation, code, message, since, attempts, next_try_at, run_id AS run, field FROM quarantine;

DROP VIEW held;
CREATE VIEW held AS
  SELECT object, side, verb, reason, count, ceiling, of, since, run_id AS run, sample, kind FROM hold;

CREATE VIEW frozen_fields AS
  SELECT f.link_id AS link, f.object, l.salesforce_id, l.platform_id, f.entry AS field, f.side, f.wrote, f.times,
         f.value_salesforce, f.value_platform, f.since, f.run_id AS run
  FROM frozen f JOIN link l ON l.id = f.link_id
  WHERE f.released_at IS NULL;

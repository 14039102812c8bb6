-- What a census compares with: the stamp under which a side showed what its base holds, and a fingerprint of what hangs on
-- the record without moving that stamp (the lines of an order). Null: not known, so it is read whole once.
ALTER TABLE base ADD COLUMN stamp TEXT;
ALTER TABLE base ADD COLUMN parts INTEGER;

-- A census under way: how far the ids of an object were listed. `ended` is set once what was missing from it was looked at.
CREATE TABLE census (
  object   TEXT NOT NULL,
  side     TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  after    TEXT NOT NULL,
  begun_at TEXT NOT NULL,
  run_id   INTEGER NOT NULL,
  ended    INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (object, side)
) STRICT, WITHOUT ROWID;

-- Linked records that two readings and a read by id did not show, and that their side does not report as deleted either.
CREATE TABLE missing (
  object    TEXT NOT NULL,
  side      TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  id        TEXT NOT NULL,
  since     TEXT NOT NULL,
  looked_at TEXT NOT NULL,
  reason    TEXT NOT NULL,
  run_id    INTEGER NOT NULL,
  PRIMARY KEY (object, side, id)
) STRICT, WITHOUT ROWID;

-- What `verify --repair` wants looked at again: a record of one side, and the entries whose base is to be forgotten.
CREATE TABLE repair (
  object   TEXT NOT NULL,
  side     TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  id       TEXT NOT NULL,
  entries  TEXT NOT NULL,
  asked_at TEXT NOT NULL,
  PRIMARY KEY (object, side, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE run_object ADD COLUMN listed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run_object ADD COLUMN reread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run_object ADD COLUMN missing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run_object ADD COLUMN unseen INTEGER NOT NULL DEFAULT 0;

DROP VIEW run_statistics;
CREATE VIEW run_statistics AS
  SELECT run_id AS run, object, side, read, news, created, changed, deleted, linked, failed, error, listed, reread, missing, unseen FROM run_object;

CREATE VIEW unseen AS
  SELECT m.object, m.side, m.id, m.since, m.looked_at, m.reason, m.run_id AS run
  FROM missing m JOIN suspect s ON s.object = m.object AND s.side = m.side AND s.id = m.id;

-- The memory of one connection. Tables are singular and ours; views are plural and public.

CREATE TABLE meta (
  key   TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  kind          TEXT NOT NULL CHECK (kind IN ('delta','full','census','verify')),
  cause         TEXT NOT NULL,
  started_at    TEXT NOT NULL,
  finished_at   TEXT,
  outcome       TEXT CHECK (outcome IN ('ok','partial','held','failed','budget-limited','interrupted')),
  error         TEXT,
  writes_salesforce INTEGER NOT NULL DEFAULT 0,
  writes_platform   INTEGER NOT NULL DEFAULT 0,
  conflicts     INTEGER NOT NULL DEFAULT 0,
  calls_salesforce  INTEGER NOT NULL DEFAULT 0,
  calls_platform    INTEGER NOT NULL DEFAULT 0,
  allowance_used INTEGER,
  allowance_max  INTEGER
) STRICT;

CREATE TABLE run_object (
  run_id  INTEGER NOT NULL REFERENCES run(id),
  object  TEXT NOT NULL,
  side    TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  read    INTEGER NOT NULL DEFAULT 0,
  news    INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  linked  INTEGER NOT NULL DEFAULT 0,
  failed  INTEGER NOT NULL DEFAULT 0,
  error   TEXT,
  PRIMARY KEY (run_id, object, side)
) STRICT, WITHOUT ROWID;

CREATE TABLE watermark (
  object   TEXT NOT NULL,
  side     TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  value    TEXT,
  swept_at TEXT,
  moved_at TEXT NOT NULL,
  PRIMARY KEY (object, side)
) STRICT, WITHOUT ROWID;

-- The ID map. A tombstone is a link whose platform record is gone for good.
CREATE TABLE link (
  id            INTEGER PRIMARY KEY AUTOINCREMENT, -- a number is never given again: conflicts and history name it
  object        TEXT NOT NULL,
  salesforce_id TEXT NOT NULL,
  platform_id   TEXT NOT NULL,
  state         TEXT NOT NULL DEFAULT 'live' CHECK (state IN ('live','buried','deleted-in-salesforce')),
  note          TEXT,
  linked_at     TEXT NOT NULL,
  run_id        INTEGER NOT NULL,
  UNIQUE (object, salesforce_id),
  UNIQUE (object, platform_id)
) STRICT;

-- What each side last showed of a linked record. `hash` is the fingerprint of the whole reading, to drop re-reads.
CREATE TABLE base (
  link_id INTEGER NOT NULL REFERENCES link(id) ON DELETE CASCADE,
  side    TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  fields  TEXT NOT NULL,
  hash    INTEGER NOT NULL,
  unconfirmed INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (link_id, side)
) STRICT, WITHOUT ROWID;

-- News: what a side showed and nobody has settled yet. Unlinked records stay here until they are linked.
-- dirty: 1 = to be planned, 2 = waits for its parent, 0 = looked at, nothing to do until it changes.
CREATE TABLE staged (
  object    TEXT NOT NULL,
  side      TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  id        TEXT NOT NULL,
  fields    TEXT NOT NULL,
  hash      INTEGER NOT NULL,
  stamp     TEXT,
  life      TEXT NOT NULL CHECK (life IN ('live','deleted','merged')),
  merged_into TEXT,
  dirty     INTEGER NOT NULL,
  situation TEXT,
  run_id    INTEGER NOT NULL,
  PRIMARY KEY (object, side, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX staged_dirty ON staged (object, side, dirty, id);

-- Match keys of unlinked platform records; ordinal 0 is the planted id.
CREATE TABLE staged_key (
  object  TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  key     TEXT NOT NULL,
  id      TEXT NOT NULL,
  PRIMARY KEY (object, ordinal, key, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX staged_key_id ON staged_key (object, id);

-- Ids met in the sweep that is going on.
CREATE TABLE sweep_seen (
  object TEXT NOT NULL,
  side   TEXT NOT NULL,
  id     TEXT NOT NULL,
  PRIMARY KEY (object, side, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE suspect (
  object    TEXT NOT NULL,
  side      TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  id        TEXT NOT NULL,
  missed_at TEXT NOT NULL,
  run_id    INTEGER NOT NULL,
  PRIMARY KEY (object, side, id)
) STRICT, WITHOUT ROWID;

-- The journal of writes, and afterwards their history.
CREATE TABLE intent (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id        INTEGER NOT NULL REFERENCES run(id),
  object        TEXT NOT NULL,
  side          TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  verb          TEXT NOT NULL CHECK (verb IN ('create','update','delete','link','advance','bury','mark','forget','repoint')),
  situation     TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('planned','promised','unknown','done','rejected','dropped')),
  link_id       INTEGER,
  salesforce_id TEXT,
  platform_id   TEXT,
  fields        TEXT NOT NULL,
  moved         TEXT NOT NULL,
  advance       TEXT NOT NULL,
  planned_at    TEXT NOT NULL,
  settled_at    TEXT,
  code          TEXT,
  message       TEXT,
  steps         TEXT,
  takes_away    INTEGER NOT NULL DEFAULT 0 -- an update that counts as destructive
) STRICT;
CREATE INDEX intent_planned ON intent (object, side, verb, id) WHERE state = 'planned';
CREATE INDEX intent_promised ON intent (object, id) WHERE state IN ('promised', 'unknown');
CREATE INDEX intent_planned_platform ON intent (object, platform_id) WHERE state = 'planned';
CREATE INDEX intent_salesforce ON intent (salesforce_id) WHERE salesforce_id IS NOT NULL;
CREATE INDEX intent_platform ON intent (platform_id) WHERE platform_id IS NOT NULL;
CREATE INDEX intent_settled ON intent (object, side, verb, settled_at) WHERE state = 'done';
CREATE INDEX intent_run ON intent (run_id);

CREATE TABLE conflict (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id        INTEGER NOT NULL REFERENCES run(id),
  object        TEXT NOT NULL,
  link_id       INTEGER,
  salesforce_id TEXT NOT NULL,
  platform_id   TEXT NOT NULL,
  entry         TEXT NOT NULL,
  base_salesforce  TEXT NOT NULL,
  base_platform    TEXT NOT NULL,
  value_salesforce TEXT NOT NULL,
  value_platform   TEXT NOT NULL,
  winner        TEXT CHECK (winner IN ('salesforce','platform')),
  rule          TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('decided','open','restored')),
  at            TEXT NOT NULL
) STRICT;
CREATE INDEX conflict_link ON conflict (link_id, entry, state);

CREATE TABLE quarantine (
  object      TEXT NOT NULL,
  side        TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  id          TEXT NOT NULL,
  situation   TEXT NOT NULL,
  code        TEXT NOT NULL,
  message     TEXT NOT NULL,
  since       TEXT NOT NULL,
  attempts    INTEGER NOT NULL,
  next_try_at TEXT NOT NULL,
  hash        INTEGER,
  run_id      INTEGER NOT NULL,
  PRIMARY KEY (object, side, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE hold (
  object   TEXT NOT NULL,
  side     TEXT NOT NULL CHECK (side IN ('salesforce','platform')),
  verb     TEXT NOT NULL,
  reason   TEXT NOT NULL,
  count    INTEGER NOT NULL,
  ceiling  INTEGER NOT NULL,
  of       INTEGER NOT NULL,
  since    TEXT NOT NULL,
  run_id   INTEGER NOT NULL,
  sample   TEXT NOT NULL,
  PRIMARY KEY (object, side, verb)
) STRICT, WITHOUT ROWID;

-- Pairs a person corrected and fed back at first contact; an empty platform id says: no partner, make one.
CREATE TABLE pairing (
  object        TEXT NOT NULL,
  salesforce_id TEXT NOT NULL,
  platform_id   TEXT NOT NULL,
  given_at      TEXT NOT NULL,
  PRIMARY KEY (object, salesforce_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE approval (
  id         INTEGER PRIMARY KEY,
  object     TEXT NOT NULL,
  side       TEXT NOT NULL,
  verb       TEXT NOT NULL,
  ceiling    INTEGER NOT NULL,
  expires_at TEXT NOT NULL,
  given_at   TEXT NOT NULL,
  used_run   INTEGER
) STRICT;

-- What a command asked of the daemon; taken up at once.
CREATE TABLE request (
  id       INTEGER PRIMARY KEY,
  kind     TEXT NOT NULL,
  argument TEXT NOT NULL DEFAULT '',
  asked_at TEXT NOT NULL,
  taken_at TEXT,
  answer   TEXT
) STRICT;

CREATE VIEW runs AS
  SELECT id AS run, kind, cause, started_at, finished_at, coalesce(outcome, 'running') AS outcome, error,
         writes_salesforce, writes_platform, conflicts, calls_salesforce, calls_platform, allowance_used, allowance_max
  FROM run;

CREATE VIEW run_statistics AS
  SELECT run_id AS run, object, side, read, news, created, changed, deleted, linked, failed, error FROM run_object;

CREATE VIEW recent_changes AS
  SELECT coalesce(settled_at, planned_at) AS at, run_id AS run, object, verb AS action,
         CASE side WHEN 'platform' THEN 'to-platform' ELSE 'to-salesforce' END AS direction,
         situation, salesforce_id, platform_id, state AS outcome, code, message, moved AS changes
  FROM intent
  WHERE verb <> 'advance' AND state NOT IN ('planned','dropped')
  ORDER BY id DESC LIMIT 100;

CREATE VIEW conflicts_open AS
  SELECT id AS conflict, run_id AS run, at, object, salesforce_id, platform_id, entry AS field,
         base_salesforce, base_platform, value_salesforce, value_platform, rule
  FROM conflict WHERE state = 'open';

CREATE VIEW conflicts_decided AS
  SELECT id AS conflict, run_id AS run, at, object, salesforce_id, platform_id, entry AS field,
         base_salesforce, base_platform, value_salesforce, value_platform, winner, rule, state
  FROM conflict WHERE state <> 'open';

CREATE VIEW quarantined AS
  SELECT object, side, id, situation, code, message, since, attempts, next_try_at, run_id AS run FROM quarantine;

CREATE VIEW held AS
  SELECT object, side, verb, reason, count, ceiling, of, since, run_id AS run, sample FROM hold;

CREATE VIEW links AS
  SELECT id AS link, object, salesforce_id, platform_id, state, note, linked_at, run_id AS run FROM link;

CREATE VIEW record_history AS
  SELECT coalesce(settled_at, planned_at) AS at, run_id AS run, object, salesforce_id, platform_id,
         verb AS what, side, situation, state AS outcome, coalesce(message, '') AS message, moved AS changes
  FROM intent WHERE verb <> 'advance' AND state NOT IN ('planned','dropped')
  UNION ALL
  SELECT at, run_id, object, salesforce_id, platform_id, 'conflict', winner, 'clash', state,
         entry || ': ' || value_salesforce || ' / ' || value_platform, '[]'
  FROM conflict
  UNION ALL
  SELECT since, run_id, object, CASE side WHEN 'salesforce' THEN id END, CASE side WHEN 'platform' THEN id END,
         'quarantine', side, situation, code, message, '[]'
  FROM quarantine;

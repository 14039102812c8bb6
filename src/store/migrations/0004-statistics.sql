-- Statistics by object and side, counted from the journal itself, so that they hold for runs too whose process died.

-- Writes that were refused are few among those that were done; counting them must not read all.
CREATE INDEX intent_failed ON intent (object, side, settled_at) WHERE state IN ('rejected','unknown');

CREATE VIEW daily_statistics AS
  SELECT day, object, side, sum(created) AS created, sum(changed) AS changed, sum(deleted) AS deleted, sum(linked) AS linked, sum(failed) AS failed
  FROM (
    SELECT substr(settled_at, 1, 10) AS day, object, side, verb = 'create' AS created, verb = 'update' AS changed,
           verb = 'delete' AS deleted, verb = 'link' AS linked, 0 AS failed
    FROM intent WHERE state = 'done' AND verb IN ('create','update','delete','link')
    UNION ALL
    SELECT substr(coalesce(settled_at, planned_at), 1, 10), object, side, 0, 0, 0, 0, 1
    FROM intent WHERE state IN ('rejected','unknown')
  )
  GROUP BY day, object, side;

CREATE VIEW statistics AS
  SELECT p.period, c.object, c.side, sum(c.created) AS created, sum(c.changed) AS changed, sum(c.deleted) AS deleted,
         sum(c.linked) AS linked, sum(c.failed) AS failed
  FROM (
    SELECT 'day' AS period, 1 AS place, strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 day') AS since
    UNION ALL SELECT 'week', 2, strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-7 days')
    UNION ALL SELECT 'month', 3, strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-30 days')
    UNION ALL SELECT 'all', 4, ''
  ) p
  JOIN (
    SELECT settled_at AS at, object, side, verb = 'create' AS created, verb = 'update' AS changed,
           verb = 'delete' AS deleted, verb = 'link' AS linked, 0 AS failed
    FROM intent WHERE state = 'done' AND verb IN ('create','update','delete','link')
    UNION ALL
    SELECT coalesce(settled_at, planned_at), object, side, 0, 0, 0, 0, 1
    FROM intent WHERE state IN ('rejected','unknown')
  ) c ON c.at >= p.since
  GROUP BY p.place, p.period, c.object, c.side
  ORDER BY p.place, c.object, c.side;

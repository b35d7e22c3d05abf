-- columns
SELECT * FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE FALSE;

-- first window
SELECT src."ID" AS "id", TO_JSON(src."TAGS") AS "TAGS", TO_JSON(src."EXTRA") AS "extra", src."CHANGED" AS "CHANGED" FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE src."CHANGED" < ?;
-- upper = 2026-01-02T00:00:00+00:00 (TIMESTAMP_TZ)

-- window
SELECT src."ID" AS "id", TO_JSON(src."TAGS") AS "TAGS", TO_JSON(src."EXTRA") AS "extra", src."CHANGED" AS "CHANGED" FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE src."CHANGED" >= ? AND src."CHANGED" < ?;
-- lower = 2026-01-01T00:00:00+00:00 (TIMESTAMP_TZ)
-- upper = 2026-01-02T00:00:00+00:00 (TIMESTAMP_TZ)

-- identifiers
SELECT src."ID" AS "ID", src."CHANGED" AS "CHANGED" FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE src."CHANGED" >= ? AND src."CHANGED" < ?;
-- lower = 2026-01-01T00:00:00+00:00 (TIMESTAMP_TZ)
-- upper = 2026-01-02T00:00:00+00:00 (TIMESTAMP_TZ)

-- outside
SELECT COUNT(CASE WHEN src."CHANGED" IS NULL THEN 1 END) AS undated, COUNT(CASE WHEN src."CHANGED" >= ? THEN 1 END) AS future FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src;
-- now = 2026-01-02T00:00:00.000001+00:00 (TIMESTAMP_TZ)

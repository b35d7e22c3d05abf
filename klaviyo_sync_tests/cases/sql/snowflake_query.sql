-- columns
SELECT * FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE FALSE;

-- first window
SELECT src."ID" AS "id", TO_JSON(CAST(src."TAGS" AS VARIANT)) AS "TAGS", TO_JSON(CAST(src."EXTRA" AS VARIANT)) AS "extra", src."CHANGED" AS "CHANGED" FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE src."CHANGED" < ?;
-- upper = 2026-01-02T00:00:00+00:00 (TIMESTAMP_TZ)

-- window
SELECT src."ID" AS "id", TO_JSON(CAST(src."TAGS" AS VARIANT)) AS "TAGS", TO_JSON(CAST(src."EXTRA" AS VARIANT)) AS "extra", src."CHANGED" AS "CHANGED" FROM (
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
SELECT COUNT(*) - COUNT(src."CHANGED") AS undated, COUNT(src."CHANGED") AS future FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE src."CHANGED" IS NULL OR src."CHANGED" >= ?;
-- now = 2026-01-02T00:00:00.000001+00:00 (TIMESTAMP_TZ)

-- extent
SELECT COUNT(*) AS found, MAX(src."CHANGED") AS newest FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE src."CHANGED" < ?;
-- now = 2026-01-02T00:00:00.000001+00:00 (TIMESTAMP_TZ)

-- span
SELECT COUNT(src."CHANGED") AS dated, MIN(src."CHANGED") AS oldest, MAX(src."CHANGED") AS newest FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE src."CHANGED" >= ?;
-- bound = 2026-01-02T00:00:00.000001+00:00 (TIMESTAMP_TZ)

-- counted again
SELECT DATE_PART(EPOCH_MICROSECOND, src."CHANGED") - (DATE_PART(EPOCH_MICROSECOND, src."CHANGED") - 1767225600000000) % 3600000000 AS piece, COUNT(*) AS found FROM (
SELECT $1 AS id, tags, extra, changed FROM crm.people
) AS src WHERE src."CHANGED" >= ? AND src."CHANGED" < ? GROUP BY 1;
-- lower = 2026-01-01T00:00:00+00:00 (TIMESTAMP_TZ)
-- upper = 2026-01-02T00:00:00+00:00 (TIMESTAMP_TZ)

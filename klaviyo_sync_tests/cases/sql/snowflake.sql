-- columns
SELECT * FROM "ANALYTICS"."CRM"."the people" AS src WHERE FALSE;

-- first window
SELECT src."ID" AS "id", TO_JSON(CAST(src."the ""tags""" AS VARIANT)) AS "the ""tags""", TO_JSON(src."EXTRA") AS "extra", src."CHANGED" AS "CHANGED" FROM "ANALYTICS"."CRM"."the people" AS src WHERE src."CHANGED" < ?;
-- upper = 2026-01-02T01:00:00 (TIMESTAMP_NTZ)

-- window
SELECT src."ID" AS "id", TO_JSON(CAST(src."the ""tags""" AS VARIANT)) AS "the ""tags""", TO_JSON(src."EXTRA") AS "extra", src."CHANGED" AS "CHANGED" FROM "ANALYTICS"."CRM"."the people" AS src WHERE src."CHANGED" >= ? AND src."CHANGED" < ?;
-- lower = 2026-01-01T01:00:00 (TIMESTAMP_NTZ)
-- upper = 2026-01-02T01:00:00 (TIMESTAMP_NTZ)

-- identifiers
SELECT src."ID" AS "ID", src."CHANGED" AS "CHANGED" FROM "ANALYTICS"."CRM"."the people" AS src WHERE src."CHANGED" >= ? AND src."CHANGED" < ?;
-- lower = 2026-01-01T01:00:00 (TIMESTAMP_NTZ)
-- upper = 2026-01-02T01:00:00 (TIMESTAMP_NTZ)

-- outside
SELECT COUNT(*) - COUNT(src."CHANGED") AS undated, COUNT(src."CHANGED") AS future FROM "ANALYTICS"."CRM"."the people" AS src WHERE src."CHANGED" IS NULL OR src."CHANGED" >= ?;
-- now = 2026-01-02T01:00:00.000001 (TIMESTAMP_NTZ)

-- extent
SELECT COUNT(*) AS found, MAX(src."CHANGED") AS newest FROM "ANALYTICS"."CRM"."the people" AS src WHERE src."CHANGED" < ?;
-- now = 2026-01-02T01:00:00.000001 (TIMESTAMP_NTZ)

-- span
SELECT COUNT(src."CHANGED") AS dated, MIN(src."CHANGED") AS oldest, MAX(src."CHANGED") AS newest FROM "ANALYTICS"."CRM"."the people" AS src WHERE src."CHANGED" >= ?;
-- bound = 2026-01-02T01:00:00.000001 (TIMESTAMP_NTZ)

-- counted again
SELECT DATE_PART(EPOCH_MICROSECOND, src."CHANGED") - (DATE_PART(EPOCH_MICROSECOND, src."CHANGED") - 1767229200000000) % 3600000000 AS piece, COUNT(*) AS found FROM "ANALYTICS"."CRM"."the people" AS src WHERE src."CHANGED" >= ? AND src."CHANGED" < ? GROUP BY 1;
-- lower = 2026-01-01T01:00:00 (TIMESTAMP_NTZ)
-- upper = 2026-01-02T01:00:00 (TIMESTAMP_NTZ)

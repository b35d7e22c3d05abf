-- columns
SELECT * FROM "crm"."the people" AS src WHERE FALSE;

-- first window
SELECT src."id" AS "id", CAST(TO_JSON(src."the ""tags""") AS TEXT) AS "the ""tags""", CAST(src."extra" AS TEXT) AS "extra", src."changed" AS "changed" FROM "crm"."the people" AS src WHERE src."changed" < $upper;
-- upper = 2026-01-02T01:00:00 (TIMESTAMP)

-- window
SELECT src."id" AS "id", CAST(TO_JSON(src."the ""tags""") AS TEXT) AS "the ""tags""", CAST(src."extra" AS TEXT) AS "extra", src."changed" AS "changed" FROM "crm"."the people" AS src WHERE src."changed" >= $lower AND src."changed" < $upper;
-- lower = 2026-01-01T01:00:00 (TIMESTAMP)
-- upper = 2026-01-02T01:00:00 (TIMESTAMP)

-- identifiers
SELECT src."id" AS "id", src."changed" AS "changed" FROM "crm"."the people" AS src WHERE src."changed" >= $lower AND src."changed" < $upper;
-- lower = 2026-01-01T01:00:00 (TIMESTAMP)
-- upper = 2026-01-02T01:00:00 (TIMESTAMP)

-- outside
SELECT COUNT(*) - COUNT(src."changed") AS undated, COUNT(src."changed") AS future FROM "crm"."the people" AS src WHERE src."changed" IS NULL OR src."changed" >= $now;
-- now = 2026-01-02T01:00:00.000001 (TIMESTAMP)

-- extent
SELECT COUNT(*) AS found, MAX(src."changed") AS newest FROM "crm"."the people" AS src WHERE src."changed" < $now;
-- now = 2026-01-02T01:00:00.000001 (TIMESTAMP)

-- span
SELECT COUNT(src."changed") AS dated, MIN(src."changed") AS oldest, MAX(src."changed") AS newest FROM "crm"."the people" AS src WHERE src."changed" >= $bound;
-- bound = 2026-01-02T01:00:00.000001 (TIMESTAMP)

-- counted again
SELECT EPOCH_US(src."changed") - (EPOCH_US(src."changed") - 1767229200000000) % 3600000000 AS piece, COUNT(*) AS found FROM "crm"."the people" AS src WHERE src."changed" >= $lower AND src."changed" < $upper GROUP BY 1;
-- lower = 2026-01-01T01:00:00 (TIMESTAMP)
-- upper = 2026-01-02T01:00:00 (TIMESTAMP)

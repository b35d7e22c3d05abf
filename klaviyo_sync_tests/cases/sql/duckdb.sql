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
SELECT COUNT(CASE WHEN src."changed" IS NULL THEN 1 END) AS undated, COUNT(CASE WHEN src."changed" >= $now THEN 1 END) AS future FROM "crm"."the people" AS src;
-- now = 2026-01-02T01:00:00.000001 (TIMESTAMP)

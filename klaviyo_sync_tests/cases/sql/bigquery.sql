-- columns
SELECT * FROM `project`.`crm`.`people` AS src WHERE FALSE;

-- first window
SELECT src.`id` AS `id`, TO_JSON_STRING(src.`the tags`) AS `the tags`, TO_JSON_STRING(src.`extra`) AS `extra`, src.`changed` AS `changed` FROM `project`.`crm`.`people` AS src WHERE src.`changed` < @upper;
-- upper = 2026-01-02T00:00:00+00:00 (TIMESTAMP)

-- window
SELECT src.`id` AS `id`, TO_JSON_STRING(src.`the tags`) AS `the tags`, TO_JSON_STRING(src.`extra`) AS `extra`, src.`changed` AS `changed` FROM `project`.`crm`.`people` AS src WHERE src.`changed` >= @lower AND src.`changed` < @upper;
-- lower = 2026-01-01T00:00:00+00:00 (TIMESTAMP)
-- upper = 2026-01-02T00:00:00+00:00 (TIMESTAMP)

-- identifiers
SELECT src.`id` AS `id`, src.`changed` AS `changed` FROM `project`.`crm`.`people` AS src WHERE src.`changed` >= @lower AND src.`changed` < @upper;
-- lower = 2026-01-01T00:00:00+00:00 (TIMESTAMP)
-- upper = 2026-01-02T00:00:00+00:00 (TIMESTAMP)

-- outside
SELECT COUNT(*) - COUNT(src.`changed`) AS undated, COUNT(src.`changed`) AS future FROM `project`.`crm`.`people` AS src WHERE src.`changed` IS NULL OR src.`changed` >= @now;
-- now = 2026-01-02T00:00:00.000001+00:00 (TIMESTAMP)

-- extent
SELECT COUNT(*) AS found, MAX(src.`changed`) AS newest FROM `project`.`crm`.`people` AS src WHERE src.`changed` < @now;
-- now = 2026-01-02T00:00:00.000001+00:00 (TIMESTAMP)

-- span
SELECT COUNT(src.`changed`) AS dated, MIN(src.`changed`) AS oldest, MAX(src.`changed`) AS newest FROM `project`.`crm`.`people` AS src WHERE src.`changed` >= @bound;
-- bound = 2026-01-02T00:00:00.000001+00:00 (TIMESTAMP)

-- counted again
SELECT UNIX_MICROS(CAST(src.`changed` AS TIMESTAMP)) - MOD(UNIX_MICROS(CAST(src.`changed` AS TIMESTAMP)) - 1767225600000000, 3600000000) AS piece, COUNT(*) AS found FROM `project`.`crm`.`people` AS src WHERE src.`changed` >= @lower AND src.`changed` < @upper GROUP BY 1;
-- lower = 2026-01-01T00:00:00+00:00 (TIMESTAMP)
-- upper = 2026-01-02T00:00:00+00:00 (TIMESTAMP)

-- columns
SELECT * FROM (
SELECT id, tags, extra, changed FROM `project.crm`.people WHERE name != '''it's;'''
) AS src WHERE FALSE;

-- first window
SELECT src.`id` AS `id`, TO_JSON_STRING(src.`tags`) AS `tags`, TO_JSON_STRING(src.`extra`) AS `extra`, src.`changed` AS `changed` FROM (
SELECT id, tags, extra, changed FROM `project.crm`.people WHERE name != '''it's;'''
) AS src WHERE src.`changed` < @upper;
-- upper = 2026-01-03 (DATE)

-- window
SELECT src.`id` AS `id`, TO_JSON_STRING(src.`tags`) AS `tags`, TO_JSON_STRING(src.`extra`) AS `extra`, src.`changed` AS `changed` FROM (
SELECT id, tags, extra, changed FROM `project.crm`.people WHERE name != '''it's;'''
) AS src WHERE src.`changed` >= @lower AND src.`changed` < @upper;
-- lower = 2026-01-01 (DATE)
-- upper = 2026-01-03 (DATE)

-- identifiers
SELECT src.`id` AS `id`, src.`changed` AS `changed` FROM (
SELECT id, tags, extra, changed FROM `project.crm`.people WHERE name != '''it's;'''
) AS src WHERE src.`changed` >= @lower AND src.`changed` < @upper;
-- lower = 2026-01-01 (DATE)
-- upper = 2026-01-03 (DATE)

-- outside
SELECT COUNT(*) - COUNT(src.`changed`) AS undated, COUNT(src.`changed`) AS future FROM (
SELECT id, tags, extra, changed FROM `project.crm`.people WHERE name != '''it's;'''
) AS src WHERE src.`changed` IS NULL OR src.`changed` >= @now;
-- now = 2026-01-03 (DATE)

-- extent
SELECT COUNT(*) AS found, MAX(src.`changed`) AS newest FROM (
SELECT id, tags, extra, changed FROM `project.crm`.people WHERE name != '''it's;'''
) AS src WHERE src.`changed` < @now;
-- now = 2026-01-03 (DATE)

-- span
SELECT COUNT(src.`changed`) AS dated, MIN(src.`changed`) AS oldest, MAX(src.`changed`) AS newest FROM (
SELECT id, tags, extra, changed FROM `project.crm`.people WHERE name != '''it's;'''
) AS src WHERE src.`changed` >= @bound;
-- bound = 2026-01-03 (DATE)

-- counted again
SELECT UNIX_MICROS(CAST(src.`changed` AS TIMESTAMP)) - MOD(UNIX_MICROS(CAST(src.`changed` AS TIMESTAMP)) - 1767225600000000, 86400000000) AS piece, COUNT(*) AS found FROM (
SELECT id, tags, extra, changed FROM `project.crm`.people WHERE name != '''it's;'''
) AS src WHERE src.`changed` >= @lower AND src.`changed` < @upper GROUP BY 1;
-- lower = 2026-01-01 (DATE)
-- upper = 2026-01-02 (DATE)

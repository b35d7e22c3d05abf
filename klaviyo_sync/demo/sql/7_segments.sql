-- marketing.segments: what another tool exports, lists in two kinds of text, and columns named by people.

CREATE TABLE sample.segments AS
WITH rows AS (
    SELECT people.*, dirt, coalesce(rejected, false) AS rejected, moment(n, 'segments') AS moment, false AS again
    FROM sample.people LEFT JOIN (FROM sample.mistakes WHERE dataset = 'segments') USING (n)
    WHERE share(n, 'in segments') < 380
    UNION ALL
    SELECT people.*, NULL, false, moment(n, 'segments again'), true
    FROM sample.people
    WHERE share(n, 'in segments') < 12 AND n NOT IN (SELECT n FROM sample.mistakes WHERE dataset = 'segments')
)
SELECT
    n,
    dirt,
    rejected,
    CASE WHEN dirt = 'no_identifier' THEN NULL WHEN dirt = 'bad_email' THEN junk_email(email, n) WHEN again THEN untidy(email, n) ELSE email END AS "E-Mail",
    CASE dirt
        WHEN 'bad_json' THEN '[spring sale, ' || city
        WHEN 'empty_strings' THEN ''
        ELSE to_json(some_of(['Spring sale', 'Win-back', 'VIP', 'Gift "buyers"', 'Réveillon'], n, 'audience', 400))::VARCHAR
    END AS audiences,
    array_to_string(some_of(['cooking', 'gardening', 'reading', 'camping'], n, 'interest', 450), '; ') AS interests,
    CASE dirt WHEN 'emoji' THEN '🌞 Summer' WHEN 'empty_strings' THEN '' ELSE one_of(['Summer', 'Black Friday', 'Back to School', NULL], n, 'campaign') END AS "Last Campaign",
    (pick(n, 'frequency') % 9)::INTEGER AS "select",
    dated(moment, dirt, n)::TIMESTAMPTZ AS "Modified At"
FROM rows;

CREATE TABLE marketing.segments AS SELECT * EXCLUDE (n, dirt, rejected) FROM sample.segments ORDER BY pick(n, 'segments order');

-- analytics.loyalty_members: balances, tiers and segments, changed all day long.

CREATE TABLE sample.loyalty AS
WITH rows AS (
    SELECT people.*, dirt, coalesce(rejected, false) AS rejected, moment(n, 'loyalty') AS moment, false AS again
    FROM sample.people LEFT JOIN (FROM sample.mistakes WHERE dataset = 'loyalty') USING (n)
    WHERE share(n, 'member') < 625
    UNION ALL
    SELECT people.*, NULL, false, moment(n, 'loyalty again'), true
    FROM sample.people
    WHERE share(n, 'member') < 10 AND n NOT IN (SELECT n FROM sample.mistakes WHERE dataset = 'loyalty')
)
SELECT
    n,
    dirt,
    rejected,
    CASE dirt WHEN 'no_identifier' THEN NULL ELSE customer_id END AS customer_id,
    CASE WHEN dirt = 'no_identifier' THEN NULL WHEN dirt = 'bad_email' THEN junk_email(email, n) WHEN again THEN untidy(email, n) ELSE email END AS email,
    CASE WHEN dirt = 'no_identifier' THEN NULL WHEN dirt = 'junk_phone' THEN junk_phone(n) WHEN share(n, 'phone form') < 500 THEN phone_national ELSE phone_e164 END AS phone,
    country_code,
    first_name,
    city,
    one_of(['bronze', 'bronze', 'bronze', 'silver', 'silver', 'gold'], n, 'tier') AS tier,
    CASE WHEN share(n, 'spent') < 90 THEN 0 ELSE ((pick(n, 'balance') % 4000000) / 100)::DECIMAL(12, 2) END::DECIMAL(12, 2) AS balance,
    (pick(n, 'points') % 25000)::INTEGER AS points,
    CASE WHEN dirt = 'nan_value' THEN CASE WHEN n % 3 = 0 THEN 'infinity' ELSE 'nan' END::DOUBLE ELSE round((pick(n, 'value') % 900000) / 97, 3) END AS lifetime_value,
    share(n, 'club') < 120 AS club_member,
    (getvariable('now')::TIMESTAMP - to_days((pick(n, 'since') % 3000)::INTEGER + 5))::DATE AS member_since,
    CASE
        WHEN dirt = 'null_in_list' THEN ['newsletter', NULL, 'outdoor']
        WHEN dirt = 'emoji' THEN ['🎁 gifts', 'tea & coffee']
        ELSE some_of(['newsletter', 'outdoor', 'tea & coffee', 'kids', 'sale "hunter"', 'vegan'], n, 'segment', 350)
    END AS segments,
    CASE dirt
        WHEN 'control_characters' THEN city || chr(27) || '[1m Main Street'
        WHEN 'empty_strings' THEN ''
        ELSE city || one_of([' Central', ' Outlet', ' Station'], n, 'shop')
    END AS "Favourite Store",
    dated(moment, dirt, n)::TIMESTAMPTZ AS updated_at
FROM rows;

CREATE TABLE analytics.loyalty_members AS SELECT * EXCLUDE (n, dirt, rejected) FROM sample.loyalty ORDER BY pick(n, 'loyalty order');

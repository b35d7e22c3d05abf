-- The people behind all datasets, as they truly are: what is wrong with a row is put in later, dataset by dataset.

CREATE TABLE sample.people AS
WITH numbered AS (
    SELECT n, country.*
    FROM (SELECT n::INTEGER AS n, share(n, 'country') AS draw FROM range(1, getvariable('people') + 1) AS numbers (n)) AS numbers
    JOIN sample.countries AS country ON draw >= country.upto - country.weight AND draw < country.upto
),
named AS (
    SELECT *,
        one_of(first_names, n, 'first') AS first_name,
        one_of(last_names, n, 'last') AS last_name,
        CASE WHEN share(n, 'phone') < 750 THEN row_number() OVER (PARTITION BY code, share(n, 'phone') < 750 ORDER BY pick(n, 'slot')) - 1 END AS slot
    FROM numbered
),
called AS (
    SELECT named.*, fill(ranges.national, lpad((slot - upto_before)::VARCHAR, (length(numbers::VARCHAR) - 1)::INTEGER, '0')) AS phone_national
    FROM named
    LEFT JOIN (SELECT *, upto - numbers AS upto_before FROM sample.phone_ranges) AS ranges
        ON ranges.country_code = named.code AND slot >= upto_before AND slot < ranges.upto
)
SELECT
    called.n,
    printf('C-%06d', called.n) AS customer_id,
    lower(CASE WHEN code = 'JP' THEN 'customer' ELSE regexp_replace(strip_accents(first_name || '.' || last_name), '[^A-Za-z.]', '', 'g') END)
        || called.n || '@' || one_of(['example.com', 'example.com', 'example.org', 'example.net', 'mail.example', 'post.example'], called.n, 'domain') AS email,
    phone_national,
    '+' || calling_code || regexp_replace(regexp_replace(phone_national, '[^0-9]', '', 'g'), '^0', '') AS phone_e164,
    code AS country_code,
    first_name,
    last_name,
    replace(one_of(streets, called.n, 'street'), '#', (pick(called.n, 'house') % 180 + 1)::VARCHAR) AS street,
    city,
    region,
    fill(zip, (1000 + pick(called.n, 'zip') % 9000)::VARCHAR) AS zip,
    round(latitude + share(called.n, 'lat') / 10000, 5) AS latitude,
    round(longitude + share(called.n, 'lon') / 10000, 5) AS longitude,
    locale,
    timezone
FROM called
JOIN sample.cities AS place ON place.country_code = called.code AND place.place = pick(called.n, 'city') % place.places
ORDER BY called.n;

-- When a row last changed: one in three in the last four days, more by day than by night; the others in the two years before.
CREATE MACRO seconds_ago(n, salt) AS CASE
    WHEN share(n, salt || 'recent') >= 320 THEN 345600 + pick(n, salt || 'age') % 63072000
    WHEN hour(getvariable('now')::TIMESTAMP - to_seconds((pick(n, salt || 'age') % 345600)::INTEGER)) >= 6 THEN pick(n, salt || 'age') % 345600
    WHEN share(n, salt || 'awake') < 250 OR pick(n, salt || 'age') % 345600 < 43200 THEN pick(n, salt || 'age') % 345600
    ELSE pick(n, salt || 'age') % 345600 - 43200
END;
CREATE MACRO moment(n, salt) AS getvariable('now')::TIMESTAMP - to_seconds(seconds_ago(n, salt)::INTEGER) - to_microseconds((pick(n, salt || 'us') % 1000000)::INTEGER);

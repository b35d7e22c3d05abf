-- What is wrong with real tables, and how many rows in 10,000 of each dataset it happens to. `rejected`: the row has no usable identifier left, or is too large.

CREATE TABLE sample.dirt AS
SELECT *, sum(per_10000) OVER (PARTITION BY dataset ORDER BY kind) AS upto
FROM (VALUES
    ('contacts', 'bad_email', 80, false, 'not an e-mail address; the customer id still identifies the row'),
    ('contacts', 'junk_phone', 60, false, 'a telephone number that cannot exist'),
    ('contacts', 'phone_without_country', 30, false, 'a national telephone number, and no country'),
    ('contacts', 'no_identifier', 25, true, 'neither e-mail address nor telephone number nor customer id'),
    ('contacts', 'junk_identifiers', 15, true, 'no customer id, and the e-mail address and telephone number are junk'),
    ('contacts', 'long_identifier', 5, false, 'a customer id over 64 characters'),
    ('contacts', 'control_characters', 30, false, 'tabs, line ends and bells in names'),
    ('contacts', 'empty_strings', 30, false, 'empty text where NULL is meant'),
    ('contacts', 'long_text', 8, false, 'a job title of 6,000 characters'),
    ('contacts', 'huge_text', 3, true, 'an address of 120,000 characters: more than a whole profile may hold'),
    ('contacts', 'emoji', 40, false, 'emoji and other astral characters in names'),
    ('contacts', 'bad_coordinates', 20, false, 'a latitude of 912 degrees'),
    ('contacts', 'bad_timezone', 15, false, 'a time zone that does not exist'),
    ('contacts', 'bad_locale', 15, false, 'a language in words'),
    ('contacts', 'consent_boolean', 15, false, 'consent as true or 1, which says nothing about what was agreed'),
    ('contacts', 'consent_in_future', 5, false, 'a consent date in the next year'),
    ('contacts', 'consent_before_1990', 5, false, 'a consent date from before Klaviyo''s calendar'),
    ('contacts', 'sms_consent_without_phone', 10, false, 'consent to text messages, and no telephone number'),
    ('contacts', 'null_modified_at', 3, false, 'no modified_at: in no window'),
    ('contacts', 'future_modified_at', 2, false, 'a modified_at in the future: not in its window before then'),
    ('loyalty', 'bad_email', 70, false, 'not an e-mail address; the customer id still identifies the row'),
    ('loyalty', 'junk_phone', 50, false, 'a telephone number that cannot exist'),
    ('loyalty', 'no_identifier', 25, true, 'neither e-mail address nor telephone number nor customer id'),
    ('loyalty', 'nan_value', 60, false, 'a lifetime value of NaN or infinity'),
    ('loyalty', 'control_characters', 20, false, 'a terminal''s escape codes in the name of a shop'),
    ('loyalty', 'emoji', 30, false, 'emoji in the name of a segment'),
    ('loyalty', 'empty_strings', 40, false, 'empty text where NULL is meant'),
    ('loyalty', 'null_in_list', 30, false, 'NULL among the segments'),
    ('loyalty', 'null_modified_at', 3, false, 'no modified_at: in no window'),
    ('loyalty', 'future_modified_at', 2, false, 'a modified_at in the future: not in its window before then'),
    ('churn', 'nan_score', 150, false, 'a score of NaN: the model had nothing to go by'),
    ('churn', 'no_identifier', 30, true, 'no customer id, which is all that identifies the row'),
    ('churn', 'long_identifier', 5, true, 'a customer id over 64 characters, which is all that identifies the row'),
    ('churn', 'null_features', 100, false, 'no features'),
    ('churn', 'null_modified_at', 2, false, 'no modified_at: in no window'),
    ('churn', 'future_modified_at', 1, false, 'a modified_at in the future: not in its window before then'),
    ('segments', 'bad_json', 120, false, 'a list of audiences that is not JSON'),
    ('segments', 'bad_email', 70, true, 'not an e-mail address, which is all that identifies the row'),
    ('segments', 'no_identifier', 50, true, 'no e-mail address, which is all that identifies the row'),
    ('segments', 'emoji', 60, false, 'emoji in the name of a campaign'),
    ('segments', 'empty_strings', 60, false, 'empty text where NULL is meant'),
    ('segments', 'null_modified_at', 3, false, 'no modified_at: in no window'),
    ('segments', 'future_modified_at', 3, false, 'a modified_at in the future: not in its window before then')
) AS kinds (dataset, kind, per_10000, rejected, about);

-- At most one kind of dirt in a row, so that what becomes of the row is known.
CREATE TABLE sample.mistakes AS
WITH drawn AS MATERIALIZED (
    SELECT dataset, n, (pick(n, dataset || ' dirt') % 10000)::INTEGER AS draw
    FROM sample.people CROSS JOIN (SELECT DISTINCT dataset FROM sample.dirt)
    WHERE n NOT IN (SELECT n FROM sample.opted_out)
)
SELECT drawn.dataset, n, kind AS dirt, rejected
FROM drawn JOIN sample.dirt ON dirt.dataset = drawn.dataset AND draw >= upto - per_10000 AND draw < upto;

CREATE MACRO dated(moment, dirt, n) AS CASE dirt
    WHEN 'null_modified_at' THEN NULL
    WHEN 'future_modified_at' THEN getvariable('now')::TIMESTAMP + to_days(30 + n % 1000)
    ELSE moment
END;
CREATE MACRO junk_email(email, n) AS CASE n % 7
    WHEN 0 THEN replace(email, '@', '.') WHEN 1 THEN replace(email, '@', '@@') WHEN 2 THEN split_part(email, '@', 1) || '@'
    WHEN 3 THEN replace(email, '@', ' @ ') WHEN 4 THEN 'n/a' WHEN 5 THEN replace(email, '@', '@.') ELSE '@' || split_part(email, '@', 2)
END;
CREATE MACRO junk_phone(n) AS ['12345', 'call reception', '0000000000', 'n/a', '+99 999 999 999', '+44 7700 900123', '+1 555 0100'][n % 7 + 1];
CREATE MACRO untidy(email, n) AS CASE n % 3 WHEN 0 THEN upper(email) WHEN 1 THEN '  ' || email || ' ' ELSE upper(email[1]) || email[2:] END;

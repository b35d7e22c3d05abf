-- crm.contacts: the CRM's people, with consent. Some stand in it twice.

CREATE TABLE sample.contacts AS
WITH rows AS (
    SELECT people.*, dirt, coalesce(rejected, false) AS rejected, moment(n, 'contacts') AS moment, false AS again
    FROM sample.people LEFT JOIN (FROM sample.mistakes WHERE dataset = 'contacts') USING (n)
    UNION ALL
    SELECT people.*, NULL, false, moment(n, 'contacts again'), true
    FROM sample.people
    WHERE share(n, 'again') < 15 AND n NOT IN (SELECT n FROM sample.mistakes WHERE dataset = 'contacts') AND n NOT IN (SELECT n FROM sample.opted_out)
),
stated AS (
    SELECT
        rows.*,
        CASE WHEN share(n, 'no e-mail') < 40 AND opted_out.n IS NULL THEN NULL ELSE rows.email END AS address,
        CASE
            WHEN address IS NULL THEN NULL
            WHEN opted_out.n IS NOT NULL OR dirt IN ('consent_in_future', 'consent_before_1990') THEN 'Subscribe'
            WHEN share(n, 'email consent') < 420 THEN one_of(['Subscribe', 'Subscribe', 'SUBSCRIBED', 'subscribed'], n, 'word')
            WHEN share(n, 'email consent') < 540 THEN one_of(['Unsubscribed', 'UNSUBSCRIBED'], n, 'word')
            WHEN share(n, 'email consent') < 700 THEN one_of(['Never Subscribed', 'NEVER_SUBSCRIBED', 'never-subscribed'], n, 'word')
            WHEN share(n, 'email consent') < 720 THEN ''
        END AS said,
        CASE WHEN opted_out.n IS NULL THEN share(n, 'consent date') < 800 ELSE opted_out.dated END AS has_date,
        getvariable('now')::TIMESTAMP - to_seconds((86400 + pick(n, 'consented') % 94608000)::INTEGER) AS said_at,
        coalesce(opted_out.sms, share(n, 'sms consent') < 300) AS texts
    FROM rows LEFT JOIN sample.opted_out USING (n)
)
SELECT
    n,
    dirt,
    rejected,
    CASE dirt WHEN 'no_identifier' THEN NULL WHEN 'junk_identifiers' THEN NULL WHEN 'long_identifier' THEN customer_id || repeat('-legacy', 10) ELSE customer_id END AS customer_id,
    CASE
        WHEN dirt = 'no_identifier' THEN NULL
        WHEN dirt IN ('bad_email', 'junk_identifiers') THEN junk_email(email, n)
        WHEN dirt = 'long_identifier' THEN email
        WHEN again THEN untidy(address, n)
        ELSE address
    END AS email,
    CASE
        WHEN dirt IN ('no_identifier', 'sms_consent_without_phone') THEN NULL
        WHEN dirt IN ('junk_phone', 'junk_identifiers') THEN junk_phone(n)
        WHEN dirt = 'phone_without_country' THEN coalesce(phone_national, '020 7946 0000')
        WHEN share(n, 'phone form') < 500 THEN phone_national
        WHEN share(n, 'phone form') < 800 THEN phone_e164
        WHEN share(n, 'phone form') < 900 THEN phone_e164[:3] || ' ' || phone_e164[4:6] || ' ' || phone_e164[7:]
        WHEN country_code IN ('GB', 'DE', 'FR', 'SE') THEN '00' || phone_e164[2:]
        ELSE phone_national
    END AS phone,
    CASE WHEN dirt = 'phone_without_country' THEN NULL ELSE country_code END AS country_code,
    CASE dirt WHEN 'control_characters' THEN first_name || chr(9) || chr(7) WHEN 'emoji' THEN first_name || ' 🌻👩‍🚀' WHEN 'empty_strings' THEN '' ELSE first_name END AS first_name,
    CASE dirt WHEN 'control_characters' THEN last_name || chr(13) || chr(10) WHEN 'emoji' THEN '𝕄' || last_name WHEN 'empty_strings' THEN '' ELSE last_name END AS last_name,
    CASE WHEN share(n, 'company') < 150 THEN last_name || one_of([' & Sons', ' GmbH', ' Ltd', ' "Studio"', ' S.A.'], n, 'company form') END AS company,
    CASE
        WHEN dirt = 'long_text' THEN repeat('Head of Everything, ', 300)
        WHEN share(n, 'company') < 150 THEN one_of(['Buyer', 'Owner', 'Office Manager', 'Geschäftsführerin', 'Chef de rang'], n, 'title')
    END AS job_title,
    CASE dirt WHEN 'huge_text' THEN repeat('Second door on the left, ', 4800) ELSE street END AS "Street Address",
    CASE WHEN share(n, 'floor') < 80 THEN 'c/o ' || one_of(['Reception', 'Concierge', 'Porter'], n, 'care of') END AS "address 2",
    city,
    region,
    zip,
    CASE dirt WHEN 'bad_coordinates' THEN 912.5 ELSE latitude END AS latitude,
    longitude,
    CASE dirt WHEN 'bad_locale' THEN 'British English, mostly' ELSE locale END AS locale,
    CASE dirt WHEN 'bad_timezone' THEN 'Mars/Olympus_Mons' ELSE timezone END AS timezone,
    one_of(['retail', 'retail', 'retail', 'trade', 'staff'], n, 'group') AS "group",
    (getvariable('now')::TIMESTAMP - to_days((pick(n, 'created') % 1500)::INTEGER + 730))::DATE AS created_on,
    CASE dirt WHEN 'consent_boolean' THEN one_of(['true', '1', 'yes'], n, 'boolean') ELSE said END AS email_consent,
    CASE
        WHEN dirt = 'consent_in_future' THEN getvariable('now')::TIMESTAMP + to_days(400)
        WHEN dirt = 'consent_before_1990' THEN TIMESTAMP '1969-07-20 20:17:00'
        WHEN said <> '' AND has_date THEN said_at
    END::TIMESTAMPTZ AS email_consent_at,
    CASE WHEN dirt = 'sms_consent_without_phone' OR (phone_e164 IS NOT NULL AND texts) THEN one_of(['Subscribe', 'Subscribe', 'Subscribe', 'Unsubscribed'], n, 'sms word') END AS sms_consent,
    CASE WHEN sms_consent IS NOT NULL AND has_date THEN said_at END::TIMESTAMPTZ AS sms_consent_at,
    dated(moment, dirt, n)::TIMESTAMPTZ AS updated_at
FROM stated;

-- What each row says about consent, once Klaviyo's words are read: `wrong` where it cannot go out as it is, `repaired` where an opt-out goes to
-- the address that was meant.
ALTER TABLE sample.contacts ADD COLUMN stated STRUCT(channel VARCHAR, meaning VARCHAR, dated BOOLEAN, wrong BOOLEAN, repaired BOOLEAN)[];
UPDATE sample.contacts SET stated = list_filter(
    [
        {
            'channel': 'email_marketing',
            'meaning': CASE WHEN dirt = 'consent_boolean' OR lower(email_consent) LIKE 'sub%' THEN 'subscribe' WHEN lower(email_consent) LIKE 'un%' THEN 'unsubscribe' END,
            'dated': email_consent_at IS NOT NULL,
            'wrong': coalesce(dirt IN ('consent_boolean', 'consent_in_future') OR (dirt = 'bad_email' AND NOT (email LIKE '% @ %' AND lower(email_consent) LIKE 'un%')), false),
            'repaired': coalesce(dirt IN ('bad_email', 'junk_identifiers') AND email LIKE '% @ %' AND lower(email_consent) LIKE 'un%', false)
        },
        {
            'channel': 'sms_marketing',
            'meaning': CASE WHEN lower(sms_consent) LIKE 'sub%' THEN 'subscribe' WHEN lower(sms_consent) LIKE 'un%' THEN 'unsubscribe' END,
            'dated': sms_consent_at IS NOT NULL,
            'wrong': coalesce(dirt IN ('sms_consent_without_phone', 'junk_phone', 'phone_without_country'), false),
            'repaired': false
        }
    ],
    lambda said: said.meaning IS NOT NULL
);

CREATE TABLE crm.contacts AS SELECT * EXCLUDE (n, dirt, rejected, stated) FROM sample.contacts ORDER BY pick(n, 'contacts order');

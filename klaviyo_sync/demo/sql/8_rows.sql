-- What the sample knows about its own rows, to compare with what was imported. The rest of the scaffolding goes.

CREATE TABLE sample.rows AS
SELECT 'crm_contacts' AS sync, n AS person, dirt, rejected, updated_at AS modified_at, stated FROM sample.contacts
UNION ALL SELECT 'loyalty_members', n, dirt, rejected, updated_at, [] FROM sample.loyalty
UNION ALL SELECT 'churn_scores', n, dirt, rejected, moment, [] FROM sample.churn
UNION ALL SELECT 'segments', n, dirt, rejected, "Modified At", [] FROM sample.segments;

DROP TABLE sample.contacts; DROP TABLE sample.loyalty; DROP TABLE sample.churn; DROP TABLE sample.segments;
DROP TABLE sample.mistakes; DROP TABLE sample.countries; DROP TABLE sample.cities; DROP TABLE sample.phone_ranges;

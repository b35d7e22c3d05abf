-- ml.churn_scores: a view over every score that the model ever gave, several to a customer. Its clock is the wall clock of Berlin, and says so nowhere.

CREATE TABLE sample.churn AS
SELECT
    n,
    dirt,
    coalesce(rejected, false) AS rejected,
    CASE dirt WHEN 'no_identifier' THEN NULL WHEN 'long_identifier' THEN customer_id || repeat('-legacy', 10) ELSE customer_id END AS customer_id,
    'churn-' || (3 + version) || '.1' AS model,
    CASE dirt WHEN 'nan_score' THEN 'nan'::DOUBLE ELSE (pick(n, 'score' || version) % 1000000) / 1000000 END AS score,
    CASE WHEN dirt IS DISTINCT FROM 'null_features' THEN {
        recency_days: (pick(n, 'recency' || version) % 400)::INTEGER,
        orders: (pick(n, 'orders' || version) % 30)::INTEGER,
        basket: ((pick(n, 'basket' || version) % 30000) / 100)::DECIMAL(9, 2),
        categories: some_of(['garden', 'kitchen', 'toys', 'books'], n, 'category', 400)
    } END AS features,
    CASE WHEN version = 3 THEN dated(moment(n, 'churn'), dirt, n) ELSE moment(n, 'churn') - to_days(40 * (3 - version)) END::TIMESTAMPTZ AS moment,
    timezone('Europe/Berlin', moment) AS scored_at
FROM sample.people
CROSS JOIN range(1, 4) AS versions (version)
LEFT JOIN (FROM sample.mistakes WHERE dataset = 'churn') AS mistakes USING (n)
WHERE share(n, 'scored') < 650;

CREATE TABLE ml.churn_score_runs AS SELECT * EXCLUDE (n, dirt, rejected, moment) FROM sample.churn ORDER BY pick(n, 'churn order'), model;

CREATE VIEW ml.churn_scores AS
SELECT customer_id, score, CASE WHEN score > 0.8 AND NOT isnan(score) THEN 'high' WHEN score > 0.5 AND NOT isnan(score) THEN 'medium' WHEN score <= 0.5 THEN 'low' END AS risk,
    to_json(features) AS features, model AS "Model Version", scored_at
FROM ml.churn_score_runs;

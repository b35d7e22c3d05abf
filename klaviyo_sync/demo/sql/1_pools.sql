-- Where people live, what they are called, and telephone ranges that regulators keep free for fiction.

CREATE MACRO pick(n, salt) AS md5_number_lower(concat(n, ':', salt));
CREATE MACRO share(n, salt) AS (pick(n, salt) % 1000)::INTEGER;                      -- 0 to 999
CREATE MACRO one_of(items, n, salt) AS items[(pick(n, salt) % len(items))::INTEGER + 1];
CREATE MACRO some_of(items, n, salt, per_mille) AS list_filter(items, lambda item, place: share(n, salt || place) < per_mille);
CREATE MACRO fill(pattern, digits) AS                                                -- the marks of a pattern become digits, left to right
    regexp_replace(regexp_replace(regexp_replace(regexp_replace(pattern,
        '#', substr(digits, 1, 1)), '#', substr(digits, 2, 1)), '#', substr(digits, 3, 1)), '#', substr(digits, 4, 1));

CREATE TABLE sample.countries AS
SELECT *, sum(weight) OVER (ORDER BY code) AS upto
FROM (VALUES
    ('US', 300, 'en-US', '1', ['Olivia', 'Liam', 'Emma', 'Noah', 'Ava', 'Elijah', 'Sophia', 'James', 'Isabella', 'Lucas', 'Mia', 'Mateo', 'Aaliyah', 'Darnell', 'Camila', 'Ethan', 'Grace', 'Tyrone', 'Hannah', 'Wyatt', 'Zoë', 'Jesús'],
        ['Smith', 'Johnson', 'Williams', 'Brown', 'Garcia', 'Miller', 'Davis', 'Rodriguez', 'Martinez', 'Nguyen', 'O''Connor', 'Jackson', 'Thompson', 'White', 'Lee', 'Harris', 'Clark', 'Washington', 'Robinson', 'Walker', 'Young', 'Kim', 'Begay', 'Van Dyke'],
        ['# Maple Street', '# Oak Avenue', '# Washington Blvd', '# 5th Street, Apt 2', '# Sunset Drive', '# County Road 12']),
    ('CA', 60, 'en-CA', '1', ['Liam', 'Olivia', 'Félix', 'Emma', 'Léa', 'William', 'Chloé', 'Jack', 'Amélie', 'Priya', 'Nathan', 'Florence'],
        ['Tremblay', 'Roy', 'Gagnon', 'Singh', 'MacDonald', 'Côté', 'Bouchard', 'Campbell', 'Gauthier', 'Wong', 'Lavoie', 'Fortin'],
        ['# King Street West', '# rue Sainte-Catherine', '# Bloor Street', '# chemin du Lac']),
    ('GB', 170, 'en-GB', '44', ['Oliver', 'Amelia', 'George', 'Isla', 'Harry', 'Freya', 'Muhammad', 'Poppy', 'Arthur', 'Niamh', 'Rhys', 'Ffion', 'Hamish', 'Aisha', 'Alfie', 'Imogen'],
        ['Smith', 'Jones', 'Taylor', 'Patel', 'Evans', 'Khan', 'Wilson', 'Davies', 'MacLeod', 'O''Neill', 'Begum', 'Hughes', 'Ashworth-Lloyd', 'Okafor', 'Clarke', 'Murray', 'Lloyd'],
        ['# High Street', 'Flat 3, # Station Road', '# Church Lane', '# Victoria Terrace', '# The Green']),
    ('DE', 170, 'de-DE', '49', ['Emilia', 'Noah', 'Mia', 'Leon', 'Hannah', 'Jürgen', 'Käthe', 'Finn', 'Lina', 'Elias', 'Özlem', 'Jörg', 'Frieda', 'Björn', 'Anneliese', 'Mehmet'],
        ['Müller', 'Schmidt', 'Schneider', 'Fischer', 'Weber', 'Köhler', 'Wagner', 'Becker', 'Schäfer', 'Yılmaz', 'Groß', 'von der Heide', 'Krüger', 'Vogel', 'Weiß', 'Lange', 'Böhm'],
        ['Lindenstraße #', 'Theodor-Heuss-Straße #', 'Am Markt #', 'Goethestr. # a', 'Bahnhofstraße #']),
    ('FR', 120, 'fr-FR', '33', ['Léo', 'Jade', 'Gabriel', 'Louise', 'Raphaël', 'Emma', 'Hugo', 'Anaïs', 'François', 'Noémie', 'Théo', 'Inès', 'Maël', 'Zoé'],
        ['Martin', 'Bernard', 'Dubois', 'Lefèvre', 'Moreau', 'Laurent', 'Simon', 'd''Alembert', 'Benali', 'Girard', 'Mercier', 'Faure', 'Chevalier', 'Nguyen'],
        ['# rue des Lilas', '# bis avenue de la République', '# place du Marché', '# impasse Voltaire']),
    ('AU', 80, 'en-AU', '61', ['Charlotte', 'Jack', 'Matilda', 'Cooper', 'Ruby', 'Lachlan', 'Evie', 'Hudson', 'Kirra', 'Banjo'],
        ['Smith', 'Nguyen', 'Wilson', 'O''Brien', 'Kelly', 'Ryan', 'Papadopoulos', 'Murphy', 'Singh', 'Campbell'],
        ['# Banksia Street', 'Unit 4/# Beach Road', '# Wattle Grove', '# Pitt Street']),
    ('SE', 50, 'sv-SE', '46', ['Alice', 'Åke', 'Elsa', 'Björn', 'Astrid', 'Nils', 'Märta', 'Göran', 'Saga', 'Oskar'],
        ['Andersson', 'Johansson', 'Lindström', 'Bergqvist', 'Öberg', 'Hansson', 'Sjöberg', 'Wikström', 'Åkesson'],
        ['Storgatan #', 'Kyrkogatan # B', 'Drottninggatan #', 'Björkvägen #']),
    ('ES', 20, 'es-ES', '34', ['Lucía', 'Íñigo', 'María José', 'Hugo', 'Begoña', 'Pablo', 'Nuria'], ['García López', 'Fernández', 'Muñoz', 'Ibáñez', 'Núñez', 'Etxeberria'],
        ['Calle Mayor, #', 'Avda. de la Constitución, #, 2.º']),
    ('BR', 20, 'pt-BR', '55', ['João', 'Luís', 'Conceição', 'Beatriz', 'Thiago', 'Helena'], ['Gonçalves', 'da Silva', 'Souza', 'Araújo', 'Magalhães', 'dos Santos'],
        ['Av. Brigadeiro Faria Lima, #', 'Rua das Palmeiras, #']),
    ('JP', 10, 'ja-JP', '81', ['陽菜', '翔太', '美咲', '健一', 'さくら'], ['佐藤', '鈴木', '高橋', '田中', '渡辺'],
        ['本町#丁目', '桜ヶ丘#番地'])
) AS country (code, weight, locale, calling_code, first_names, last_names, streets);

CREATE TABLE sample.cities AS
SELECT *, row_number() OVER (PARTITION BY country_code ORDER BY city) - 1 AS place, count(*) OVER (PARTITION BY country_code) AS places
FROM (VALUES
    ('US', 'New York', 'NY', '100##', 40.7128, -74.0060, 'America/New_York'), ('US', 'Boston', 'MA', '021##', 42.3601, -71.0589, 'America/New_York'),
    ('US', 'Chicago', 'IL', '606##', 41.8781, -87.6298, 'America/Chicago'), ('US', 'Austin', 'TX', '787##', 30.2672, -97.7431, 'America/Chicago'),
    ('US', 'Denver', 'CO', '802##', 39.7392, -104.9903, 'America/Denver'), ('US', 'Los Angeles', 'CA', '900##', 34.0522, -118.2437, 'America/Los_Angeles'),
    ('US', 'Seattle', 'WA', '981##', 47.6062, -122.3321, 'America/Los_Angeles'), ('US', 'Honolulu', 'HI', '968##', 21.3069, -157.8583, 'Pacific/Honolulu'),
    ('CA', 'Toronto', 'ON', 'M5V #N#', 43.6532, -79.3832, 'America/Toronto'), ('CA', 'Montréal', 'QC', 'H2G #A#', 45.5019, -73.5674, 'America/Toronto'),
    ('CA', 'Vancouver', 'BC', 'V6B #X#', 49.2827, -123.1207, 'America/Vancouver'),
    ('GB', 'London', 'Greater London', 'SE1 #AB', 51.5072, -0.1276, 'Europe/London'), ('GB', 'Manchester', 'Greater Manchester', 'M1 #AE', 53.4808, -2.2426, 'Europe/London'),
    ('GB', 'Cardiff', 'Wales', 'CF10 #AA', 51.4816, -3.1791, 'Europe/London'), ('GB', 'Edinburgh', 'Scotland', 'EH1 #YZ', 55.9533, -3.1883, 'Europe/London'),
    ('DE', 'Berlin', 'Berlin', '101##', 52.5200, 13.4050, 'Europe/Berlin'), ('DE', 'München', 'Bayern', '803##', 48.1351, 11.5820, 'Europe/Berlin'),
    ('DE', 'Köln', 'Nordrhein-Westfalen', '506##', 50.9375, 6.9603, 'Europe/Berlin'), ('DE', 'Dresden', 'Sachsen', '010##', 51.0504, 13.7373, 'Europe/Berlin'),
    ('FR', 'Paris', 'Île-de-France', '750##', 48.8566, 2.3522, 'Europe/Paris'), ('FR', 'Lyon', 'Auvergne-Rhône-Alpes', '690##', 45.7640, 4.8357, 'Europe/Paris'),
    ('FR', 'Nice', 'Provence-Alpes-Côte d''Azur', '062##', 43.7102, 7.2620, 'Europe/Paris'),
    ('AU', 'Sydney', 'NSW', '20##', -33.8688, 151.2093, 'Australia/Sydney'), ('AU', 'Adelaide', 'SA', '50##', -34.9285, 138.6007, 'Australia/Adelaide'),
    ('SE', 'Stockholm', 'Stockholms län', '114 ##', 59.3293, 18.0686, 'Europe/Stockholm'), ('SE', 'Malmö', 'Skåne', '211 ##', 55.6050, 13.0038, 'Europe/Stockholm'),
    ('ES', 'Madrid', 'Madrid', '280##', 40.4168, -3.7038, 'Europe/Madrid'), ('ES', 'San Sebastián', 'País Vasco', '200##', 43.3183, -1.9812, 'Europe/Madrid'),
    ('BR', 'São Paulo', 'SP', '012##-000', -23.5558, -46.6396, 'America/Sao_Paulo'), ('JP', '東京', '東京都', '100-00##', 35.6762, 139.6503, 'Asia/Tokyo')
) AS place (country_code, city, region, zip, latitude, longitude, timezone);

-- Ranges for films and books: NANP 555-01xx, and those of Ofcom, Bundesnetzagentur, Arcep, ACMA and PTS. Only ranges that exist for libphonenumber:
-- Ofcom's 07700 900xxx and Arcep's 06 39 98 xx xx do not. Countries without such a range have no telephones in this sample.
CREATE TABLE sample.phone_ranges AS
SELECT *, sum(numbers) OVER (PARTITION BY country_code ORDER BY national) AS upto
FROM (
    SELECT 'US' AS country_code, '(' || area || ') 555-01##' AS national, 100 AS numbers
    FROM unnest([201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231, 234, 239, 240, 248, 251, 252, 253, 254, 256,
                 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330, 334, 336]) AS codes (area)
    UNION ALL
    SELECT 'CA', area || '-555-01##', 100 FROM unnest([204, 226, 250, 306, 403, 416, 418, 438, 450, 506, 514, 519, 604, 613]) AS codes (area)
    UNION ALL
    SELECT 'GB', range, 1000
    FROM unnest(['020 7946 0###', '0113 496 0###', '0114 496 0###', '0116 496 0###', '0117 496 0###', '0118 496 0###', '0121 496 0###', '0131 496 0###',
                 '0141 496 0###', '0151 496 0###', '0161 496 0###', '0191 498 0###', '028 9649 6###', '029 2018 0###']) AS ranges (range)
    UNION ALL
    SELECT 'DE', range, 1000 FROM unnest(['030 23125 ###', '069/90009-###', '040 66969###', '0221 4710 ###', '(089) 99998 ###']) AS ranges (range)
    UNION ALL
    SELECT 'FR', range, 10000 FROM unnest(['01 99 00 ## ##', '02.61.91.##.##', '03 53 01 ## ##', '04 65 71 ## ##', '05 36 49 ## ##']) AS ranges (range)
    UNION ALL
    SELECT 'AU', range, 10000 FROM unnest(['(02) 5550 ####', '(03) 5550 ####', '(07) 7010 ####', '(08) 5550 ####']) AS ranges (range)
    UNION ALL
    SELECT 'SE', range, 100 FROM unnest(['031-390 06 ##', '040-628 04 ##', '08-465 004 ##', '0980-31 92 ##', '070-174 06 ##']) AS ranges (range)
) AS all_ranges;

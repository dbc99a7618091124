/** A database of PostgreSQL whose names, values and objects are hard to dump, to read in a dump, and to compare. */

export const TORTURE = `
CREATE SCHEMA "Odd ""Schema";
CREATE TABLE "Odd ""Schema"."a b.c" (id int PRIMARY KEY, "select" text, made int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO "Odd ""Schema"."a b.c" VALUES (1, E'tab\\t line\\nbreak \\\\. back\\\\slash'), (2, NULL), (3, ''), (4, E'\\\\.'), (5, repeat('x', 3000000));
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE empty (id bigserial PRIMARY KEY, at timestamptz DEFAULT now());
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_2 PARTITION OF parted DEFAULT;
INSERT INTO parted SELECT i, 'v' || i FROM generate_series(1, 200) i;
CREATE TABLE parent (id int); CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 'ü€😀');
CREATE UNLOGGED TABLE fast (t timestamptz, b bytea, f float8, i interval);
INSERT INTO fast VALUES ('2026-03-29 02:30:00+01', '\\x00ff5c', 0.1, '1 mon 2 days'), ('infinity', '', 'NaN', NULL);
CREATE FUNCTION fake() RETURNS text LANGUAGE sql AS $f$ SELECT '
--
-- Data for Name: ghost; Type: TABLE DATA; Schema: public; Owner: x
--

' $f$;
CREATE VIEW totals AS SELECT count(*) FROM parted;
CREATE MATERIALIZED VIEW stored AS SELECT * FROM parted;
CREATE TYPE mood AS ENUM ('sad', 'happy');
SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex')), lo_from_bytea(0, '');
SELECT setval('empty_id_seq', 41);
CREATE SEQUENCE "un.used" START 7;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER touched BEFORE INSERT ON empty FOR EACH ROW EXECUTE FUNCTION touched();
`;

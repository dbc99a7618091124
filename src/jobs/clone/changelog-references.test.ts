import { expect, test } from 'vitest';
import { changelogContent } from './changelog-references.ts';

const content = (path: string, text: string) => changelogContent(path, Buffer.from(text));
const paths = (path: string, text: string) =>
  content(path, text).references.map(({ kind, path: to, isRelative }) => `${kind} ${to} ${isRelative}`);

const YAML = `databaseChangeLog:
  - property: {file: names.properties}
  - include: {file: a.yaml, relativeToChangelogFile: true}
  - includeAll: {path: more/, errorIfMissingOrEmpty: false}
  - changeSet:
      id: 1
      author: me
      changes:
        - sqlFile: {path: a.sql, relativeToChangelogFile: "true"}
        - loadData: {file: a.csv, tableName: t}
        - insert: {tableName: t, columns: [{column: {name: b, valueClobFile: b.txt}}]}
        - createTable: {tableName: path, columns: [{column: {name: file, type: int}}]}
      rollback:
        - sqlFile: {path: undo.sql}
  - changeSet: {id: 2, author: me}
`;
const REFERENCES = [
  'file names.properties false',
  'changelog a.yaml true',
  'folder more/ false',
  'file a.sql true',
  'file a.csv false',
  'file b.txt either',
  'file undo.sql false',
];

test('YAML, and the same as JSON', async () => {
  expect(paths('c.yaml', YAML)).toEqual(REFERENCES);
  expect(content('c.yml', YAML).changeSets).toBe(2);
  const { parse } = await import('yaml');
  expect(paths('c.json', JSON.stringify(parse(YAML)))).toEqual(REFERENCES);
});

test('XML', () => {
  const xml = `\uFEFF<?xml version="1.0" encoding="UTF-8"?>
<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog" xmlns:ext="x">
  <property file='names.properties'/>
  <include relativeToChangelogFile="true"
           file="a &amp; b.xml" />
  <!-- <include file="no.xml"/> -->
  <includeAll path="more/" errorIfMissingOrEmpty="false"/>
  <changeSet id="1" author="me">
    <sql><![CDATA[ select '<include file="no.sql"/>' where 1 < 2 ]]></sql>
    <sqlFile path="a.sql" relativeToChangelogFile="true"/>
    <ext:loadData file="a.csv"/>
    <insert tableName="t"><column name="b" valueBlobFile="b.bin"/></insert>
  </changeSet>
</databaseChangeLog>`;
  expect(paths('c.xml', xml)).toEqual([
    'file names.properties false',
    'changelog a & b.xml true',
    'folder more/ false',
    'file a.sql true',
    'file a.csv false',
    'file b.bin either',
  ]);
  expect(content('c.xml', xml).changeSets).toBe(1);
  expect(content('c.xml', xml).references.map((reference) => reference.mayBeMissing)).toEqual([
    false,
    false,
    true,
    false,
    false,
    false,
  ]);
});

test('formatted SQL, and SQL that is not', () => {
  const sql = `--liquibase formatted sql
--changeset me:1
create table a (id int);
-- changeset me:2
--rollbackSqlFile path:undo/2.sql relativeToChangelogFile:true
--rollback drop table a;
`;
  expect(content('c.sql', sql)).toMatchObject({ changeSets: 2 });
  expect(paths('c.sql', sql)).toEqual(['file undo/2.sql true']);
  expect(content('c.sql', 'select 1')).toEqual({ references: [], changeSets: 1 });
});

test('what cannot be read is named', () => {
  expect(() => content('c.yaml', 'a: [')).toThrow('cannot read the changelog c.yaml');
  expect(() => content('c.json', '{')).toThrow('cannot read the changelog c.json');
  expect(() => content('c.xml', '<html/>')).toThrow('it has no databaseChangeLog');
  expect(() => content('c.txt', '')).toThrow('its name ends in none of .xml, .yaml, .yml, .json, .sql');
});

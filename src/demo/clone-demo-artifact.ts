/** What the artifact of the demo of `clone` is built from: an INI file, masking rules and a changelog for the shop. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of the tables of the shop, the one that is masked. */
export const MASKED_TABLE = 'crm.customers';

/** @param url of the source, without a password @returns the path of the INI file */
export function writeCloneDemoArtifact(folder: string, url: string): string {
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  write('changelog.yaml', CHANGELOG);
  write('masking.yaml', MASKING);
  return write(
    'artifact-config.ini',
    `[source_db]
source_db_url = ${url}
liquibase_changelog_path = changelog.yaml

[target_db]
masking_path = masking.yaml
ttl = 8h
`,
  );
}

const MASKING = `columns:
  ${MASKED_TABLE}.name: fake name
  ${MASKED_TABLE}.email: email
  ${MASKED_TABLE}.birthday: null
`;

const CHANGELOG = `databaseChangeLog:
  - changeSet:
      id: customers
      author: shop
      changes:
        - createTable:
            tableName: customers
            columns:
              - column: { name: id, type: uuid, constraints: { primaryKey: true } }
              - column: { name: email, type: text, constraints: { nullable: false, unique: true } }
  - changeSet:
      id: orders
      author: shop
      changes:
        - createTable:
            tableName: orders
            columns:
              - column: { name: id, type: bigint, autoIncrement: true, constraints: { primaryKey: true } }
              - column: { name: customer_id, type: uuid, constraints: { nullable: false } }
        - addForeignKeyConstraint:
            constraintName: orders_customer
            baseTableName: orders
            baseColumnNames: customer_id
            referencedTableName: customers
            referencedColumnNames: id
`;

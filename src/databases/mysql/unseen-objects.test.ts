import { expect, it } from 'vitest';
import { mayHideTables, unseenObjects } from './unseen-objects.ts';

const BOTH = ['triggers', 'procedures and functions'];
const LEAST = 'GRANT SELECT, LOCK TABLES, SHOW VIEW, EVENT ON `shop\\_1`.* TO `u`@`%`';

it.each([
  ['what reads tables only', [LEAST], BOTH],
  ['everything', ['GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION'], []],
  ['everything on the database', ['GRANT ALL PRIVILEGES ON `shop\\_1`.* TO `u`@`%`'], []],
  ['everything on databases of such names', ['GRANT ALL PRIVILEGES ON `shop%`.* TO `u`@`%`'], []],
  ['everything on another database', ['GRANT ALL PRIVILEGES ON `shop.1`.* TO `u`@`%`'], BOTH],
  ['triggers', [LEAST, 'GRANT TRIGGER ON *.* TO `u`@`%`'], ['procedures and functions']],
  ['triggers of one table', [LEAST, 'GRANT TRIGGER ON `shop_1`.`t` TO `u`@`%`'], BOTH],
  ['routines of MySQL 8', ['GRANT SHOW_ROUTINE ON *.* TO `u`@`%`'], ['triggers']],
  ['the table of routines', [LEAST, 'GRANT SELECT ON `mysql`.`proc` TO `u`@`%`'], ['triggers']],
  ['reading everything', ["GRANT SELECT, PROCESS ON *.* TO 'u'@'%'"], ['triggers']],
  ['nothing', ["GRANT USAGE ON *.* TO 'u'@'%'"], BOTH],
])('knows what a user does not see who has %s', (_, grants, unseen) => {
  expect(unseenObjects(grants, 'shop_1')).toEqual(unseen);
});

it.each([
  ['on the database', [LEAST], false],
  ['on everything', ["GRANT ALL PRIVILEGES ON *.* TO 'root'@'%'"], false],
  [
    'on one table',
    ['GRANT EVENT ON `shop\\_1`.* TO `u`@`%`', 'GRANT SELECT ON `shop_1`.`t` TO `u`@`%`'],
    true,
  ],
  ['on another database', ['GRANT SELECT ON `shop`.* TO `u`@`%`'], true],
  ['by a role of MySQL', ['GRANT USAGE ON *.* TO `u`@`%`', 'GRANT `reader`@`%` TO `u`@`%`'], false],
  ['by a role of MariaDB', ['GRANT `reader` TO `u`@`%`', 'GRANT SELECT ON `shop_1`.* TO `reader`'], false],
])('knows whether a user sees every table who may read %s', (_, grants, hidden) => {
  expect(mayHideTables(grants, 'shop_1')).toBe(hidden);
});

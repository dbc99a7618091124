import { expect, it } from 'vitest';
import { unseenObjects } from './unseen-objects.ts';

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

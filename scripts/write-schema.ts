/** Writes `longshore.schema.json`, the JSON schema of `longshore.yaml`, from the schemas the program checks with. */

import { writeFileSync } from 'node:fs';
import { configJsonSchema } from '../src/cli/config-schema.ts';

const path = new URL('../longshore.schema.json', import.meta.url);
writeFileSync(path, `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);

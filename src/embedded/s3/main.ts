/** Runs the S3 server as a program: `node src/embedded/s3/main.ts --port 9000 --folder DIR --bucket a --bucket b`. */

import { parseArgs } from 'node:util';
import { startS3Server } from './server.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '9000' },
    host: { type: 'string', default: '127.0.0.1' },
    folder: { type: 'string' },
    bucket: { type: 'string', multiple: true, default: [] },
    controls: { type: 'boolean', default: false },
  },
});

const server = await startS3Server({
  port: Number(values.port),
  host: values.host,
  folder: values.folder,
  buckets: values.bucket,
  controls: values.controls,
  accessKeyId: process.env['AWS_ACCESS_KEY_ID'],
  secretAccessKey: process.env['AWS_SECRET_ACCESS_KEY'],
});
const { url, port, accessKeyId, secretAccessKey } = server;
process.stdout.write(`${JSON.stringify({ url, port, accessKeyId, secretAccessKey })}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void server[Symbol.asyncDispose]());
}

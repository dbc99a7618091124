/** An S3 server in this process, for the demo and for tests: SQLite underneath, faults on command. */

import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sendError, sendResponse, sendWithFault } from './answer.ts';
import { Blobs } from './blobs.ts';
import { Buckets } from './buckets-table.ts';
import { readControl } from './controls.ts';
import { Database } from './database.ts';
import type { RequestLine, S3Request, Service } from './exchange.ts';
import { Faults } from './faults.ts';
import { type AccessPolicy, limited, owner, type Principal } from './permissions.ts';
import { readRequestLine } from './request-line.ts';
import { OPERATIONS, route } from './router.ts';
import { S3Error } from './s3-error.ts';
import { SignatureVerifier } from './signature.ts';
import { FULL_SUPPORT, type Support } from './support.ts';
import { Uploads } from './uploads-table.ts';
import { Versions } from './versions-table.ts';

export interface S3ServerOptions {
  /** By default one that is free. */
  readonly port?: number | undefined;
  readonly host?: string | undefined;
  /** Where objects are kept; in memory where absent. */
  readonly folder?: string | undefined;
  /** Buckets to make. */
  readonly buckets?: readonly string[] | undefined;
  /** Whether the buckets made are versioned. */
  readonly versioning?: boolean | undefined;
  /** Largest object that CopyObject copies whole; 5 GiB unless told. */
  readonly maxCopyBytes?: number | undefined;
  /** Smallest part but the last; 5 MiB unless told. */
  readonly minPartBytes?: number | undefined;
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly region?: string | undefined;
  /** `random`: a store whose ETags mean nothing. */
  readonly etag?: 'md5' | 'random' | undefined;
  /** Encrypt with aws:kms what nothing else is said of. */
  readonly kms?: boolean | undefined;
  readonly support?: Partial<Support> | undefined;
  /** Other names of buckets, as access point aliases are. */
  readonly aliases?: Readonly<Record<string, string>> | undefined;
  /** Access keys that may do only what is listed. */
  readonly policies?: readonly AccessPolicy[] | undefined;
  /** Serve `PUT /_faults` and `GET /_requests`, for other processes. */
  readonly controls?: boolean | undefined;
  readonly now?: (() => number) | undefined;
}

/** A running server. Disposing stops it. */
export interface S3Server extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly faults: Faults;
  /** How many requests were served, by operation. */
  readonly requests: Readonly<Record<string, number>>;
}

/** Starts a server and resolves when it listens. */
export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const accessKeyId = options.accessKeyId ?? 'longshore';
  const secretAccessKey = options.secretAccessKey ?? randomBytes(15).toString('base64url');
  const service = openService(options);
  const principals = new Map<string, Principal>();
  for (const principal of [owner(accessKeyId, secretAccessKey), ...(options.policies ?? []).map(limited)]) {
    principals.set(principal.accessKeyId, principal);
  }
  const handler = new Handler(
    service,
    new SignatureVerifier(principals, options.now),
    options.controls === true,
  );
  const server = createServer({ keepAliveTimeout: 60_000, noDelay: true }, (message, response) => {
    void handler.handle(message, response);
  });
  server.requestTimeout = 0;
  await listen(server, options.port ?? 0, options.host ?? '127.0.0.1');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host ?? '127.0.0.1'}:${port}`,
    port,
    accessKeyId,
    secretAccessKey,
    faults: handler.faults,
    requests: handler.requests,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      service.database[Symbol.dispose]();
    },
  };
}

const COPY_BYTES_MAX = 5 * 1024 ** 3;
const PART_BYTES_MIN = 5 * 1024 ** 2;

function openService(options: S3ServerOptions): Service {
  const database = new Database(options.folder);
  const blobs = new Blobs(database);
  const buckets = new Buckets(database, options.aliases ?? {});
  const now = options.now ?? Date.now;
  for (const name of options.buckets ?? []) {
    if (buckets.find(name) !== undefined) continue;
    buckets.add(name, now(), options.versioning === true ? { versioning: 'Enabled' } : {});
  }
  return {
    database,
    blobs,
    buckets,
    versions: new Versions(database, blobs),
    uploads: new Uploads(database, blobs),
    support: { ...FULL_SUPPORT, ...options.support },
    region: options.region ?? 'us-east-1',
    etag: options.etag ?? 'md5',
    kms: options.kms ?? false,
    copyBytesMax: options.maxCopyBytes ?? COPY_BYTES_MAX,
    partBytesMin: options.minPartBytes ?? PART_BYTES_MIN,
    now,
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

class Handler {
  readonly faults = new Faults();
  readonly requests: Record<string, number> = {};
  readonly #service: Service;
  readonly #verifier: SignatureVerifier;
  readonly #controls: boolean;
  #requestNumber = 0;

  constructor(service: Service, verifier: SignatureVerifier, controls: boolean) {
    this.#service = service;
    this.#verifier = verifier;
    this.#controls = controls;
  }

  async handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = (++this.#requestNumber).toString(16).padStart(16, '0').toUpperCase();
    let line: RequestLine | undefined;
    try {
      line = readRequestLine(message);
      if (this.#controls && (await readControl(line, message, response, this.faults, this.requests))) return;
      await this.#serve(line, message, response, requestId);
    } catch (error) {
      message.resume();
      sendError(response, error, line, requestId);
    }
  }

  async #serve(
    line: RequestLine,
    message: IncomingMessage,
    response: ServerResponse,
    requestId: string,
  ): Promise<void> {
    const operation = route(line);
    const fault = this.faults.take(line, operation);
    this.requests[operation ?? 'Unknown'] = (this.requests[operation ?? 'Unknown'] ?? 0) + 1;
    const work = async () => {
      const { principal, payload, region } = this.#verifier.verify(line);
      this.#checkRegion(line, region);
      if (operation === undefined) throw new S3Error('NotImplemented');
      const request: S3Request = { ...line, body: message, principal, payload };
      const result = OPERATIONS[operation](this.#service, request);
      return result instanceof Promise ? await result : result;
    };
    if (fault !== undefined) {
      await sendWithFault(fault, work, message, response, line, requestId);
      return;
    }
    const result = await work();
    this.#service.database.whenCommitted(() => sendResponse(response, result, line, requestId));
  }

  /** A bucket that was made in another region than the request was signed for sends the client there. */
  #checkRegion(line: RequestLine, signedRegion: string): void {
    if (line.bucketName === '') return;
    const region = this.#service.buckets.find(line.bucketName)?.config.region;
    if (region === undefined || region === signedRegion) return;
    throw new S3Error('PermanentRedirect', {
      details: { Bucket: line.bucketName },
      headers: ['x-amz-bucket-region', region],
    });
  }
}

/** A database as the client programs reach it: its server, the programs that fit, the option file, connections beside. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseConnection, DatabaseUrl } from '../../config/database-url.ts';
import { withFileCredentials } from '../../config/password-file.ts';
import { openTemporaryFolder, type TemporaryFolder } from '../../flow/temporary-folder.ts';
import { checkClientFolder, clientEnvironment, clientFolders, findPrograms } from '../client-programs.ts';
import {
  CLIENT_NAMES,
  chooseClient,
  type MysqlClient,
  type MysqlServer,
  mysqlServer,
} from './client-choice.ts';
import { type Client, MysqlConnections } from './connections.ts';
import { defaultsFileText } from './defaults-file.ts';
import type { Doing } from './errors.ts';

/** What a program is run with. */
export interface ClientCall extends Disposable {
  /** First of all flags. */
  readonly defaultsFlag: string;
  readonly env: NodeJS.ProcessEnv;
}

const USUAL_FOLDERS = [
  '/usr/bin',
  '/usr/local/bin',
  '/usr/local/mysql/bin',
  '/opt/homebrew/bin',
  '/opt/homebrew/opt/mysql-client/bin',
  '/usr/local/opt/mysql-client/bin',
];

export class ClientAccess implements AsyncDisposable {
  readonly url: DatabaseUrl;
  readonly server: MysqlServer;
  /** With user and password of the files that hold them. */
  readonly #connection: DatabaseConnection;
  readonly #connections: MysqlConnections;
  readonly #folder: string | undefined;

  private constructor(
    url: DatabaseUrl,
    connection: DatabaseConnection,
    connections: MysqlConnections,
    server: MysqlServer,
    folder: string | undefined,
  ) {
    this.url = url;
    this.#connection = connection;
    this.#connections = connections;
    this.server = server;
    this.#folder = folder;
  }

  /** Asks the server what it is. @throws the errors of connections */
  static async open(
    url: DatabaseUrl,
    clientFolder: string | undefined,
    signal?: AbortSignal,
  ): Promise<ClientAccess> {
    const connection = await withFileCredentials(url.connection, 'mysql');
    const connections = new MysqlConnections(connection, 2);
    try {
      const doing = { action: `connect to ${url.name}`, database: url.name, user: connection.user };
      const [row] = await connections.use(doing, signal, (client) =>
        client.rows('SELECT VERSION(), @@version_comment'),
      );
      return new ClientAccess(
        url,
        connection,
        connections,
        mysqlServer(row![0]!, row![1] ?? ''),
        clientFolder,
      );
    } catch (error) {
      await connections[Symbol.asyncDispose]();
      throw error;
    }
  }

  get database(): string {
    return this.#connection.database;
  }

  use<T>(action: string, signal: AbortSignal | undefined, work: (client: Client) => Promise<T>): Promise<T> {
    const doing: Doing = { action, database: this.url.name, user: this.#connection.user };
    return this.#connections.use(doing, signal, work);
  }

  /** @throws CHECK_FAILED where none fits */
  async client(use: keyof typeof CLIENT_NAMES): Promise<MysqlClient> {
    const env = clientEnvironment();
    const folders = clientFolders(this.#folder, process.env, USUAL_FOLDERS);
    // Option files of the machine are no matter of ours, and may be broken.
    const found = await findPrograms(CLIENT_NAMES[use], folders, env, ['--no-defaults', '--version']);
    checkClientFolder(this.#folder, CLIENT_NAMES[use], found);
    return chooseClient(this.server, found, use);
  }

  /** Writes the option file, for one run of the program; disposing takes it away. */
  call(client: MysqlClient, ignored: readonly string[] = []): ClientCall {
    const folder: TemporaryFolder = openTemporaryFolder('mysql-client');
    try {
      const file = join(folder.path, 'client.cnf');
      writeFileSync(file, defaultsFileText(this.#connection, client, ignored), { mode: 0o600, flag: 'wx' });
      return {
        defaultsFlag: `--defaults-file=${file}`,
        // MySQL's programs read this file as well, and believe it more.
        env: { ...clientEnvironment(), MYSQL_TEST_LOGIN_FILE: join(folder.path, 'none') },
        [Symbol.dispose]: () => folder[Symbol.dispose](),
      };
    } catch (error) {
      folder[Symbol.dispose]();
      throw error;
    }
  }

  /** What a program said, without the password, should it ever stand there. */
  withoutPassword(text: string): string {
    const password = this.#connection.password?.reveal();
    return password ? text.replaceAll(password, '<redacted>') : text;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connections[Symbol.asyncDispose]();
  }
}

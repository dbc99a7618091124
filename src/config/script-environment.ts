/**
 * The environment variables that hand-written avatar migration scripts are configured by, so that `longshore move`
 * alone does what they did.
 */

type Environment = Readonly<Record<string, string | undefined>>;

export interface ScriptMove {
  readonly from: string;
  readonly to: string;
  readonly rows?: string | undefined;
}

/** From where, to where and which rows, as far as the environment says. Undefined when it names no buckets. */
export function moveFromEnvironment(env: Environment): ScriptMove | undefined {
  const legacy = env['S3_LEGACY_BUCKET_NAME'] || env['S3_BUCKET_NAME'];
  const production = env['S3_PROD_BUCKET_NAME'] || env['S3_BUCKET_NAME_PROD'];
  if (!legacy || !production) return undefined;
  const database = databaseFromEnvironment(env);
  return {
    from: `s3://${legacy}/image/`,
    to: `s3://${production}/avatar/`,
    ...(database === undefined ? {} : { rows: `${database}#avatars.path` }),
  };
}

/** `DB_CONN_STRING`, or one built from `DB_HOST`, `DB_PORT`, `DB_NAME`, `DB_USER`, `DB_PASSWD`. */
export function databaseFromEnvironment(env: Environment): string | undefined {
  const connection = env['DB_CONN_STRING'];
  // SQLAlchemy names a driver behind the dialect: postgresql+psycopg2://, mysql+pymysql://.
  if (connection) return connection.replace(/^([a-z]+)\+[a-z0-9_]+:\/\//i, '$1://');
  const { DB_HOST: host, DB_PORT: port, DB_NAME: name, DB_USER: user, DB_PASSWD: password } = env;
  if (!host || !name) return undefined;
  const login = user
    ? `${encodeURIComponent(user)}${password ? `:${encodeURIComponent(password)}` : ''}@`
    : '';
  const dialect = port === '3306' ? 'mysql' : 'postgres';
  return `${dialect}://${login}${host}${port ? `:${port}` : ''}/${encodeURIComponent(name)}`;
}

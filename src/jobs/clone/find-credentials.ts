/** What looks like a credential in a text that everybody who pulls an artifact could read. */

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/, 'an access key of AWS'],
  [/-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/, 'a private key'],
  [/\b[a-z][a-z0-9+.-]*:\/\/[^\s/?#@:'"]*:[^\s/?#@'"]+@/i, 'a URL with a password'],
  [
    /[?&;](?:X-Amz-(?:Signature|Credential|Security-Token)|sig|signature|(?:access_|private_)?token|(?:ssl)?password|api_?key)=[^\s&]/i,
    'a URL with a signature or token',
  ],
  [/\b(?:ghp|gho|ghs|github_pat|glpat|xox[abp])[_-][A-Za-z0-9_-]{16,}/, 'a token'],
  [
    /\baws_?(?:secret_?access_?key|session_?token)\b['"]?\s*[=:]\s*['"]?[A-Za-z0-9/+=]{16}/i,
    'a secret key of AWS',
  ],
  // One that Liquibase fills in is none.
  [/\b(?:create|alter)\s+(?:role|user)\b.*\bpassword\s+(?:E?'|\$\$)(?!')(?!\$\{)/i, 'a password of a user'],
  [
    /\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?['"](?!['"])(?!\$\{)/i,
    'a password of a user',
  ],
];

/** Comments count: they are in the file as well. */
const KEY = /^[\s;#]*[\w.-]*(?:passw(?:or)?d|pwd|secret|token|api_?key|access_key)[\w.-]*\s*[=:]\s*\S/i;

/** @param isConfig whether keys of that name would be credentials, too @returns `line 3: a password`; never the text */
export function credentialsIn(text: string, isConfig: boolean): string[] {
  return text.split(/\r?\n/).flatMap((line, i) => {
    const found = PATTERNS.flatMap(([pattern, what]) => (pattern.test(line) ? [what] : []));
    if (found.length === 0 && isConfig && KEY.test(line)) found.push('a password, key or token');
    return found.map((what) => `line ${i + 1}: ${what}`);
  });
}

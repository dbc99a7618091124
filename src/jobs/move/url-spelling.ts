/** The canonical ways to write a key behind a URL base, and a value in HTML. */

/** A key as it stands and percent-encoded in the usual ways, most likely first. */
export function urlSpellings(key: string): string[] {
  const segments = encodeURIComponent(key)
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/');
  const whole = encodeURI(key).replace(/[?#]/g, encodeURIComponent);
  return [...new Set([key, segments, whole, segments.replaceAll('%20', '+')])];
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function htmlEscaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => ENTITIES[c]!);
}

/** Whether an object's content type fits its name. */

/** Types that a browser needs to be right, by extension. IANA media types. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  png: ['image/png'],
  jpg: ['image/jpeg'],
  jpeg: ['image/jpeg'],
  gif: ['image/gif'],
  webp: ['image/webp'],
  avif: ['image/avif'],
  svg: ['image/svg+xml'],
  ico: ['image/x-icon', 'image/vnd.microsoft.icon'],
  pdf: ['application/pdf'],
  json: ['application/json'],
  html: ['text/html'],
  css: ['text/css'],
  js: ['text/javascript', 'application/javascript'],
  txt: ['text/plain'],
  csv: ['text/csv'],
  mp4: ['video/mp4'],
  mp3: ['audio/mpeg'],
  zip: ['application/zip'],
};

/** What is wrong, as a sentence; undefined where nothing is, or the extension is not known. */
export function contentTypeProblem(key: string, contentType: string | undefined): string | undefined {
  const extension = /\.([a-z0-9]+)$/i.exec(key)?.[1]?.toLowerCase() ?? '';
  const wanted = TYPES[extension];
  if (wanted === undefined) return undefined;
  const found = contentType?.split(';')[0]?.trim().toLowerCase();
  return found !== undefined && wanted.includes(found)
    ? undefined
    : `is ${found ?? 'of no type'}, not ${wanted[0]}`;
}

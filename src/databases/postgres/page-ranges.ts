/** Ranges of pages of a table's heap, by which several read one table at the same time. Pure. */

export interface PageRange {
  readonly low: number;
  /** Not with it; left out of the last range, for a table grows. */
  readonly high?: number | undefined;
}

/** Cuts so many pages into ranges of about the same length, one at least. */
export function cutPages(pages: number, pagesMax: number): PageRange[] {
  const wanted = Math.max(1, Math.ceil(pages / Math.max(1, pagesMax)));
  const step = Math.max(1, Math.ceil(pages / wanted));
  const count = Math.max(1, Math.ceil(pages / step));
  return Array.from({ length: count }, (_, i) => ({
    low: i * step,
    ...(i === count - 1 ? {} : { high: (i + 1) * step }),
  }));
}

/** Which rows lie there: from PostgreSQL 14 on a scan of these pages alone. */
export function pageConditions({ low, high }: PageRange): string[] {
  return [
    ...(low > 0 ? [`ctid >= '(${low},0)'::tid`] : []),
    ...(high === undefined ? [] : [`ctid < '(${high},0)'::tid`]),
  ];
}

/** From then on a condition on `ctid` is a scan of a range. */
export const RANGES_FROM_MAJOR = 14;

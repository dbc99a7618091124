/** Dates and times of day as PostgreSQL writes them in ISO style, as numbers. Proleptic Gregorian, like PostgreSQL. */

/** From 1970 to 2000, where the binary forms count from. */
export const DAYS_2000 = 10_957;
export const MICROS_OF_DAY = 86_400_000_000;
export const MICROS_2000 = DAYS_2000 * MICROS_OF_DAY;

const DIGIT_0 = 0x30;

/** Days since 1970-01-01. Years before year 1 count on: 1 BC is year 0. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** The inverse of {@link daysFromCivil}. */
export function civilFromDays(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  };
}

/** Reads ISO text piece by piece. */
export class IsoReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, at: number, length: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = at + length;
  }

  /** Whether the text is `infinity` or `-infinity`. */
  get infinite(): boolean {
    const first = this.#bytes[this.#at];
    return first === 0x69 || (first === 0x2d && this.#bytes[this.#at + 1] === 0x69);
  }

  /** `2026-11-21`, with ` BC` at the very end of the text where it is so. @returns days since 1970 */
  date(): number {
    const year = this.#number();
    this.#at++;
    const month = this.#number();
    this.#at++;
    const day = this.#number();
    return daysFromCivil(this.#isBc() ? 1 - year : year, month, day);
  }

  /** The separator between date and time. */
  skip(): void {
    this.#at++;
  }

  /** `13:05:00.123456`. @returns microseconds since midnight */
  time(): number {
    const hours = this.#number();
    this.#at++;
    const minutes = this.#number();
    this.#at++;
    const seconds = this.#number();
    let micros = 0;
    if (this.#bytes[this.#at] === 0x2e && this.#at < this.#end) {
      this.#at++;
      let digits = 0;
      for (; digits < 6 && this.#isDigit(); digits++)
        micros = micros * 10 + this.#bytes[this.#at++]! - DIGIT_0;
      for (; digits < 6; digits++) micros *= 10;
    }
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
  }

  /** `+02`, `-03:30` or `+00:19:32`; nothing is 0. @returns seconds east of UTC */
  offset(): number {
    const sign = this.#bytes[this.#at];
    if (this.#at >= this.#end || (sign !== 0x2b && sign !== 0x2d)) return 0;
    let seconds = 0;
    for (let unit = 3600; unit >= 1 && (unit === 3600 || this.#bytes[this.#at] === 0x3a); unit /= 60) {
      this.#at++;
      seconds += this.#number() * unit;
    }
    return sign === 0x2d ? -seconds : seconds;
  }

  #number(): number {
    let value = 0;
    while (this.#isDigit()) value = value * 10 + this.#bytes[this.#at++]! - DIGIT_0;
    return value;
  }

  #isDigit(): boolean {
    const c = this.#bytes[this.#at]!;
    return this.#at < this.#end && c >= DIGIT_0 && c <= 0x39;
  }

  #isBc(): boolean {
    return this.#bytes[this.#end - 1] === 0x43 && this.#bytes[this.#end - 2] === 0x42;
  }
}

/** ISO text, as PostgreSQL writes a timestamp without a time zone. */
export function formatTimestamp(days: number, microsOfDay: number): string {
  const { year, month, day } = civilFromDays(days);
  const two = (n: number): string => String(n).padStart(2, '0');
  const seconds = Math.floor(microsOfDay / 1_000_000);
  const micros = microsOfDay % 1_000_000;
  const time = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const fraction = micros === 0 ? '' : `.${String(micros).padStart(6, '0').replace(/0+$/, '')}`;
  const date = `${String(year > 0 ? year : 1 - year).padStart(4, '0')}-${two(month)}-${two(day)}`;
  return `${date} ${time}${fraction}${year > 0 ? '' : ' BC'}`;
}

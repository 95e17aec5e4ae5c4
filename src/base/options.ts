/**
 * Options as a user writes them: what each is to be, and what is said of one that is not.
 *
 * Promises: a wrong option, and one of a name that there is not, is one {@link OptionError} that names the option, says what was expected and
 * what was given; one that is left out or undefined is right.
 */

/** A wrong option. `code` is node's for wrong arguments. */
export class OptionError extends TypeError {
  override readonly name: string = 'OptionError';
  readonly code: 'ERR_INVALID_ARG_VALUE' = 'ERR_INVALID_ARG_VALUE';

  readonly option: string;
  readonly expected: string;
  readonly given: unknown;

  /** `where`: the function it was given to. */
  constructor(where: string, option: string, expected: string, given: unknown) {
    super(`${where}: ${option}: expected ${expected}, got ${shown(given)}`);
    this.option = option;
    this.expected = expected;
    this.given = given;
  }
}

/** What an option is to be. */
export interface Expectation {
  /** In words, behind 'expected'. */
  readonly words: string;
  readonly holds: (value: unknown) => boolean;
}

export function expectation(words: string, holds: (value: unknown) => boolean): Expectation {
  return { words, holds };
}

/** Anything. */
export const ANY: Expectation = expectation('anything', () => true);
export const BOOLEAN: Expectation = expectation('true or false', (value) => typeof value === 'boolean');
export const FUNCTION: Expectation = expectation('a function', (value) => typeof value === 'function');

export const TEXT: Expectation = expectation('a string', (value) => typeof value === 'string');

/** What has these methods. */
export function having(words: string, ...methods: readonly string[]): Expectation {
  return expectation(words, (value) => {
    const members = (isObject(value) ? value : {}) as Record<string, unknown>;
    return methods.every((name) => typeof members[name] === 'function');
  });
}

export function oneOf(...values: readonly string[]): Expectation {
  const words = values.map((value) => `'${value}'`).join(', ');
  return expectation(`one of ${words}`, (value) => values.includes(value as string));
}

export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER): Expectation {
  return expectation(
    `an integer from ${least} ${most === Number.MAX_SAFE_INTEGER ? 'on' : `to ${most}`}`,
    (value) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
  );
}

/** Of microseconds, bytes and the like; fractions are as good. */
export function numberFrom(least: number): Expectation {
  return expectation(`a number from ${least} on`, (value) => typeof value === 'number' && value >= least);
}

/** What options of so many names are to be. */
export type Expectations = Readonly<Record<string, Expectation>>;

/** Throws {@link OptionError} unless `options` are right. `where`: the function; `prefix`: what they are members of, with a dot behind. */
export function checkOptions(where: string, options: unknown, expectations: Expectations, prefix = ''): void {
  if (!isObject(options)) {
    const some = Object.keys(expectations).slice(0, 4).join(', ');
    throw new OptionError(where, prefix.slice(0, -1) || 'options', `an object (${some}, ...)`, options);
  }
  for (const [key, value] of Object.entries(options)) {
    const expected = expectations[key];
    if (expected === undefined) {
      const known = Object.keys(expectations).join(', ');
      throw new OptionError(where, `${prefix}${key}`, `one of ${known}`, AN_OPTION);
    }
    if (value !== undefined && !expected.holds(value)) {
      throw new OptionError(where, `${prefix}${key}`, expected.words, value);
    }
  }
}

/** As {@link checkOptions}; `needed` are those of them that may not be left out. */
export function checkNeeded(where: string, options: unknown, expectations: Expectations, ...needed: string[]): void {
  checkOptions(where, options, expectations);
  for (const key of needed) {
    if ((options as Record<string, unknown>)[key] === undefined) {
      throw new OptionError(where, key, expectations[key]!.words, undefined);
    }
  }
}

/** Whether it is an object with members: no array, no null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Said of a name that there is not. */
export const AN_OPTION = 'an option of that name';

/** A value as a message shows it. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value === AN_OPTION ? value : `'${value}'`;
  if (typeof value === 'function') return /^class\b/.test(String(value)) ? 'a class' : 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return `an object with ${Object.keys(value).slice(0, 5).join(', ') || 'no members'}`;
}

/** Options: what is said of a wrong one, and of one of a name that there is not. */
import { expect, test } from 'vitest';
import { BOOLEAN, checkOptions, FUNCTION, integer, numberFrom, OptionError, oneOf } from '../../src/base/options.ts';

const EXPECTED = {
  count: integer(0),
  port: integer(1, 65_535),
  waitUs: numberFrom(0),
  kind: oneOf('tun', 'tap'),
  isOn: BOOLEAN,
  done: FUNCTION,
};

test.each([
  [{}, null],
  [{ count: undefined }, null],
  [{ count: 3, port: 80, waitUs: 0.5, kind: 'tap', isOn: false, done: () => {} }, null],
  [{ count: -1 }, 'open: o.count: expected an integer from 0 on, got -1'],
  [{ port: '80' }, "open: o.port: expected an integer from 1 to 65535, got '80'"],
  [{ waitUs: Number.NaN }, 'open: o.waitUs: expected a number from 0 on, got NaN'],
  [{ kind: 'tin' }, "open: o.kind: expected one of 'tun', 'tap', got 'tin'"],
  [{ isOn: 1n }, 'open: o.isOn: expected true or false, got 1n'],
  [{ done: {} }, 'open: o.done: expected a function, got an object with no members'],
  [{ done: [1, 2] }, 'open: o.done: expected a function, got an array of 2'],
  [{ isOn: class Given {} }, 'open: o.isOn: expected true or false, got a class'],
  [{ isOn: new Uint8Array(4) }, 'open: o.isOn: expected true or false, got 4 bytes'],
  [{ coumt: 3 }, 'open: o.coumt: expected one of count, port, waitUs, kind, isOn, done, got an option of that name'],
  [null, 'open: o: expected an object (count, port, waitUs, kind, ...), got null'],
  [[], 'open: o: expected an object (count, port, waitUs, kind, ...), got an array of 0'],
])('%o: %s', (options, message) => {
  let said: string | null = null;
  try {
    checkOptions('open', options, EXPECTED, 'o.');
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError);
    expect((error as OptionError).code).toBe('ERR_INVALID_ARG_VALUE');
    said = (error as OptionError).message;
  }
  expect(said).toBe(message);
});

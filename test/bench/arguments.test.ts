/** The command line of the bench: what cannot be measured is told before anything is. */
import { expect, test } from 'vitest';
import { understand } from '../../bench/arguments.ts';

test.each([
  [['nope'], "no group 'nope': expected one of goodput"],
  [['--nope'], "Unknown option '--nope'"],
  [['--json'], "Option '--json <value>' argument missing"],
  [['peers', '--rounds', '0'], "--rounds: expected a count, got '0'"],
  [['--rounds', '1.5'], "--rounds: expected a count, got '1.5'"],
  [['soak', '--minutes', 'ten'], "--minutes: expected a number above 0, got 'ten'"],
  [['peers', '--modes', 'in,sideways'], "--modes: expected some of in, back, out, drop, echo; got 'sideways'"],
  [['peers', '--only', 'slirp'], '--only: expected some of '],
  [['scaling', '--connections', '10,eleven'], "got 'eleven'"],
  [['soak', '--modes', 'in'], '--modes: expected a comparison to be measured, one of peers, scaling'],
  [['--page', '/no/such/folder/page.html'], '--page: expected a file in a folder that can be written to'],
])('%o: %s', (args, complaint) => {
  expect(understand(args)).toContain(complaint);
});

test('what can be measured is understood', () => {
  const given = understand(['peers', '--modes', 'in,echo', '--rounds', '2', '--json', 'out.json']);
  expect(given).toMatchObject({ positionals: ['peers'], values: { modes: 'in,echo', rounds: '2', json: 'out.json' } });
});

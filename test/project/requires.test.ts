/** Skipping with a reason, the count of the last line, and the child processes of the allocation tests. */
import { describe, expect, test } from 'vitest';
import { tally } from '../../scripts/tally.mjs';
import { ALLOCATION_FLAGS, runScript } from '../support/child.ts';
import { type Requirement, requires, verdict } from '../support/requires.ts';
import { seed } from '../support/seed.ts';

const there: Requirement = { needs: 'air', isPrivileged: false, isMet: () => true };
const missing: Requirement = { needs: 'a moon', isPrivileged: false, isMet: () => false };
const rooted: Requirement = { needs: 'root', isPrivileged: true, isMet: () => true };

describe('what becomes of a suite', () => {
  test('it runs where everything is there', () => {
    expect(verdict([there, rooted], {}).does).toBe('run');
    expect(verdict([], { CI: 'true' }).does).toBe('run');
  });

  test('it is skipped with its reason where something is missing', () => {
    expect(verdict([there, missing], {})).toEqual({ does: 'skip', reason: 'needs a moon' });
  });

  test('it fails in CI', () => {
    expect(verdict(missing, { CI: 'true' })).toEqual({ does: 'fail', reason: 'needs a moon' });
  });

  test('npm run check leaves out what is privileged, in CI too', () => {
    expect(verdict(rooted, { CI: 'true', CHIMNEY_UNPRIVILEGED: '1' }).does).toBe('skip');
    expect(verdict(there, { CI: 'true', CHIMNEY_UNPRIVILEGED: '1' }).does).toBe('run');
  });

  test('programs and packages are looked for where they are', () => {
    expect(requires.program('sh').isMet()).toBe(true);
    expect(requires.program('no-such-program-here').isMet()).toBe(false);
    expect(requires.package('fast-check').isMet()).toBe(true);
    expect(requires.package('no-such-package-here').isMet()).toBe(false);
  });
});

describe('the last line of npm test', () => {
  const file = (assertionResults: object[], status = 'passed', message = ''): object => ({
    name: 'test/x.test.ts',
    status,
    message,
    assertionResults,
  });
  const one = (status: string, title: string, ...ancestorTitles: string[]): object => ({
    status,
    title,
    ancestorTitles,
    fullName: [...ancestorTitles, title].join(' '),
  });

  test('counts what passed, failed and was skipped, a skipped suite by its reason', () => {
    const report = {
      testResults: [
        file([one('passed', 'a'), one('passed', 'b')]),
        file([one('failed', 'c', 'suite')], 'failed'),
        file([one('skipped', 'd', 'tun (skipped: needs root)'), one('skipped', 'e', 'tun (skipped: needs root)')]),
        file([one('skipped', 'f')]),
      ],
    };
    expect(tally(report, false)).toEqual({
      passed: 2,
      skipped: 3,
      failures: ['suite c'],
      skippedSuites: ['tun (skipped: needs root): 2 tests', 'f (skipped: no reason given): 1 test'],
    });
  });

  test('a file that does not load is a failure', () => {
    const report = { testResults: [file([], 'failed', 'SyntaxError: x\n  at y')] };
    expect(tally(report, false).failures).toEqual(['test/x.test.ts: SyntaxError: x']);
  });

  test('no report, and a bad end without a failed test, are failures', () => {
    expect(tally(undefined, false).failures).toHaveLength(1);
    expect(tally(undefined, true).failures).toHaveLength(1);
    expect(tally({ testResults: [file([one('passed', 'a')])] }, false).failures).toHaveLength(1);
    expect(tally({ testResults: [file([one('passed', 'a')])] }, true).failures).toEqual([]);
  });
});

describe('a script in a Node of its own', () => {
  test('is compiled TypeScript, gets flags and arguments, and answers with its last line', async () => {
    const answer = await runScript<{ canCollect: boolean; args: string[] }>('test/project/child-script.ts', {
      flags: ALLOCATION_FLAGS,
      args: ['one', 'two'],
    });
    expect(answer).toEqual({ canCollect: true, args: ['one', 'two'] });
  });

  test('reports a bad end, and one that never comes', async () => {
    await expect(runScript('test/project/child-script.ts', { args: ['fail'] })).rejects.toThrow(/ended with 3\nsorry/);
    await expect(runScript('test/project/child-script.ts', { args: ['hang'], timeoutMs: 300 })).rejects.toThrow(
      /did not end within 300 ms/,
    );
    await expect(runScript('test/project/no-such-script.ts')).rejects.toThrow(/has not been compiled/);
  });
});

test('the seed is a positive integer, the one of the environment where there is one', () => {
  expect(Number.isInteger(seed)).toBe(true);
  if (process.env['SEED']) expect(seed).toBe(Number(process.env['SEED']));
});

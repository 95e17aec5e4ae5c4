/** `chimney verify` as a driver engineer meets it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { repositoryRoot } from '../../scripts/files.ts';

const folder = mkdtempSync(join(tmpdir(), 'chimney-verify-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const root = repositoryRoot();

function chimney(...given: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'dist/apps/cli/main.js'), 'verify', ...given],
    {
      encoding: 'utf8',
      cwd: folder,
    },
  );
  return { status, stdout, stderr };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const CHIMNEY = JSON.stringify(join(root, 'dist/src/index.js'));

describe('chimney verify', () => {
  test('ends with 0 where nothing is found, and --json on standard output is nothing but JSON', () => {
    const { status, stdout } = chimney('engine', '--interleavings', '120', '--json', '-');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, subject: 'engine', interleavings: 120, findings: [] });
  });

  test('examines a module of anybody: a target by its default export, a driver by name', () => {
    const target = file(
      'good.mjs',
      `import { EngineAdapter } from ${CHIMNEY}; export default (e) => new EngineAdapter(e);`,
    );
    expect(chimney(target, '--interleavings', '60').status).toBe(0);
    const driver = file(
      'driver.mjs',
      `import { PassThrough } from ${CHIMNEY}; export const driver = (e, below, name) => new PassThrough(e, below, { name });`,
    );
    const { status, stdout } = chimney(driver, '--interleavings', '60', '--json', '-');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'driver' });
  });

  test('ends with 1 where something is found; text, JSON, JUnit and replay all tell of it', () => {
    const target = file(
      'bad.mjs',
      `import { EngineAdapter } from ${CHIMNEY};
       class Bad extends EngineAdapter {
         tcpOffloadSend(...given) { super.tcpOffloadSend(...given); return 0; }
       }
       export const target = (e) => new Bad(e);`,
    );
    const [json, junit] = [join(folder, 'r.json'), join(folder, 'r.xml')];
    const { status, stdout } = chimney(target, '--first', '--json', json, '--junit', junit);
    expect(status).toBe(1);
    expect(stdout).toContain('SEND-001');
    expect(stdout).toContain('MiniportTcpOffloadSend always returns PENDING');
    const { findings } = JSON.parse(readFileSync(json, 'utf8')) as { findings: { rule: string; replay: string }[] };
    expect(findings[0]!.rule).toBe('SEND-001');
    const xml = readFileSync(junit, 'utf8');
    expect(xml).toContain('<failure type="SEND-001"');
    expect(xml).toMatch(/tests="\d+" failures="1"/);
    const again = chimney(target, '--replay', findings[0]!.replay);
    expect(again.status).toBe(1);
    expect(again.stdout).toContain('SEND-001');
  });

  test.each([
    ['a file that is not there', ['./none.mjs'], 'there is no such file'],
    ['an option out of range', ['engine', '--interleavings', '0'], 'expected a whole number from 1'],
    ['a scenario that there is not', ['engine', '--scenario', 'x'], '--scenario: expected one of down-and-up'],
    ['a rule that is none', ['engine', '--rule', 'x'], '--rule: expected an id like SEND-012'],
    ['a replay that is none', ['engine', '--replay', 'sends/y'], '--replay: expected choices like'],
  ])('%s is told with status 2', (_, given, message) => {
    const { status, stderr } = chimney(...given);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });

  test.each([
    ['nothing.mjs', 'export const x = 1;', "expected an export 'target' or 'driver'"],
    ['number.mjs', 'export const target = 1;', 'expected a function (environment) => driver, got number'],
    ['both.mjs', 'export const target = () => {}; export const driver = target;', 'got both'],
    [
      'shape.mjs',
      'export default () => ({ hasChimney: true });',
      'must answer a MiniportDriver; this one has no initializeEx',
    ],
    ['syntax.mjs', 'export const = ;', 'the module cannot be loaded'],
  ])('%s is told what a module has to export', (name, text, message) => {
    const { status, stderr } = chimney(file(name, text));
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });

  test('--list names the scenarios', () => {
    const { status, stdout } = chimney('--list');
    expect(status).toBe(0);
    expect(stdout).toContain('terminate-under-fire');
  });
});

/** The table of rooms against the tsconfigs, against planted violations, and against the tree itself. */
import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkRooms, type RoomsReport, withPicture } from '../../scripts/check-rooms.ts';
import { repositoryRoot, tsFiles } from '../../scripts/files.ts';
import { folderOf, mermaid, ROOMS, referencesOf, roomOf } from '../../scripts/rooms.ts';

const root = repositoryRoot();

interface TsConfig {
  readonly compilerOptions?: { readonly types?: string[] };
  readonly include?: string[];
  readonly references?: { readonly path: string }[];
}

function tsconfig(folder: string): TsConfig {
  return JSON.parse(readFileSync(join(root, folder, 'tsconfig.json'), 'utf8')) as TsConfig;
}

function referenced(folder: string): string[] {
  return (tsconfig(folder).references ?? []).map((one) => posix.join(folder, one.path)).sort();
}

describe('the tsconfig of each room is the wall which the table describes', () => {
  test.each(ROOMS.map((room) => [room.name, room] as const))('%s', (_, room) => {
    expect(referenced(folderOf(room.name))).toEqual(referencesOf(room).map(folderOf).sort());
    expect(tsconfig(folderOf(room.name)).compilerOptions?.types ?? []).toEqual(
      room.outside === 'nothing' ? [] : ['node'],
    );
  });

  test('the root builds every room', () => {
    const built = referenced('.');
    for (const room of ROOMS) expect(built).toContain(folderOf(room.name));
  });

  test('every room may only import rooms that stand before it in the table', () => {
    ROOMS.forEach((room, index) => {
      const lower = ROOMS.slice(0, index).map((one) => one.name);
      for (const other of referencesOf(room)) expect(lower).toContain(other);
    });
  });
});

describe('planted violations', () => {
  let report: RoomsReport;
  beforeAll(async () => {
    report = await checkRooms(join(root, 'test/project/fixture/rooms'));
  });

  test.each([
    ['an upward import', 'base-may-not-import', 'src/base/seq.ts'],
    ['a type-only upward import', 'base-may-not-import', 'src/base/types.ts'],
    ['a cycle', 'no-cycle', 'src/base/one.ts'],
    ['node: in the core', 'wire-stays-inside', 'src/wire/file.ts'],
    ['a package in the core', 'state-stays-inside', 'src/state/lib.ts'],
    ['the wrong door', 'host-wrong-door', 'src/host/wrong-door.ts'],
    ['past the door', 'host-wrong-door', 'src/host/past-the-door.ts'],
    ['the other end of the chimney', 'host-may-not-import', 'src/host/sees-target.ts'],
    ['the device from the target', 'target-may-not-import', 'src/target/device.ts'],
    ['a driver that looks inside frames and does not say so', 'im-may-not-import', 'src/im/silent.ts'],
    ['a driver that says so and takes more', 'im-may-not-import', 'src/im/said-too-much.ts'],
    ['the stack seen from below', 'stack-has-few-importers', 'src/socket/socket.ts'],
    ['a file of the package from an app', 'package-by-its-name', 'apps/cli/main.ts'],
    ['a device behind the door of the package', 'package-runs-in-a-page', 'src/index.ts'],
    ['an import that leads nowhere', 'import-exists', 'src/contract/lost.ts'],
    ['a folder that is no room', 'no-room', 'src/cellar/x.ts'],
  ])('%s is caught', (_, rule, from) => {
    expect(report.violations).toContainEqual(expect.objectContaining({ rule, from }));
  });

  test.each([
    'src/host/good.ts',
    'src/target/target.ts',
    'src/link/node/tun.ts',
    'src/im/said.ts',
    'src/ndis/protocol.ts',
  ])('%s, which keeps the rules, is not accused', (file) => {
    expect(report.violations.filter((one) => one.from === file)).toEqual([]);
  });

  test('every file was read', () => {
    expect(report.cruised).toBe(report.present);
    expect(report.cruised).toBeGreaterThan(20);
  });

  test('each violation says what is allowed', () => {
    for (const violation of report.violations) expect(violation.comment).not.toBe('');
  });
});

describe('the tree', () => {
  test('every file of src/ is cruised', async () => {
    const report = await checkRooms(root);
    expect(report.cruised).toBe(tsFiles(root, 'src').length);
    expect(report.cruised).toBeGreaterThan(0);
  });

  test('an empty tree is seen as empty, not as clean', async () => {
    const report = await checkRooms(join(root, 'test/project/fixture/nothing-here'));
    expect(report).toEqual({ violations: [], cruised: 0, present: 0 });
  });

  test('the picture in docs/ARCHITECTURE.md is the table', () => {
    const path = join(root, 'docs/ARCHITECTURE.md');
    expect(existsSync(path)).toBe(true);
    const text = readFileSync(path, 'utf8');
    expect(withPicture(text)).toBe(text);
    expect(text).toContain(mermaid());
  });

  test('the longest folder decides the room', () => {
    expect(roomOf('src/link/memory.ts')?.name).toBe('link');
    expect(roomOf('src/link/node/tun.ts')?.name).toBe('link/node');
    expect(roomOf('src/index.ts')?.name).toBe('stack');
    expect(roomOf('src/linkage/x.ts')).toBeUndefined();
    expect(roomOf('sim/world.ts')).toBeUndefined();
  });
});

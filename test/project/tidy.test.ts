/** Each house rule against what it must catch and what it must leave alone. */
import { describe, expect, test } from 'vitest';
import { checkTidy } from '../../scripts/tidy.ts';

const HEADER = '/** A module of the tests of tidy. */\n';

/** `rule@line` of each finding in one file. */
function findings(file: string, text: string): string[] {
  return checkTidy(new Map([[file, text]]), []).map((one) => `${one.rule}@${one.line}`);
}

function inRoom(room: string, code: string): string[] {
  return findings(`src/${room}/x.ts`, HEADER + code);
}

describe('length', () => {
  test('a file of 500 lines passes and one of 501 does not', () => {
    expect(findings('src/tcp/x.ts', HEADER + '// line\n'.repeat(499))).toEqual([]);
    expect(findings('src/tcp/x.ts', HEADER + '// line\n'.repeat(500))).toEqual(['file-length@1']);
  });

  const long = (lines: number): string => `export function long(): void {\n${'  void 0;\n'.repeat(lines - 2)}}\n`;

  test('a function of 60 lines passes and one of 61 is named', () => {
    expect(inRoom('tcp', long(60))).toEqual([]);
    expect(inRoom('tcp', long(61))).toEqual(['function-length@2']);
    const [finding] = checkTidy(new Map([['src/tcp/x.ts', HEADER + long(61)]]), []);
    expect(finding?.message).toContain('long: 61 lines');
  });

  test('methods and arrows are functions; lines are counted in a file with other letters in it', () => {
    const body = '    void 0;\n'.repeat(60);
    expect(inRoom('tcp', `// äöü — ∑\nexport class C {\n  m(): void {\n${body}  }\n}\n`)).toEqual([
      'function-length@4',
    ]);
    expect(inRoom('tcp', `export const f = (): void => {\n${body}};\n`)).toEqual(['function-length@2']);
  });

  test('the suites of a test may be long', () => {
    expect(findings('test/tcp/x.test.ts', HEADER + long(100))).toEqual([]);
  });
});

describe('header', () => {
  test('a module without one, or with an empty one, is reported', () => {
    expect(findings('src/tcp/x.ts', 'export const a = 1;\n')).toEqual(['header@1']);
    expect(findings('src/tcp/x.ts', '/** */\nexport const a = 1;\n')).toEqual(['header@1']);
    expect(findings('src/tcp/x.ts', 'export const a = 1;\n/** Too late to be a header. */\n')).toEqual(['header@1']);
  });

  test('a program may begin with its interpreter', () => {
    expect(findings('apps/cli/main.ts', `#!/usr/bin/env node\n${HEADER}`)).toEqual([]);
  });
});

describe('no clock and no chance below link and socket', () => {
  test.each(['new Date()', 'Date.now()', 'performance.now()', 'setTimeout(f, 1)', 'Math.random()', 'globalThis.Date'])(
    '%s is caught in the core and allowed above it',
    (code) => {
      expect(inRoom('tcp', `export const a: unknown = ${code};\n`)).toContain('timeless@2');
      expect(inRoom('socket', `export const a: unknown = ${code};\n`)).toEqual([]);
      expect(inRoom('link/node', `export const a: unknown = ${code};\n`)).toEqual([]);
    },
  );

  test('words in comments, strings and names of members are innocent', () => {
    const code =
      "// Date and setTimeout\nexport const a = 'Date.now()';\nexport const b = { Date: 1, setTimeout: 2 }.setTimeout;\n";
    expect(inRoom('tcp', code)).toEqual([]);
  });
});

describe('sequence numbers are not ordered by <', () => {
  const declared = 'import type { Seq } from "../base/seq.ts";\nexport interface T { sndUna: Seq; mss: number }\n';

  test.each([
    'export const f = (t: T): boolean => t.sndUna < t.mss;',
    'export const f = (a: Seq, b: Seq): boolean => a >= b;',
    'export const f = (t: T): boolean => { const una = t.sndUna; return una > 5; };',
    'export const f = (n: number): boolean => seqAdd(asSeq(1), n) <= 9;',
    'export class C { #left: Seq = asSeq(0); f(): boolean { return this.#left < 1; } }',
    'export class C { get edge(): Seq { return asSeq(0); } }\nexport const f = (c: C): boolean => c.edge < 1;',
  ])('%s', (code) => {
    expect(inRoom('tcp', declared + code)).toHaveLength(1);
    expect(inRoom('tcp', declared + code)[0]).toMatch(/^seq-order@/);
  });

  test.each([
    'export const f = (t: T): boolean => seqDiff(t.sndUna, t.sndUna) < 0;',
    'export const f = (t: T): boolean => t.mss < 5;',
    'export const f = (t: T): boolean => t.sndUna === t.mss;',
    // Declared both ways: the rule cannot know, and so does not accuse.
    'export const f = (a: Seq): Seq => a;\nexport const g = (a: number): boolean => a < 1;',
  ])('%s is innocent', (code) => {
    expect(inRoom('tcp', declared + code)).toEqual([]);
  });
});

describe('imports and exports', () => {
  test('what only a test imports is not imported', () => {
    const files = new Map([
      ['src/index.ts', `${HEADER}export { a } from './tcp/a.ts';\n`],
      ['src/tcp/a.ts', `${HEADER}export const a = 1;\nexport const w = new URL('./worker.ts', import.meta.url);\n`],
      ['src/tcp/worker.ts', `${HEADER}export const b = 1;\n`],
      ['src/tcp/lost.ts', `${HEADER}export const c = 1;\n`],
      ['src/base/virtual.ts', `${HEADER}export const d = 1;\n`],
      ['sim/world.ts', `${HEADER}import '../src/base/virtual.ts';\n`],
      ['test/tcp/lost.test.ts', "import '../../src/tcp/lost.ts';\n"],
    ]);
    expect(checkTidy(files, []).map((one) => `${one.rule} ${one.file}`)).toEqual(['unimported src/tcp/lost.ts']);
  });

  test('exports are named, and export * stays in an index', () => {
    expect(inRoom('tcp', 'export default 1;\n')).toEqual(['default-export@2']);
    expect(inRoom('tcp', 'export default function f(): void {}\n')).toEqual(['default-export@2']);
    expect(inRoom('tcp', "export * from './a.ts';\n")).toEqual(['export-star@2']);
    expect(findings('src/link/node/index.ts', `${HEADER}export * from './tun.ts';\n`)).toEqual([]);
  });

  test('a task has an owner', () => {
    const word = 'TO'.concat('DO');
    expect(inRoom('tcp', `// ${word} later\n`)).toEqual(['bare-todo@2']);
    expect(inRoom('tcp', `// ${word}: later\n`)).toEqual(['bare-todo@2']);
    expect(inRoom('tcp', `// ${word}(#12): SACK of SACKs\n`)).toEqual([]);
    expect(inRoom('tcp', `export const s = '${word}';\n`)).toEqual([]);
  });
});

describe('exceptions', () => {
  const text = `${HEADER}export default 1;\n`;

  test('one excuses its file and its rule', () => {
    const exception = { file: 'src/tcp/x.ts', rule: 'default-export', reason: 'a test' } as const;
    expect(checkTidy(new Map([['src/tcp/x.ts', text]]), [exception])).toEqual([]);
    expect(checkTidy(new Map([['src/tcp/y.ts', text]]), [exception]).map((one) => one.rule)).toEqual([
      'default-export',
      'stale-exception',
    ]);
  });

  test('a file that does not parse is reported, not passed over', () => {
    expect(inRoom('tcp', 'export const = ;\n')).toEqual(['syntax@1']);
  });
});

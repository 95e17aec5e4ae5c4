/** What `import 'chimney'` loads: neither the checkers of the contract nor its rules, nor what is there to break or to examine it. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Modules that a file loads when it is loaded: whatever is imported or exported from it but types. */
function loadsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const loads: string[] = [];
  for (const [, names, from] of text.matchAll(/^(?:import|export)\s([^;'"]*?from\s)?'(\.{1,2}\/[^']+)'/gm)) {
    if (names !== undefined && /^type\s/.test(names)) continue;
    loads.push(relative(root, join(root, dirname(file), from!)));
  }
  return loads;
}

/** Every file that is loaded with one, and by whom. */
function graphOf(door: string): Map<string, string> {
  const by = new Map([[door, '-']]);
  for (const file of by.keys()) {
    for (const next of loadsOf(file)) if (!by.has(next)) by.set(next, file);
  }
  return by;
}

const HEAVY = /^src\/(contract\/(checkers|rules|verifier|rule-book|ledger)|faulty|[a-z]+\/faulty|conformance)/;

describe('the main door', () => {
  const loaded = graphOf('src/index.ts');

  test('loads a stack, and every file that it names is there', () => {
    expect([...loaded.keys()].filter((file) => !existsSync(join(root, file)))).toEqual([]);
    expect([...loaded.keys()]).toEqual(
      expect.arrayContaining(['src/stack.ts', 'src/tcp/on-segment.ts', 'src/im/filter.ts']),
    );
  });

  test('loads nothing that watches, breaks or examines the contract: they have doors of their own', () => {
    const heavy = [...loaded].filter(([file]) => HEAVY.test(file)).map(([file, by]) => `${file}, by ${by}`);
    expect(heavy).toEqual([]);
  });

  test('the doors of these load them', () => {
    expect([...graphOf('src/contract/index.ts').keys()]).toContain('src/contract/checkers.ts');
    expect([...graphOf('src/faulty.ts').keys()]).toContain('src/target/faulty/index.ts');
  });
});

/**
 * The rule that no file of `src/` is left behind: each is reached from the doors of the package or from a program.
 *
 * What only tests import is not used. A worker is reached by `new URL('./x.ts', import.meta.url)`, and so every string that
 * leads from a file to a file counts as an import. Silent until `src/index.ts` exists: before, nothing can be reached.
 */
import { posix } from 'node:path';
import { type Finding, found } from './rules.ts';
import { type Source, walk } from './source.ts';

const DOORS = [
  'src/index.ts',
  'src/link/node/index.ts',
  'src/link/browser/index.ts',
  'src/register.ts',
  'src/conformance/index.ts',
  'src/contract/index.ts',
  'src/faulty.ts',
  'src/target/worker/index.ts',
];

/** Files of `src/` that no door and no program reaches. */
export function unimported(sources: readonly Source[]): Finding[] {
  const byFile = new Map(sources.map((source) => [source.file, source]));
  if (!byFile.has('src/index.ts')) return [];

  const reached = new Set<string>();
  const waiting = sources
    .map((source) => source.file)
    .filter((file) => DOORS.includes(file) || !(file.startsWith('src/') || file.startsWith('test/')));
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (reached.has(file)) continue;
    reached.add(file);
    const source = byFile.get(file);
    if (source) waiting.push(...targetsOf(source, byFile));
  }
  return sources
    .filter((source) => source.file.startsWith('src/') && !source.file.endsWith('.d.ts') && !reached.has(source.file))
    .map((source) => found(source, 1, 'unimported', 'nothing but tests reaches it from the package or from a program'));
}

function targetsOf(source: Source, byFile: ReadonlyMap<string, Source>): string[] {
  const targets: string[] = [];
  walk(source.tree, (node) => {
    if (node.type !== 'StringLiteral') return;
    const text = String(node['value']);
    if (!text.startsWith('./') && !text.startsWith('../')) return;
    const path = posix.join(posix.dirname(source.file), text).replace(/\.js$/, '.ts');
    if (byFile.has(path)) targets.push(path);
  });
  return targets;
}

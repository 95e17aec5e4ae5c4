/**
 * Cruises the sources and reports every import which the table in `rooms.ts` does not allow.
 *
 * Promises to fail rather than to see nothing: the number of files cruised in `src/` must be the number of `.ts` files that
 * are there (TypeScript 7 has no JavaScript API, and a cruiser without a parser calls an unread tree clean). With `--write`
 * it also draws the picture in docs/ARCHITECTURE.md; without, it demands that the picture is the table's.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import { headerOf, isMain, repositoryRoot, tsFiles } from './files.ts';
import { cruiserRules, mermaid, roomOf, SAID } from './rooms.ts';

export interface Violation {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
  readonly comment: string;
}

export interface RoomsReport {
  readonly violations: readonly Violation[];
  /** Files of `src/` that the cruiser read. */
  readonly cruised: number;
  /** Files of `src/` that exist. */
  readonly present: number;
}

/** The folders that are looked at; tests may import whatever they test. */
const CRUISED = ['src', 'sim', 'apps', 'examples', 'bench', 'fuzz'];

/** Checks the tree under `root` against the table. */
export async function checkRooms(root: string): Promise<RoomsReport> {
  const files = CRUISED.flatMap((folder) => tsFiles(root, folder));
  const sources = files.filter((file) => file.startsWith('src/'));
  if (files.length === 0) return { violations: [], cruised: 0, present: 0 };

  const said = sources.filter((file) => roomOf(file)?.whenSaid && headerOf(read(root, file)).includes(SAID));
  const rules = cruiserRules(said);
  const result = await cruise(files, {
    baseDir: root,
    parser: 'swc',
    tsPreCompilationDeps: true,
    validate: true,
    ruleSet: { forbidden: rules as never },
    doNotFollow: { path: '(^|/)(node_modules|dist)/' },
  });
  const output = result.output as ICruiseResult;
  const present = new Set(sources);
  const seen = new Set(output.modules.map((module) => module.source).filter((file) => present.has(file)));
  return {
    violations: [
      ...output.summary.violations
        .filter((found) => found.rule.name !== 'no-cycle' || isRealCycle(root, found))
        .map((found) => ({
          rule: found.rule.name,
          from: found.from,
          to: found.to,
          comment: rules.find((rule) => rule.name === found.rule.name)?.comment ?? '',
        })),
      ...homeless(sources),
    ],
    cruised: seen.size,
    present: present.size,
  };
}

/**
 * Whether a cycle exists at run time. The swc parser does not tell `import type` from `import`, so the sources are asked: a
 * cycle with one edge of types alone vanishes when it is compiled.
 */
function isRealCycle(root: string, found: { from: string; cycle?: readonly { name: string }[] }): boolean {
  const files = [found.from, ...(found.cycle ?? []).map((step) => step.name)];
  return files.slice(1).every((to, i) => isValueImport(root, files[i]!, to));
}

const IMPORT = /^(?:import|export)\s+(type\s)?([^;]*?)\sfrom\s+'([^']+)'|^import\s+'([^']+)'/gm;

function isValueImport(root: string, from: string, to: string): boolean {
  for (const [, type, names = '', path, bare] of read(root, from).matchAll(IMPORT)) {
    const target = posix.join(posix.dirname(from), path ?? bare ?? '');
    if (target !== to || type !== undefined) continue;
    const listed = /^\{([\s\S]*)\}$/.exec(names.trim())?.[1];
    const isTypesOnly = listed?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type '));
    if (isTypesOnly !== true) return true;
  }
  return false;
}

/** Files in a folder of `src/` that the table does not know. */
function homeless(sources: readonly string[]): Violation[] {
  return sources
    .filter((file) => roomOf(file) === undefined)
    .map((file) => ({ rule: 'no-room', from: file, to: '', comment: 'its folder is not a room of scripts/rooms.ts' }));
}

function read(root: string, file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

const DOCUMENT = 'docs/ARCHITECTURE.md';
const PICTURE = /(<!-- rooms: begin[^>]*-->\n)[\s\S]*?(<!-- rooms: end -->)/;

/** The text of the document with the picture of the table in its place. */
export function withPicture(text: string): string {
  if (!PICTURE.test(text))
    throw new Error(`${DOCUMENT}: no "<!-- rooms: begin -->" … "<!-- rooms: end -->" to draw between`);
  return text.replace(
    PICTURE,
    (_, begin: string, end: string) => `${begin}\`\`\`mermaid\n${mermaid()}\n\`\`\`\n${end}`,
  );
}

async function main(): Promise<void> {
  const root = repositoryRoot();
  const complaints: string[] = [];
  const report = await checkRooms(root);
  for (const found of report.violations) {
    complaints.push(`${found.from} -> ${found.to}  ${found.rule}: ${found.comment}`);
  }
  if (report.cruised === 0) complaints.push('no file of src/ was cruised');
  if (report.cruised !== report.present) {
    complaints.push(`${report.cruised} files of src/ were cruised, but ${report.present} are there`);
  }

  const path = join(root, DOCUMENT);
  if (existsSync(path)) {
    const before = readFileSync(path, 'utf8');
    const after = withPicture(before);
    if (process.argv.includes('--write')) writeFileSync(path, after);
    else if (after !== before) complaints.push(`${DOCUMENT}: the picture is not the table's; npm run rooms -- --write`);
  }

  for (const complaint of complaints) console.error(complaint);
  console.log(`rooms: ${report.cruised} files, ${complaints.length} complaints`);
  if (complaints.length > 0) process.exitCode = 1;
}

if (isMain(import.meta.url)) await main();

/**
 * What the checks share: where the repository is, which files it has, and what a file's header is.
 *
 * Paths are relative to the repository and use `/`. Build output, dependencies and the fixtures which break the rules on
 * purpose are never listed.
 */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LEFT_OUT = new Set(['node_modules', 'dist', 'fixture', '.git']);

/** The nearest folder above this file with a package-lock.json: the same from `scripts/` and from `dist/scripts/`. */
export function repositoryRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package-lock.json'))) {
    const above = dirname(folder);
    if (above === folder) throw new Error('no package-lock.json in any folder above this script');
    folder = above;
  }
  return folder;
}

/** Every `.ts` file under `folder`, sorted; none where the folder does not exist. */
export function tsFiles(root: string, folder: string): string[] {
  return filesUnder(root, folder, '.ts');
}

/** Every file under `folder` ('' is the repository) whose name ends so, sorted; none where the folder does not exist. */
export function filesUnder(root: string, folder: string, ending: string): string[] {
  const absolute = join(root, folder);
  if (!existsSync(absolute)) return [];
  const found: string[] = [];
  for (const entry of readdirSync(absolute, { withFileTypes: true })) {
    if (LEFT_OUT.has(entry.name)) continue;
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) found.push(...filesUnder(root, path, ending));
    else if (entry.name.endsWith(ending)) found.push(path);
  }
  return found.sort();
}

/** The block comment with which a file opens (a `#!` line may stand before it); empty when there is none. */
export function headerOf(text: string): string {
  return /^(?:#![^\n]*\n)?\s*(\/\*[\s\S]*?\*\/)/.exec(text)?.[1] ?? '';
}

/** Whether the module with this URL is the program that Node was started with. */
export function isMain(url: string): boolean {
  const program = process.argv[1];
  return program !== undefined && existsSync(program) && realpathSync(program) === fileURLToPath(url);
}

/**
 * `npm run rules`: what has become of each rule of the contract. Ends with 1 when a rule has no disposition.
 *
 *   (nothing)          the matrix, a line an area
 *   --json             one JSON object
 *   --missing [AREA]   the rules that nothing has become of, with their texts
 *   --show ID...       what is known of these rules
 *   --mutate           break the rules one by one: do the checkers and the tests notice? (mutate/run.ts tells its options)
 *   --write            write the pages that are made from the matrix and from the sources
 *
 * Each of these is a function of its own; a new one is a line in COMMANDS.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMain, repositoryRoot } from './files.ts';
import { withIncludes } from './includes.ts';
import { mutate } from './mutate/run.ts';
import { operationsPage } from './operations/page.ts';
import { ddiPage } from './rules/ddi.ts';
import { isMissing, type Matrix, matrixOf } from './rules/matrix.ts';
import { rulesPage } from './rules/page.ts';
import { matrixJson, matrixText, missingText, showText } from './rules/print.ts';

/** Pages with code from files. */
const INCLUDING = ['docs/write-your-own-target.md', 'docs/write-your-own-driver.md'];

/** The pages that `--write` makes, path -> text. */
export function generatedPages(root: string): Map<string, string> {
  return new Map([
    ['docs/rules.md', rulesPage(matrixOf(root))],
    ['docs/ddi.md', ddiPage(root)],
    ['docs/operations.md', operationsPage()],
    ...INCLUDING.map((path) => [path, withIncludes(root, readFileSync(join(root, path), 'utf8'))] as const),
  ]);
}

/** Answers the exit status. */
type Command = (root: string, args: readonly string[]) => number | Promise<number>;

/** 1 when something is missing or contradicts itself; what does is told on stderr, so that stdout stays as promised. */
function verdict(matrix: Matrix): number {
  for (const complaint of matrix.complaints) console.error(complaint);
  return matrix.complaints.length > 0 || matrix.states.some(isMissing) ? 1 : 0;
}

function printing(text: (matrix: Matrix, args: readonly string[]) => string): Command {
  return (root, args) => {
    const matrix = matrixOf(root);
    console.log(text(matrix, args));
    return verdict(matrix);
  };
}

function write(root: string): number {
  for (const [path, text] of generatedPages(root)) {
    writeFileSync(join(root, path), text);
    console.log(`${path}: ${readFileSync(join(root, path), 'utf8').split('\n').length - 1} lines`);
  }
  return 0;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  '': printing(matrixText),
  '--json': printing(matrixJson),
  '--missing': printing((matrix, [area]) => missingText(matrix, area)),
  '--show': printing(showText),
  '--mutate': mutate,
  '--write': write,
};

async function main([name = '', ...args]: readonly string[]): Promise<void> {
  const command = COMMANDS[name];
  if (command === undefined) {
    console.error(`rules: there is no ${name}; there are ${Object.keys(COMMANDS).filter(Boolean).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  process.exitCode = await command(repositoryRoot(), args);
}

if (isMain(import.meta.url)) await main(process.argv.slice(2));

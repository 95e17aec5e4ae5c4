/**
 * The house rules that no other tool enforces, over every TypeScript file of the repository.
 *
 * `checkTidy` is a pure function of the texts, so its tests plant what they like. The exceptions are a list, each with its
 * reason; one that excuses nothing is itself a finding. As a program it prints the findings and ends with 1 if there are any.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMain, repositoryRoot, tsFiles } from './files.ts';
import {
  bareTodo,
  exportForms,
  type Finding,
  fileLength,
  functionLength,
  header,
  type RuleName,
  timeless,
} from './tidy/rules.ts';
import { seqOrder } from './tidy/seq-order.ts';
import { Source } from './tidy/source.ts';
import { unimported } from './tidy/unimported.ts';

export interface Exception {
  readonly file: string;
  readonly rule: RuleName;
  /** Why the rule would make this place worse. */
  readonly reason: string;
}

/** Keep it short: whoever adds a line here argues it in its reason. */
export const EXCEPTIONS: readonly Exception[] = [];

const FOLDERS = ['src', 'sim', 'apps', 'examples', 'bench', 'fuzz', 'scripts', 'test'];

const RULES = [fileLength, functionLength, header, timeless, bareTodo, exportForms];

/** All findings in these files, path -> text, in the order of the files. */
export function checkTidy(
  files: ReadonlyMap<string, string>,
  exceptions: readonly Exception[] = EXCEPTIONS,
): Finding[] {
  const sources: Source[] = [];
  const findings: Finding[] = [];
  for (const [file, text] of files) {
    try {
      sources.push(new Source(file, text));
    } catch (error) {
      // What does not parse is the compiler's to explain; here it must only not pass for tidy.
      const message = String((error as Error).message ?? error).split('\n', 1)[0] ?? '';
      findings.push({ file, line: 1, rule: 'syntax', message: `does not parse: ${message}` });
    }
  }
  for (const source of sources) for (const rule of RULES) findings.push(...rule(source));
  findings.push(...seqOrder(sources), ...unimported(sources));
  return withExceptions(findings, exceptions);
}

function withExceptions(findings: readonly Finding[], exceptions: readonly Exception[]): Finding[] {
  const excuses = (exception: Exception, finding: Finding): boolean =>
    exception.file === finding.file && exception.rule === finding.rule;
  const left = findings.filter((finding) => !exceptions.some((exception) => excuses(exception, finding)));
  for (const exception of exceptions) {
    if (findings.some((finding) => excuses(exception, finding))) continue;
    const message = `the exception from ${exception.rule} excuses nothing any more; remove it from scripts/tidy.ts`;
    left.push({ file: exception.file, line: 1, rule: 'stale-exception', message });
  }
  return left;
}

function main(): void {
  const root = repositoryRoot();
  const files = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const file of tsFiles(root, folder)) files.set(file, readFileSync(join(root, file), 'utf8'));
  }
  const findings = checkTidy(files);
  for (const { file, line, rule, message } of findings) console.error(`${file}:${line}  ${rule}: ${message}`);
  console.log(`tidy: ${files.size} files, ${findings.length} findings`);
  if (findings.length > 0 || files.size === 0) process.exitCode = 1;
}

if (isMain(import.meta.url)) main();

/**
 * Which tests cite which rules, read from the tests' syntax trees.
 *
 * A citation counts only where it ends up in the name of a test that runs:
 *   - in the title of `test`, `it`, `describe`, `describeIf` and their `.each`, but not of `.skip` and `.todo`;
 *   - in the rows of an inline table of `.each([...])`;
 *   - outside every test, as data from which tests are made: the first argument of a call, `breach('TREE-001', …)` or
 *     `ofEach(['UPD-001', …], …)`, or the property `rule`, `rules` or `cites` of an object.
 * Comments do not count, nor what an assertion expects. `INIT-026 to INIT-031` cites all from the one to the other.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tsFiles } from '../files.ts';
import { isNode, type Node, Source } from '../tidy/source.ts';

export interface Citation {
  /** The id as it is written; perhaps of no rule. */
  readonly rule: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** The title, or what stands in the table. */
  readonly name: string;
}

const SUITES = ['describe', 'describeIf'];
const TESTS = ['test', 'it'];
/** Properties of a table's rows that name the rules which the row's test shows. */
const RULE_KEYS = ['rule', 'rules', 'cites'];

const ID = /\b([A-Z]{2,5})-(\d{3})\b(?: to (?:([A-Z]{2,5})-)?(\d{3})\b)?/g;

/** The ids that a text cites, ranges written out. */
export function idsIn(text: string): string[] {
  const ids: string[] = [];
  for (const [, prefix = '', first = '', lastPrefix, last] of text.matchAll(ID)) {
    const isRange = last !== undefined && (lastPrefix === undefined || lastPrefix === prefix);
    const to = isRange ? Number(last) : Number(first);
    for (let n = Number(first); n <= to; n++) ids.push(`${prefix}-${String(n).padStart(3, '0')}`);
    if (last !== undefined && !isRange) ids.push(`${lastPrefix}-${last}`);
  }
  return ids;
}

/** All citations in the tests under `root`. */
export function citationsUnder(root: string): Citation[] {
  return tsFiles(root, 'test').flatMap((file) => citationsIn(file, readFileSync(join(root, file), 'utf8')));
}

/** The citations in one file. */
export function citationsIn(file: string, text: string): Citation[] {
  if (text.search(ID) < 0) return [];
  const source = new Source(file, text);
  const found: Citation[] = [];
  const cite = (node: Node, name: string): void => {
    for (const rule of idsIn(name)) found.push({ rule, file, line: source.lineOf(node), name });
  };
  visit(source.tree, cite);
  return found;
}

type Cite = (node: Node, name: string) => void;

function visit(here: unknown, cite: Cite): void {
  if (Array.isArray(here)) {
    for (const one of here) visit(one, cite);
    return;
  }
  if (typeof here !== 'object' || here === null) return;
  if (isNode(here)) {
    if (here.type === 'CallExpression') {
      visitCall(here, cite);
      return;
    }
    if (here.type === 'KeyValueProperty' && isNode(here['key']) && RULE_KEYS.includes(String(here['key']['value']))) {
      citeWhole(here['value'], cite);
    }
  }
  for (const [key, value] of Object.entries(here)) if (key !== 'span') visit(value, cite);
}

function visitCall(call: Node, cite: Cite): void {
  const words = calleeWords(call['callee']);
  const [head = ''] = words;
  const args = argumentsOf(call);
  const isTest = TESTS.includes(head);
  if (isTest || SUITES.includes(head)) {
    if (words.includes('skip') || words.includes('todo')) return;
    for (const arg of args) if (textOf(arg) !== undefined) cite(arg, textOf(arg)!);
    for (const row of eachTable(call['callee'])) citeTexts(row, cite);
    // What stands inside a test is not the name of one; a suite holds more tests.
    if (!isTest) visit(args, cite);
    return;
  }
  if (head === 'expect' || words.some((word) => /^to[A-Z]/.test(word))) return;
  if (words.length === 1) citeWhole(args[0], cite);
  visit(call['callee'], cite);
  visit(args, cite);
}

/** `test.each(table)` as `['test', 'each']`: the identifiers of a callee, calls between them passed over. */
function calleeWords(callee: unknown): string[] {
  if (!isNode(callee)) return [];
  if (callee.type === 'Identifier') return [String(callee['value'])];
  if (callee.type === 'CallExpression') return calleeWords(callee['callee']);
  if (callee.type !== 'MemberExpression') return [''];
  const property = callee['property'];
  return [...calleeWords(callee['object']), isNode(property) ? String(property['value'] ?? '') : ''];
}

/** The inline table of `x.each(table)` where the callee is such a call. */
function eachTable(callee: unknown): Node[] {
  if (!isNode(callee) || callee.type !== 'CallExpression' || !calleeWords(callee).includes('each')) return [];
  return argumentsOf(callee);
}

function argumentsOf(call: Node): Node[] {
  const args = (call['arguments'] ?? []) as readonly { expression?: unknown }[];
  return args.map((arg) => arg.expression).filter(isNode);
}

/** Every string of a table. */
function citeTexts(here: unknown, cite: Cite): void {
  if (Array.isArray(here)) for (const one of here) citeTexts(one, cite);
  else if (isNode(here) && textOf(here) !== undefined) cite(here, textOf(here)!);
  else if (typeof here === 'object' && here !== null) {
    for (const [key, value] of Object.entries(here)) if (key !== 'span') citeTexts(value, cite);
  }
}

/** A string that is ids and nothing else, or an array of such. */
function citeWhole(here: unknown, cite: Cite): void {
  if (!isNode(here)) return;
  if (here.type === 'ArrayExpression') {
    for (const one of (here['elements'] ?? []) as readonly { expression?: unknown }[]) citeWhole(one?.expression, cite);
    return;
  }
  const text = textOf(here);
  if (text !== undefined && /^[A-Z]{2,5}-\d{3}\b/.test(text)) cite(here, text);
}

/** The text of a string or template; what a template computes is passed over. */
function textOf(node: Node): string | undefined {
  if (node.type === 'StringLiteral') return String(node['value']);
  if (node.type !== 'TemplateLiteral') return undefined;
  const quasis = (node['quasis'] ?? []) as readonly { cooked?: string | null; raw?: string }[];
  return quasis.map((quasi) => quasi.cooked ?? quasi.raw ?? '').join('…');
}

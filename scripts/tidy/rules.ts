/**
 * The house rules, each a function from a source to its findings. What they are for: docs/ARCHITECTURE.md.
 *
 * The rules read the syntax tree, so a word in a string or a comment offends none of them. They touch no file.
 */
import { headerOf } from '../files.ts';
import { roomOf, TIMELESS_ROOMS } from '../rooms.ts';
import { isNode, type Node, nameOf, type Source, walk } from './source.ts';

export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly rule: RuleName;
  readonly message: string;
}

export type RuleName =
  | 'file-length'
  | 'function-length'
  | 'header'
  | 'timeless'
  | 'seq-order'
  | 'unimported'
  | 'bare-todo'
  | 'default-export'
  | 'export-star'
  | 'syntax'
  | 'stale-exception';

export const FILE_LINES_MAX = 500;
export const FUNCTION_LINES_MAX = 60;

/** A file that does everything begins as a file that has the door to everything. */
export function fileLength(source: Source): Finding[] {
  if (source.lineCount <= FILE_LINES_MAX) return [];
  return [found(source, 1, 'file-length', `${source.lineCount} lines, ${FILE_LINES_MAX} at most`)];
}

const FUNCTIONS = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassMethod',
  'PrivateMethod',
  'Constructor',
  'MethodProperty',
  'GetterProperty',
  'SetterProperty',
]);

/** Tests are left out: a `describe` is a function only in form. */
export function functionLength(source: Source): Finding[] {
  if (source.file.startsWith('test/')) return [];
  const findings: Finding[] = [];
  walk(source.tree, (node, parent) => {
    if (!FUNCTIONS.has(node.type)) return;
    const lines = source.lengthOf(node);
    if (lines <= FUNCTION_LINES_MAX) return;
    const name = nameOf(node['identifier']) ?? nameOf(node['key']) ?? nameOf(parent?.['id']) ?? 'a function';
    findings.push(
      found(source, source.lineOf(node), 'function-length', `${name}: ${lines} lines, ${FUNCTION_LINES_MAX} at most`),
    );
  });
  return findings;
}

/** Every module opens by saying what it is. Tests say it in their names. */
export function header(source: Source): Finding[] {
  if (source.file.startsWith('test/')) return [];
  const words = headerOf(source.text)
    .replace(/[/*\s]+/g, ' ')
    .trim();
  return words.length >= 15 ? [] : [found(source, 1, 'header', 'opens without a comment that says what the module is')];
}

const CLOCKS = new Set(['Date', 'performance', 'setTimeout', 'setInterval', 'setImmediate']);
const NAME_PLACES = new Set(['property', 'key', 'imported', 'orig', 'exported', 'label']);

/** Below `link/` and `socket/` the clock and the chance are given, never taken. */
export function timeless(source: Source): Finding[] {
  const room = roomOf(source.file);
  if (!room || !TIMELESS_ROOMS.includes(room.name)) return [];
  const findings: Finding[] = [];
  const offend = (node: Node, what: string): void => {
    findings.push(
      found(source, source.lineOf(node), 'timeless', `${what}: the core reads the clock and the chance it is given`),
    );
  };
  walk(source.tree, (node, _, key) => {
    if (node.type === 'Identifier' && !NAME_PLACES.has(key)) {
      const name = String(node['value']);
      if (CLOCKS.has(name)) offend(node, name);
    }
    if (node.type !== 'MemberExpression') return;
    const owner = nameOf(node['object']);
    const member = memberOf(node);
    if (owner === 'Math' && member === 'random') offend(node, 'Math.random');
    if (owner === 'crypto' && (member === 'getRandomValues' || member === 'randomUUID'))
      offend(node, `crypto.${member}`);
    if (owner === 'globalThis' && member !== undefined && CLOCKS.has(member)) offend(node, `globalThis.${member}`);
  });
  return findings;
}

function memberOf(node: Node): string | undefined {
  const property = node['property'];
  if (!isNode(property)) return undefined;
  return nameOf(property.type === 'Computed' ? property['expression'] : property);
}

/** A task which nobody has taken is a wish. `TODO(name or issue): what` is a task. */
export function bareTodo(source: Source): Finding[] {
  const findings: Finding[] = [];
  source.text.split('\n').forEach((line, index) => {
    if (/(?:\/\/|\*).*\b(?:TODO|FIXME|XXX)\b(?!\([^)]+\): )/.test(line) && !/`[^`]*\b(?:TODO|FIXME|XXX)/.test(line)) {
      findings.push(found(source, index + 1, 'bare-todo', 'say whose it is: TODO(name or issue): what'));
    }
  });
  return findings;
}

/** What is imported has one name everywhere, and a file exports what it says. */
export function exportForms(source: Source): Finding[] {
  const findings: Finding[] = [];
  for (const node of (source.tree['body'] as Node[]) ?? []) {
    if (node.type === 'ExportDefaultDeclaration' || node.type === 'ExportDefaultExpression') {
      findings.push(found(source, source.lineOf(node), 'default-export', 'exports are named'));
    }
    if (node.type === 'ExportAllDeclaration' && !/(?:^|\/)index\.ts$/.test(source.file)) {
      findings.push(found(source, source.lineOf(node), 'export-star', 'name what is exported'));
    }
  }
  return findings;
}

export function found(source: Source, line: number, rule: RuleName, message: string): Finding {
  return { file: source.file, line, rule, message };
}

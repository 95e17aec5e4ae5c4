/**
 * A source file as the house rules see it: its text, its lines, and its syntax tree as swc gives it.
 *
 * swc counts positions in bytes and goes on counting from file to file; here they are lines of this file.
 */
import { type Module, parseSync } from '@swc/core';

/** A node of the tree. The tree is walked by form, not by type: what a rule does not know it passes through. */
export interface Node {
  readonly type: string;
  readonly span?: { readonly start: number; readonly end: number };
  readonly [key: string]: unknown;
}

export class Source {
  readonly file: string;
  readonly text: string;
  readonly tree: Node;
  readonly #base: number;
  /** Byte positions at which the lines begin. */
  readonly #lineStarts: readonly number[];

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
    // swc gives no position of the file itself: an empty statement put before everything marks it.
    const marked = `;${text.startsWith('#!') ? `//${text.slice(2)}` : text}`;
    const module: Module = parseSync(marked, { syntax: 'typescript', target: 'es2022' });
    this.tree = module as unknown as Node;
    this.#base = (module.body[0] as unknown as Node).span?.start ?? 0;
    const starts = [0];
    const bytes = Buffer.from(marked);
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) starts.push(at + 1);
    this.#lineStarts = starts;
  }

  get lineCount(): number {
    return this.#lineStarts.length - (this.text.endsWith('\n') ? 1 : 0);
  }

  /** The line, from 1, of a position in the tree. */
  lineAt(position: number): number {
    const at = position - this.#base;
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#lineStarts[middle] as number) <= at) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }

  lineOf(node: Node): number {
    return node.span ? this.lineAt(node.span.start) : 1;
  }

  /** How many lines a node covers. */
  lengthOf(node: Node): number {
    return node.span ? this.lineAt(node.span.end - 1) - this.lineAt(node.span.start) + 1 : 0;
  }
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

/** Calls `visit` for every node, parents first; `key` is the place which the node takes in its parent. */
export function walk(node: Node, visit: (node: Node, parent: Node | undefined, key: string) => void): void {
  const step = (here: unknown, parent: Node | undefined, key: string): void => {
    if (Array.isArray(here)) {
      for (const one of here) step(one, parent, key);
      return;
    }
    if (typeof here !== 'object' || here === null) return;
    const owner = isNode(here) ? here : parent;
    if (isNode(here)) visit(here, parent, key);
    for (const [inner, value] of Object.entries(here)) if (inner !== 'span') step(value, owner, inner);
  };
  step(node, undefined, '');
}

/** The name of an identifier, a private name or a string key; `undefined` for anything computed. */
export function nameOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'Identifier' || node.type === 'StringLiteral') return String(node['value']);
  if (node.type === 'PrivateName') return isNode(node['id']) ? nameOf(node['id']) : String(node['value']);
  return undefined;
}

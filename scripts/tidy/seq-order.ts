/**
 * The rule that sequence numbers are never ordered by `<` and its kin: they wrap, and only `seqDiff` and `seqInWindow` know.
 *
 * Works without types: names that the sources declare as `Seq`, everywhere and never as anything else, are sequence numbers.
 * A name declared both ways is left alone, so the rule misses some and accuses none that is innocent.
 */
import { type Finding, found } from './rules.ts';
import { isNode, type Node, nameOf, type Source, walk } from './source.ts';

const BRAND = 'Seq';
/** Functions whose answer is a sequence number. */
const MAKERS = new Set(['asSeq', 'seqAdd', 'seqMax', 'seqMin']);
const ORDER = new Set(['<', '<=', '>', '>=']);
/** The one file that may: it is the arithmetic. */
const HOME = 'src/base/seq.ts';

/** Names, each with whether it was declared as a Seq and whether as something else. */
class Names {
  readonly #as = new Map<string, { seq: boolean; other: boolean }>();

  add(name: string | undefined, isSeq: boolean): void {
    if (name === undefined) return;
    const entry = this.#as.get(name) ?? { seq: false, other: false };
    if (isSeq) entry.seq = true;
    else entry.other = true;
    this.#as.set(name, entry);
  }

  isSeq(name: string | undefined): boolean {
    const entry = name === undefined ? undefined : this.#as.get(name);
    return entry?.seq === true && !entry.other;
  }
}

/** Every ordering of sequence numbers in the sources of `src/`. */
export function seqOrder(sources: readonly Source[]): Finding[] {
  const inSrc = sources.filter((source) => source.file.startsWith('src/') && source.file !== HOME);
  const members = new Names();
  for (const source of inSrc) walk(source.tree, (node) => addMember(members, node));
  return inSrc.flatMap((source) => comparisonsIn(source, members));
}

function addMember(members: Names, node: Node): void {
  switch (node.type) {
    case 'ClassProperty':
    case 'PrivateProperty':
    case 'TsPropertySignature':
      if (isNode(node['typeAnnotation'])) members.add(keyOf(node), isBrand(node['typeAnnotation']));
      else members.add(keyOf(node), isNode(node['value']) && isMade(node['value']));
      break;
    case 'TsGetterSignature':
      members.add(keyOf(node), isBrand(node['typeAnnotation']));
      break;
    case 'ClassMethod':
    case 'PrivateMethod':
      if (node['kind'] === 'getter') members.add(keyOf(node), isBrand((node['function'] as Node)['returnType']));
      break;
  }
}

/** Private names are kept apart from public ones by their mark. */
function keyOf(node: Node): string | undefined {
  return memberName(node['key']);
}

function memberName(node: unknown): string | undefined {
  const name = nameOf(node);
  return name !== undefined && isNode(node) && node.type === 'PrivateName' ? `#${name}` : name;
}

function comparisonsIn(source: Source, members: Names): Finding[] {
  const locals = new Names();
  walk(source.tree, (node, _, key) => {
    if (
      node.type === 'Identifier' &&
      (key === 'params' || key === 'pat' || key === 'id') &&
      isNode(node['typeAnnotation'])
    ) {
      locals.add(nameOf(node), isBrand(node['typeAnnotation']));
    } else if (node.type === 'VariableDeclarator' && isNode(node['id']) && !isNode(node['id']['typeAnnotation'])) {
      locals.add(nameOf(node['id']), isSeqMember(node['init'], members) || isMade(node['init']));
    }
  });

  const findings: Finding[] = [];
  walk(source.tree, (node) => {
    if (node.type !== 'BinaryExpression' || !ORDER.has(String(node['operator']))) return;
    for (const side of [node['left'], node['right']]) {
      if (!isMade(side) && !isSeqMember(side, members) && !(isIdentifier(side) && locals.isSeq(nameOf(side)))) continue;
      const message = `"${String(node['operator'])}" between sequence numbers, which wrap: use seqDiff or seqInWindow`;
      findings.push(found(source, source.lineOf(node), 'seq-order', message));
      return;
    }
  });
  return findings;
}

function isIdentifier(node: unknown): boolean {
  return isNode(node) && node.type === 'Identifier';
}

function isSeqMember(node: unknown, members: Names): boolean {
  return isNode(node) && node.type === 'MemberExpression' && members.isSeq(memberName(node['property']));
}

/** Whether the expression is a Seq by its own form: a call of a maker, or a cast. */
function isMade(node: unknown): boolean {
  if (!isNode(node)) return false;
  if (node.type === 'ParenthesisExpression') return isMade(node['expression']);
  if (node.type === 'TsAsExpression') return isBrand(node['typeAnnotation']);
  return node.type === 'CallExpression' && MAKERS.has(nameOf(node['callee']) ?? '');
}

function isBrand(node: unknown): boolean {
  if (!isNode(node)) return false;
  if (node.type === 'TsTypeAnnotation') return isBrand(node['typeAnnotation']);
  return node.type === 'TsTypeReference' && nameOf(node['typeName']) === BRAND;
}

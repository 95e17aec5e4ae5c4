/**
 * docs/ddi.md: every function of the DDI, who calls it, where its door is and who implements it.
 *
 * The doors are found by their docstrings, which begin with the DDI name; the implementations by the classes that implement
 * the interface of the door, themselves or through a class that they extend.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tsFiles } from '../files.ts';
import { isNode, type Node, nameOf, Source, walk } from '../tidy/source.ts';
import { DDI_GROUPS } from './ddi-functions.ts';

/** Where a function can be called: the member of a door whose docstring names it. */
export interface DdiDoor {
  readonly file: string;
  readonly interfaceName: string;
  readonly member: string;
}

export interface DdiPlace {
  readonly file: string;
  readonly className: string;
  readonly member: string;
}

export interface DdiEntry {
  readonly name: string;
  readonly doors: readonly DdiDoor[];
  readonly places: readonly DdiPlace[];
}

const DOORS = ['src/ndis/miniport.ts', 'src/ndis/protocol.ts', 'src/ndis/characteristics.ts'];

interface ClassFacts {
  readonly file: string;
  readonly name: string;
  readonly base: string | undefined;
  readonly interfaces: readonly string[];
  readonly members: readonly string[];
}

/** What the sources under `root` say of every function of the DDI. */
export function ddiEntries(root: string): Map<string, DdiEntry> {
  const doors = DOORS.flatMap((file) => doorsIn(file, readFileSync(join(root, file), 'utf8')));
  const classes = tsFiles(root, 'src').flatMap((file) => classesIn(file, readFileSync(join(root, file), 'utf8')));
  const bases = new Map(DOORS.flatMap((file) => basesIn(readFileSync(join(root, file), 'utf8'))));
  const entries = new Map<string, DdiEntry>();
  for (const { functions } of DDI_GROUPS) {
    for (const name of functions) {
      const own = doors.filter((door) => door.ddi.includes(name)).map(({ door }) => door);
      entries.set(name, { name, doors: own, places: own.flatMap((door) => placesOf(door, classes, bases)) });
    }
  }
  return entries;
}

/** Interfaces that are made of others, and of which. */
function basesIn(text: string): [string, readonly string[]][] {
  return [...text.matchAll(/^export interface (\w+) extends ([\w, ]+) \{/gm)].map((match) => [
    match[1]!,
    match[2]!.split(', '),
  ]);
}

/** Members of interfaces, with the DDI names in the docstring right before each. */
function doorsIn(file: string, text: string): { readonly ddi: readonly string[]; readonly door: DdiDoor }[] {
  const found: { ddi: string[]; door: DdiDoor }[] = [];
  let interfaceName = '';
  let comment = '';
  let isInside = false;
  for (const line of text.split('\n')) {
    const opened = /^export interface (\w+)/.exec(line)?.[1];
    if (opened !== undefined) interfaceName = opened;
    if (/^\s*\/\*\*/.test(line)) {
      comment = '';
      isInside = true;
    }
    if (isInside) {
      comment += `${line}\n`;
      isInside = !line.includes('*/');
      continue;
    }
    const member = /^ {2}(?:readonly )?(\w+)\??[(:]/.exec(line)?.[1];
    if (member !== undefined && comment !== '') {
      const ddi = comment.match(/\b(?:Ndis|Miniport|Protocol)[A-Z]\w+/g) ?? [];
      found.push({ ddi, door: { file, interfaceName, member } });
    }
    comment = '';
  }
  return found;
}

function classesIn(file: string, text: string): ClassFacts[] {
  const classes: ClassFacts[] = [];
  if (!/\bclass\b/.test(text)) return classes;
  walk(new Source(file, text).tree, (node) => {
    if (node.type !== 'ClassDeclaration') return;
    const members = ((node['body'] ?? []) as readonly Node[]).map((member) => nameOf(member['key']));
    const interfaces = ((node['implements'] ?? []) as readonly Node[]).map((one) => nameOf(one['expression']));
    classes.push({
      file,
      name: nameOf(node['identifier']) ?? '',
      base: isNode(node['superClass']) ? nameOf(node['superClass']) : undefined,
      interfaces: interfaces.filter((one) => one !== undefined),
      members: members.filter((one) => one !== undefined),
    });
  });
  return classes;
}

function placesOf(
  door: DdiDoor,
  classes: readonly ClassFacts[],
  bases: ReadonlyMap<string, readonly string[]>,
): DdiPlace[] {
  const byName = new Map(classes.map((one) => [one.name, one]));
  const isDoor = (name: string): boolean => name === door.interfaceName || (bases.get(name) ?? []).some(isDoor);
  const isBehind = (one: ClassFacts | undefined): boolean =>
    one !== undefined && (one.interfaces.some(isDoor) || isBehind(byName.get(one.base ?? '')));
  return classes
    .filter((one) => one.members.includes(door.member) && isBehind(one))
    .map((one) => ({ file: one.file, className: one.name, member: door.member }));
}

const HEAD = `# The DDI in the code

Made by \`npm run rules -- --write\` from the docstrings of the two doors and the classes that implement them; not by hand.

The object and its method together spell the DDI name, and the docstring of the door repeats it: \`miniport.invalidateOffload\`
is MiniportInvalidateOffload. NDIS hands each call on to the driver on the other side: NdisInitiateOffload, called by the host,
arrives in a target as MiniportInitiateOffload.
`;

/** The whole page. */
export function ddiPage(root: string): string {
  const entries = ddiEntries(root);
  const lines = [HEAD];
  for (const { title, caller, provider, functions } of DDI_GROUPS) {
    lines.push(`## ${title}`, '', `Called by ${caller}; provided by ${provider}.`, '');
    lines.push('| function | door | implemented in |', '|---|---|---|');
    for (const name of functions) {
      const { doors, places } = entries.get(name)!;
      const door = doors.map((one) => link(one.file, `${one.interfaceName}.${one.member}`));
      const place = places.map((one) => link(one.file, `${one.className}.${one.member}`));
      lines.push(`| ${name} | ${door.join('<br>')} | ${place.join('<br>')} |`);
    }
    lines.push('');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function link(file: string, text: string): string {
  return `[\`${text}\`](../${file})`;
}

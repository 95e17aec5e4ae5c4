/**
 * The rooms of `src/` and who may import whom: the one table.
 *
 * It feeds the dependency check (`check-rooms.ts`), is compared with the references of every tsconfig by a test, and is
 * drawn in docs/ARCHITECTURE.md. This file holds the table and what follows from it; it touches no file.
 */

/** What a room may reach outside `src/`: nothing at all, Node's own modules, or Node and one native dependency. */
export type Outside = 'nothing' | 'node' | 'node-and-ffi';

export interface Room {
  /** Its folder under `src/`; `stack` alone is not a folder but the files directly in `src/`. */
  readonly name: string;
  readonly mayImport: readonly string[];
  /** Rooms that it sees only through the named files, relative to that room. Absent: the whole room. */
  readonly doors?: Readonly<Record<string, readonly string[]>>;
  /** Rooms that a file may import only when its header says why, after the words of SAID. */
  readonly whenSaid?: readonly string[];
  readonly outside: Outside;
}

/** The words by which the header of a driver declares that it must look inside frames. */
export const SAID = 'Looks inside frames:';

/** The one package that `link/node` may load: the bridge to system calls. */
export const FFI = 'koffi';

/** `src/stack.ts` sees both ends of the chimney; only these may see it. */
export const STACK_FILE = 'src/stack.ts';
export const STACK_IMPORTERS: readonly string[] = ['src/index.ts', 'src/runtime.ts', 'sim/', 'test/'];

const UPPER_DOOR = ['protocol.ts'];
const LOWER_DOOR = ['miniport.ts'];
const BOTH_DOORS = ['protocol.ts', 'miniport.ts'];

/** Lowest first. A room stands below every room that may import it. */
export const ROOMS: readonly Room[] = [
  { name: 'base', mayImport: [], outside: 'nothing' },
  { name: 'trace', mayImport: ['base'], outside: 'nothing' },
  { name: 'wire', mayImport: ['base', 'trace'], outside: 'nothing' },
  { name: 'state', mayImport: ['base', 'trace'], outside: 'nothing' },
  { name: 'link', mayImport: ['base', 'trace'], outside: 'nothing' },
  { name: 'link/node', mayImport: ['base', 'trace', 'link'], outside: 'node-and-ffi' },
  { name: 'link/browser', mayImport: ['base', 'trace', 'link'], outside: 'nothing' },
  { name: 'tcp', mayImport: ['base', 'trace', 'wire', 'state'], outside: 'nothing' },
  { name: 'ndis', mayImport: ['base', 'trace', 'state'], outside: 'nothing' },
  {
    name: 'im',
    mayImport: ['base', 'trace', 'state', 'ndis'],
    doors: { ndis: BOTH_DOORS },
    whenSaid: ['wire'],
    outside: 'nothing',
  },
  {
    name: 'contract',
    mayImport: ['base', 'trace', 'state', 'ndis'],
    doors: { ndis: BOTH_DOORS },
    outside: 'nothing',
  },
  {
    name: 'host',
    mayImport: ['base', 'trace', 'wire', 'state', 'tcp', 'ndis'],
    doors: { ndis: UPPER_DOOR },
    outside: 'nothing',
  },
  {
    name: 'target',
    mayImport: ['base', 'trace', 'wire', 'state', 'tcp', 'link', 'ndis'],
    doors: { ndis: LOWER_DOOR },
    outside: 'nothing',
  },
  {
    name: 'target/worker',
    mayImport: ['base', 'trace', 'wire', 'state', 'tcp', 'link', 'link/node', 'target', 'ndis'],
    doors: { ndis: LOWER_DOOR },
    outside: 'node',
  },
  {
    name: 'conformance',
    mayImport: ['base', 'trace', 'wire', 'state', 'link', 'ndis', 'contract'],
    outside: 'nothing',
  },
  { name: 'socket', mayImport: ['base', 'trace', 'host'], outside: 'node' },
  {
    name: 'stack',
    mayImport: [
      'base',
      'trace',
      'wire',
      'state',
      'link',
      'link/node',
      'link/browser',
      'tcp',
      'ndis',
      'im',
      'contract',
      'host',
      'target',
      'conformance',
      'socket',
    ],
    outside: 'node',
  },
];

/** The rooms without clock, chance or timers of their own: everything below `link/` and `socket/`. */
export const TIMELESS_ROOMS: readonly string[] = [
  'base',
  'trace',
  'wire',
  'state',
  'tcp',
  'ndis',
  'host',
  'target',
  'im',
  'contract',
  'conformance',
];

/** The room a file of the repository is in, by the longest folder that matches; `undefined` outside `src/`. */
export function roomOf(file: string): Room | undefined {
  if (!file.startsWith('src/')) return undefined;
  const rest = file.slice('src/'.length);
  if (!rest.includes('/')) return ROOMS.find((room) => room.name === 'stack');
  let best: Room | undefined;
  for (const room of ROOMS) {
    if (rest.startsWith(`${room.name}/`) && room.name.length > (best?.name.length ?? 0)) best = room;
  }
  return best;
}

/** The folder whose tsconfig.json is the room's wall. */
export function folderOf(room: string): string {
  return room === 'stack' ? 'src' : `src/${room}`;
}

/** The rooms which the tsconfig of `room` references: those it may import, and those it may import when it says so. */
export function referencesOf(room: Room): string[] {
  return [...room.mayImport, ...(room.whenSaid ?? [])];
}

/** A regular expression for the files of a room, those of rooms inside it left out. */
export function filesOf(room: string): string {
  if (room === 'stack') return '^src/[^/]+$';
  const inner = ROOMS.filter((other) => other.name.startsWith(`${room}/`)).map((other) =>
    other.name.slice(room.length + 1),
  );
  return inner.length === 0 ? `^src/${room}/` : `^src/${room}/(?!(?:${inner.join('|')})/)`;
}

/** A rule of dependency-cruiser, the part of its form that we use. */
export interface Rule {
  readonly name: string;
  readonly comment: string;
  readonly severity: 'error';
  readonly from: { readonly path?: string | string[]; readonly pathNot?: string | string[] };
  readonly to: {
    readonly path?: string | string[];
    readonly pathNot?: string | string[];
    readonly circular?: boolean;
    readonly couldNotResolve?: boolean;
    readonly reachable?: boolean;
  };
}

/**
 * The table as rules of dependency-cruiser.
 *
 * @param said - the files whose header says that they look inside frames
 */
export function cruiserRules(said: readonly string[] = []): Rule[] {
  return [...ROOMS.flatMap((room) => rulesOf(room, said)), ...wholeTreeRules()];
}

function rulesOf(room: Room, said: readonly string[]): Rule[] {
  const here = filesOf(room.name);
  const allowed = [room.name, ...room.mayImport].map(filesOf);
  const base = { severity: 'error' } as const;
  const rules: Rule[] = [
    {
      ...base,
      name: `${room.name}-may-not-import`,
      comment: `${room.name} may import only ${room.mayImport.join(', ') || 'itself'}`,
      from: { path: here, ...(room.whenSaid && said.length > 0 ? { pathNot: said.map(exactly) } : {}) },
      to: { path: '^src/', pathNot: allowed },
    },
    {
      ...base,
      name: `${room.name}-stays-inside`,
      comment: `outside src/, ${room.name} may reach ${OUTSIDE[room.outside].words}`,
      from: { path: here },
      // What leads nowhere is reported by import-exists.
      to: { pathNot: ['^src/', ...OUTSIDE[room.outside].paths], couldNotResolve: false },
    },
  ];
  if (room.whenSaid && said.length > 0) {
    rules.push({
      ...base,
      name: `${room.name}-may-not-import`,
      comment: `${room.name} may import only ${referencesOf(room).join(', ')}, also where it looks inside frames`,
      from: { path: said.map(exactly) },
      to: { path: '^src/', pathNot: [...allowed, ...room.whenSaid.map(filesOf)] },
    });
  }
  for (const [other, doors] of Object.entries(room.doors ?? {})) {
    rules.push({
      ...base,
      name: `${room.name}-wrong-door`,
      comment: `${room.name} sees ${other} only through ${doors.join(' and ')}`,
      from: { path: here },
      to: { path: filesOf(other), pathNot: doors.map((door) => exactly(`src/${other}/${door}`)) },
    });
  }
  return rules;
}

/** Node's own modules, as dependency-cruiser names them: bare, without a folder of ours before them. */
const NODE_BUILTIN = '^(?:node:)?[a-z][a-z0-9_]*(?:/(?:promises|web|posix|win32|types|consumers))?$';

const OUTSIDE: Readonly<Record<Outside, { words: string; paths: string[] }>> = {
  nothing: { words: 'nothing', paths: [] },
  node: { words: "Node's own modules", paths: [NODE_BUILTIN] },
  'node-and-ffi': { words: `Node's own modules and ${FFI}`, paths: [NODE_BUILTIN, `(?:^|/)${FFI}(?:/|$)`] },
};

function wholeTreeRules(): Rule[] {
  return [
    {
      severity: 'error',
      name: 'no-cycle',
      comment: 'files form no cycle at run time; types of one room may name each other',
      from: {},
      to: { circular: true },
    },
    {
      severity: 'error',
      name: 'stack-has-few-importers',
      comment: `${STACK_FILE} is imported only by ${STACK_IMPORTERS.join(', ')}`,
      from: { pathNot: STACK_IMPORTERS.map((path) => `^${escapeRegExp(path)}`) },
      to: { path: exactly(STACK_FILE) },
    },
    {
      severity: 'error',
      name: 'package-runs-in-a-page',
      comment:
        'whatever the door of the package reaches runs in a browser; devices and threads have doors of their own',
      from: { path: '^src/index\\.ts$' },
      to: { path: '^src/(?:link/node|target/worker)/', reachable: true },
    },
    {
      severity: 'error',
      name: 'package-by-its-name',
      comment: 'apps and examples import the package by its name, never its files',
      from: { path: '^(?:apps|examples)/' },
      to: { path: '^(?:src|sim|test|fuzz|bench|scripts)/' },
    },
    {
      severity: 'error',
      name: 'src-stands-alone',
      comment: 'what is published imports nothing that is not',
      from: { path: '^src/' },
      to: { path: '^(?:sim|test|fuzz|bench|scripts|apps|examples|dist)/' },
    },
    {
      severity: 'error',
      name: 'import-exists',
      comment: 'every import leads to a file',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
  ];
}

/** The table as a Mermaid picture: an arrow from each room to those it may import, `base` and `trace` left out. */
export function mermaid(): string {
  const id = (room: string): string => room.replace('/', '_');
  const lines = ['flowchart TD'];
  for (const room of [...ROOMS].reverse()) {
    const label = room.name === 'stack' ? 'stack.ts runtime.ts index.ts' : `${room.name}/`;
    lines.push(`  ${id(room.name)}["${label}"]`);
  }
  for (const room of [...ROOMS].reverse()) {
    // stack sees everything; its arrows would hide all the others.
    if (room.name === 'stack') {
      lines.push('  stack ==>|everything| socket & host & im & contract & conformance & target');
      continue;
    }
    for (const other of room.mayImport) {
      if (other === 'base' || other === 'trace') continue;
      const doors = room.doors?.[other];
      lines.push(`  ${id(room.name)} -->${doors ? `|${doors.join(', ')}|` : ''} ${id(other)}`);
    }
    for (const other of room.whenSaid ?? []) lines.push(`  ${id(room.name)} -.->|if its header says so| ${id(other)}`);
  }
  lines.push('  trace --> base');
  return lines.join('\n');
}

function exactly(path: string): string {
  return `^${escapeRegExp(path)}$`;
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

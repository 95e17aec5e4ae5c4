/**
 * Which stack `chimney/register` makes: options of `createStack` from a module, or from environment variables.
 *
 * A wrong value ends the program at once, with a sentence that says what was expected.
 */

import dns from 'node:dns';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseIp, type StackOptions } from './index.ts';
import { type EndList, endList, hostsOf, lookupIn } from './register-rules.ts';
import { type LookupFunction, lookupLocal } from './socket/arguments.ts';

/** `localhost` is the stack itself; other names are asked of the system, through the kernel. */
export const systemLookup: LookupFunction = (hostname, options, callback) => {
  const isOurs = hostname === 'localhost' || hostname.endsWith('.localhost');
  if (isOurs) lookupLocal(hostname, options, callback);
  else dns.lookup(hostname, options, callback as never);
};

/** The environment, or what stands for it in a test. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a program is to be run with. */
export interface Registration {
  readonly options: StackOptions;
  /** Destinations that are the kernel's business. */
  readonly bypass: EndList;
  /** Addresses on which servers listen that are. */
  readonly bypassListen: EndList;
}

/** What CHIMNEY_CONFIG may say beside the options of `createStack`: the lists that are variables otherwise. */
interface Lists {
  readonly bypass?: readonly string[];
  readonly bypassListen?: readonly string[];
  readonly hosts?: Readonly<Record<string, string | readonly string[]>>;
}

const VARIABLES = [
  ...['CHIMNEY_CONFIG', 'CHIMNEY_LINK', 'CHIMNEY_ADDRESSES', 'CHIMNEY_PEER', 'CHIMNEY_DEVICE'],
  ...['CHIMNEY_BYPASS', 'CHIMNEY_BYPASS_LISTEN', 'CHIMNEY_HOSTS'],
];

/** Everything that the environment says. Lists of the configured module come before those of the variables. */
export async function registration(environment: Environment): Promise<Registration> {
  checkVariables(environment);
  const { bypass, bypassListen, hosts, ...options } = (await registeredOptions(environment)) as StackOptions & Lists;
  const named = hostsOf([...entriesOf(hosts), ...itemsOf(environment, 'CHIMNEY_HOSTS')], 'CHIMNEY_HOSTS');
  return {
    options: { ...options, lookup: lookupIn(named, options.lookup ?? systemLookup) },
    bypass: endList([...textsOf(bypass, 'bypass'), ...itemsOf(environment, 'CHIMNEY_BYPASS')], 'CHIMNEY_BYPASS'),
    bypassListen: endList(
      [...textsOf(bypassListen, 'bypassListen'), ...itemsOf(environment, 'CHIMNEY_BYPASS_LISTEN')],
      'CHIMNEY_BYPASS_LISTEN',
    ),
  };
}

/** A variable that nobody reads, and that is spelled almost like one that somebody does. */
function checkVariables(environment: Environment): void {
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('CHIM') || VARIABLES.includes(name)) continue;
    const meant = VARIABLES.find((known) => distance(name, known) <= 2);
    if (meant !== undefined) throw new Error(`${name} is no variable of chimney/register: did you mean ${meant}?`);
  }
}

/** Letters to be changed, added or taken away (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** The entries of a list in a variable: separated by commas; unset or empty, none. */
function itemsOf(environment: Environment, name: string): string[] {
  const text = environment[name]?.trim() ?? '';
  return text === '' ? [] : text.split(',').map((item) => item.trim());
}

function textsOf(list: unknown, name: string): readonly string[] {
  if (list === undefined) return [];
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
  throw new Error(`CHIMNEY_CONFIG: ${name}: expected an array of strings such as ['10.0.0.0/8', ':3000']`);
}

function entriesOf(hosts: unknown): string[] {
  if (hosts === undefined) return [];
  if (typeof hosts === 'object' && hosts !== null && !Array.isArray(hosts)) {
    return Object.entries(hosts).flatMap(([name, given]) =>
      (Array.isArray(given) ? given : [given]).map((address) => `${name}=${String(address)}`),
    );
  }
  throw new Error("CHIMNEY_CONFIG: hosts: expected an object such as { 'db.internal': '10.0.0.5' }");
}

/**
 * CHIMNEY_CONFIG: a module whose default export is the options, or a function that answers them (or a promise). Else
 * CHIMNEY_LINK: 'loopback' (the default; the program talks to itself) or 'tun' (Linux, root), with CHIMNEY_ADDRESSES and
 * CHIMNEY_PEER, the kernel's end.
 */
export async function registeredOptions(environment: Environment): Promise<StackOptions> {
  const config = environment['CHIMNEY_CONFIG'];
  if (config !== undefined && config !== '') return fromModule(config);
  const link = environment['CHIMNEY_LINK'] ?? 'loopback';
  if (link === 'loopback') return { links: [] };
  if (link === 'tun') return overTun(environment);
  throw new Error(`CHIMNEY_LINK is '${link}': expected 'loopback' or 'tun'`);
}

async function fromModule(path: string): Promise<StackOptions> {
  const module = (await import(pathToFileURL(resolve(path)).href)) as { default?: unknown };
  const { default: given } = module;
  const options: unknown = typeof given === 'function' ? await given() : given;
  if (typeof options === 'object' && options !== null && 'links' in options) return options as StackOptions;
  throw new Error(
    `CHIMNEY_CONFIG: ${path} must export options of createStack, or a function that answers them, as its default`,
  );
}

async function overTun(environment: Environment): Promise<StackOptions> {
  const addresses = listed(environment, 'CHIMNEY_ADDRESSES', '10.233.0.2/24');
  const peers = listed(environment, 'CHIMNEY_PEER', '10.233.0.1/24').map((text) => prefixOf(text, 'CHIMNEY_PEER'));
  for (const text of addresses) prefixOf(text, 'CHIMNEY_ADDRESSES');
  const { TunLink } = await import('./link/node/index.ts');
  const name = environment['CHIMNEY_DEVICE'];
  const link = TunLink.open({
    addresses: peers.map(({ bytes, length }) => ({ address: bytes, prefixLength: length })),
    ...(name === undefined ? {} : { name }),
  });
  const routes = peers.map(({ family, text }) => ({ to: family === 4 ? '0.0.0.0/0' : '::/0', via: text }));
  return { links: [{ link, addresses, routes }] };
}

function listed(environment: Environment, name: string, otherwise: string): string[] {
  return (environment[name] ?? otherwise).split(',').map((text) => text.trim());
}

interface Prefix {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly family: 4 | 6;
  readonly text: string;
}

function prefixOf(given: string, name: string): Prefix {
  const [text = '', digits = ''] = given.split('/');
  const address = parseIp(text);
  const length = /^\d+$/.test(digits) ? Number(digits) : -1;
  if (address === null || length < 0 || length > address.bytes.length * 8) {
    throw new Error(`${name} has '${given}': expected an address with its prefix length, such as 10.233.0.2/24`);
  }
  return { bytes: address.bytes, length, family: address.bytes.length === 4 ? 4 : 6, text };
}

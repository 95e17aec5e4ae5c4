/**
 * What `chimney/register` leaves to the kernel, and the names that it knows: lists in the manner of NO_PROXY and of a hosts file.
 *
 * Promises: names are matched as the program writes them, never looked up for it; a list that cannot be read is an error that quotes the
 * entry and says what was expected.
 */

import { parseIp } from './index.ts';
import { familyNumber, type LookupFunction } from './socket/arguments.ts';
import { notFoundError } from './socket/errors.ts';
import { type IpPrefix, parsePrefix } from './wire/ip-prefix.ts';

/** A list of ends of connections. */
export interface EndList {
  /** Whether the list has entries at all. */
  readonly isEmpty: boolean;
  /** Whether an entry names this host, as it was written, and port. */
  has(host: string, port: number): boolean;
}

interface Entry {
  readonly matchesHost: (host: string) => boolean;
  readonly firstPort: number;
  readonly lastPort: number;
}

const EXPECTED =
  'expected a host or a network with or without a port, such as db.internal, *.internal:5432, 10.0.0.0/8, [fd00::/64]:8000-8999, :3000, or *';

/** Reads a list of `host[:port[-port]]`; `variable` names it in errors. */
export function endList(entries: readonly string[], variable: string): EndList {
  const read = entries.map((text) => entryOf(text, variable));
  return {
    isEmpty: read.length === 0,
    has(host, port) {
      const plain = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host.toLowerCase();
      return read.some((entry) => port >= entry.firstPort && port <= entry.lastPort && entry.matchesHost(plain));
    },
  };
}

function entryOf(given: string, variable: string): Entry {
  const wrong = (why: string): Error => new Error(`${variable} has '${given}': ${why}; ${EXPECTED}`);
  const text = given.trim();
  if (text === '') throw new Error(`${variable} has an empty entry; ${EXPECTED}`);
  if (text.includes('://')) throw wrong('that is a URL');
  const [host, ports] = splitEnd(text);
  const [firstPort, lastPort] = ports === null ? [0, 65_535] : portsOf(ports, wrong);
  return { matchesHost: hostOf(host, wrong), firstPort, lastPort };
}

/** The host and what stands behind its colon. An IPv6 address with a port stands in brackets. */
function splitEnd(text: string): [host: string, ports: string | null] {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return [bracketed[1]!, bracketed[2] ?? null];
  const at = text.lastIndexOf(':');
  // Two colons, and no port: an IPv6 address.
  if (at < 0 || text.indexOf(':') !== at) return [text, null];
  return [text.slice(0, at), text.slice(at + 1)];
}

function portsOf(text: string, wrong: (why: string) => Error): [number, number] {
  const found = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (found === null) throw wrong(`'${text}' is no port`);
  const [first, last] = [Number(found[1]), Number(found[2] ?? found[1])];
  if (last > 65_535) throw wrong(`ports end at 65535`);
  if (first > last) throw wrong(`the range ${text} is empty`);
  return [first, last];
}

/** A label of a name may begin with an underscore; a name of digits and dots alone is meant as an address. */
const NAME = /^(?!\d+(\.\d+)*$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/;

function hostOf(text: string, wrong: (why: string) => Error): (host: string) => boolean {
  if (text === '' || text === '*') return () => true;
  const prefix = parsePrefix(text);
  if (prefix !== null) return (host) => isIn(prefix, host);
  const name = text.toLowerCase();
  const suffix = name.startsWith('*.') ? name.slice(1) : name.startsWith('.') ? name : null;
  if (!NAME.test(suffix === null ? name : suffix.slice(1))) throw wrong(`'${text}' is neither an address nor a name`);
  // As in NO_PROXY: .example.org is the domain itself and what is below it; *.example.org what is below.
  if (suffix === null) return (host) => host === name;
  const own = name.startsWith('.') ? name.slice(1) : null;
  return (host) => host.endsWith(suffix) || host === own;
}

function isIn(prefix: IpPrefix, host: string): boolean {
  const address = parseIp(host);
  return address !== null && prefix.contains(address);
}

/** Addresses by name, in lower case. */
export type Hosts = ReadonlyMap<string, readonly string[]>;

/** Reads `name=address` entries; a name may come again, with another address. */
export function hostsOf(entries: readonly string[], variable: string): Hosts {
  const hosts = new Map<string, string[]>();
  for (const given of entries) {
    const wrong = (why: string): Error =>
      new Error(`${variable} has '${given}': ${why}; expected a name and its address, such as db.internal=10.0.0.5`);
    const at = given.indexOf('=');
    if (at < 0) throw wrong("there is no '='");
    const [name, address] = [given.slice(0, at).trim().toLowerCase(), given.slice(at + 1).trim()];
    if (!NAME.test(name)) throw wrong(`'${name}' is no name`);
    if (parseIp(address) === null) throw wrong(`'${address}' is no address`);
    hosts.set(name, [...(hosts.get(name) ?? []), address]);
  }
  return hosts;
}

/** Finds names of `hosts` there, and leaves all others to `otherwise`. */
export function lookupIn(hosts: Hosts, otherwise: LookupFunction): LookupFunction {
  if (hosts.size === 0) return otherwise;
  return (hostname, options, callback) => {
    const known = hosts.get(String(hostname).toLowerCase());
    if (known === undefined) {
      otherwise(hostname, options, callback);
      return;
    }
    const wanted = familyNumber(options['family']);
    const found = known
      .map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
      .filter(({ family }) => wanted === 0 || family === wanted);
    process.nextTick(() => {
      const first = found[0];
      if (first === undefined) callback(notFoundError(hostname));
      else if (options['all'] === true) callback(null, found);
      else callback(null, first.address, first.family);
    });
  };
}

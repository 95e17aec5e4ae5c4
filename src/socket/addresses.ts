/**
 * Addresses as node:net tells them apart: isIP and its family, and the names of families.
 *
 * By Node's rules, which are inet_pton's with an optional zone behind '%': no leading zeros in IPv4 parts, at most one '::',
 * an IPv4 tail allowed.
 */

import type { Endpoint, TcpEndpoint } from '../host/api.ts';

/** What `socket.address()` answers. */
export interface AddressInfo {
  address: string;
  family: 'IPv4' | 'IPv6';
  port: number;
}

const IPV4_PART = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const IPV4 = new RegExp(`^${IPV4_PART}(?:\\.${IPV4_PART}){3}$`);
const GROUP = /^[0-9a-fA-F]{1,4}$/;
const ZONE = /^[0-9a-zA-Z\-.:]+$/;

/** Whether the text is an IPv4 address in dotted decimal form. */
export function isIPv4(input: string): boolean {
  return IPV4.test(`${input}`);
}

/** Whether the text is an IPv6 address, with or without a zone. */
export function isIPv6(input: string): boolean {
  const text = `${input}`;
  const percent = text.indexOf('%');
  if (percent >= 0 && !ZONE.test(text.slice(percent + 1))) return false;
  const halves = (percent < 0 ? text : text.slice(0, percent)).split('::');
  if (halves.length > 2) return false;
  const groups = groupsOf(halves[0]!, halves.length === 1);
  if (groups < 0) return false;
  if (halves.length === 1) return groups === 8;
  const after = groupsOf(halves[1]!, true);
  return after >= 0 && groups + after <= 7;
}

/** How many 16-bit groups there are between single colons; -1 when one is none. */
function groupsOf(text: string, mayEndInIPv4: boolean): number {
  if (text === '') return 0;
  const parts = text.split(':');
  let groups = parts.length;
  for (let i = 0; i < parts.length; i++) {
    if (GROUP.test(parts[i]!)) continue;
    if (!mayEndInIPv4 || i !== parts.length - 1 || !isIPv4(parts[i]!)) return -1;
    groups++;
  }
  return groups;
}

/** 4, 6, or 0 for what is no address. */
export function isIP(input: string): 0 | 4 | 6 {
  if (isIPv4(input)) return 4;
  return isIPv6(input) ? 6 : 0;
}

/** An endpoint in Node's form. */
export function addressInfo(endpoint: Endpoint, family: 4 | 6): AddressInfo {
  return { address: endpoint.address, family: family === 4 ? 'IPv4' : 'IPv6', port: endpoint.port };
}

/** Both ends of a connection in Node's form, remembered because an endpoint that is over has none any more. */
export class EndAddresses {
  #own: AddressInfo | null = null;
  #peer: AddressInfo | null = null;

  /** There is no connection yet, but a port of its own. */
  bound(local: Endpoint): void {
    this.#own = addressInfo(local, isIP(local.address) === 6 ? 6 : 4);
  }

  own(endpoint: TcpEndpoint | null): AddressInfo | null {
    if (endpoint !== null) this.#own ??= addressInfo(endpoint.local, endpoint.family);
    return this.#own;
  }

  peer(endpoint: TcpEndpoint | null): AddressInfo | null {
    if (endpoint !== null) this.#peer ??= addressInfo(endpoint.remote, endpoint.family);
    return this.#peer;
  }

  forgetOwn(): void {
    this.#own = null;
  }

  forgetPeer(): void {
    this.#peer = null;
  }
}

/** What {@link defineAddresses} reads from. Node's names. */
interface Addressed {
  address(): AddressInfo | Record<string, never>;
  _getpeername(): AddressInfo | Record<string, never>;
}

/** Gives a class of sockets node:net's six properties: localAddress, localPort, localFamily, and the same of the peer; and `_getsockname`. */
export function defineAddresses(prototype: Addressed): void {
  const ownName = function (this: Addressed): unknown {
    return this.address();
  };
  Object.defineProperty(prototype, '_getsockname', { value: ownName, configurable: true, writable: true });
  for (const part of ['address', 'port', 'family'] as const) {
    const name = part.charAt(0).toUpperCase() + part.slice(1);
    const own = function (this: Addressed): unknown {
      return this.address()[part];
    };
    const peer = function (this: Addressed): unknown {
      return this._getpeername()[part];
    };
    Object.defineProperty(prototype, `local${name}`, { get: own, configurable: true });
    Object.defineProperty(prototype, `remote${name}`, { get: peer, configurable: true });
    guardGetters(prototype, [`local${name}`, `remote${name}`]);
  }
}

/**
 * Lets tools read these properties of the prototype itself, of which nothing was made: they are undefined there. `connecting` is
 * every socket's own.
 */
function guardGetters(prototype: object, names: readonly string[]): void {
  for (const name of names) {
    const { get, ...rest } = Object.getOwnPropertyDescriptor(prototype, name)!;
    const guarded = function (this: object): unknown {
      return Object.hasOwn(this, 'connecting') ? get!.call(this) : undefined;
    };
    Object.defineProperty(prototype, name, { ...rest, get: guarded });
  }
}

/** Names of node:net's that are no more than other names, and what tools may read of the prototype. */
export function defineNodeNames(prototype: object): void {
  const connecting = function (this: { readonly connecting: boolean }): boolean {
    return this.connecting;
  };
  Object.defineProperty(prototype, '_connecting', { get: connecting, configurable: true });
  // Some programs put one of their own there.
  Object.defineProperty(prototype, '_handle', { value: null, configurable: true, writable: true });
  guardGetters(prototype, ['bytesRead', 'bytesWritten', '_bytesDispatched', 'pending', 'bufferSize', 'chimney']);
}

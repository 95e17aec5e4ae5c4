/**
 * A TCP port that is bound before anybody knows whether it will listen or connect: net.BoundSocket of Node 24 over the stack.
 *
 * Binding happens at once, and so do its errors; a server's `listen` or a socket of `new net.Socket({ handle })` then adopts it, once. What is
 * not adopted is to be closed. Source: documentation of node:net, "Class: net.BoundSocket".
 */

import { type TcpReservation, TransportError, type Transports } from '../host/api.ts';
import { type AddressInfo, addressInfo, isIP } from './addresses.ts';
import { anyAddress, noPipes, validateBoolean, validateObject, validatePort, validateString } from './arguments.ts';
import { handleAdopted, invalidArgValue, placeError } from './errors.ts';

/** Options of a bound socket: Node's, less pipes. */
export interface BoundSocketOptions {
  /** An address; nothing is looked up. Default: any of IPv4, or with `ipv6Only` of IPv6. */
  readonly host?: string | undefined;
  /** Default 0: any free one. */
  readonly port?: number | undefined;
  readonly ipv6Only?: boolean | undefined;
  readonly reusePort?: boolean | undefined;
}

/** What is adopted: the port, and how it was bound. */
export interface AdoptedPort {
  readonly reservation: TcpReservation;
  readonly ipv6Only: boolean;
  readonly reusePort: boolean;
}

/** `net.BoundSocket`. Programs use the class that `createNet` made of it for their stack. */
export class StackBoundSocket {
  #port: AdoptedPort | null;
  readonly #family: 4 | 6;

  constructor(options: BoundSocketOptions | undefined, transports: Transports) {
    const given = validateObject(options ?? {}, 'options') as BoundSocketOptions & { readonly path?: unknown };
    if (given.path !== undefined) throw noPipes(given);
    const port = validatePort(given.port ?? 0, 'options.port');
    const ipv6Only = validateBoolean(given.ipv6Only ?? false, 'options.ipv6Only');
    const reusePort = validateBoolean(given.reusePort ?? false, 'options.reusePort');
    const address = addressOf(given.host, ipv6Only);
    this.#family = isIP(address) === 6 ? 6 : 4;
    try {
      const reservation = transports.reserve({ local: { address, port }, ipv6Only, reusePort });
      this.#port = { reservation, ipv6Only, reusePort };
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      throw placeError(error.code, 'bind', address, port);
    }
  }

  address(): AddressInfo {
    return addressInfo(this.#owned.reservation.local, this.#family);
  }

  /** No descriptor of the process: -1, as in Node where sockets have none. */
  fd(): number {
    void this.#owned;
    return -1;
  }

  /** A TCP port, and no pipe. */
  get isPipe(): boolean {
    return false;
  }

  /** Lets go of a port that nobody has adopted. */
  close(): void {
    this._adopt().reservation.close();
  }

  [Symbol.dispose](): void {
    if (this.#port !== null) this.close();
  }

  /** The port is somebody else's from now on, who closes the reservation. */
  _adopt(): AdoptedPort {
    const port = this.#owned;
    this.#port = null;
    return port;
  }

  get #owned(): AdoptedPort {
    if (this.#port === null) throw handleAdopted();
    return this.#port;
  }
}

function addressOf(host: string | null | undefined, ipv6Only: boolean): string {
  if (host === undefined || host === null) return anyAddress(ipv6Only ? 6 : 4);
  const address = validateString(host, 'options.host');
  if (isIP(address) !== 0) return address;
  throw invalidArgValue(
    'options.host',
    host,
    'must be a numeric IP address; net.BoundSocket does not perform DNS resolution',
  );
}

/** The port that these options of a socket let it adopt; null: none. */
export function adoptedPort(options: object | undefined): AdoptedPort | null {
  const { handle } = (options ?? {}) as { readonly handle?: unknown };
  return handle instanceof StackBoundSocket ? handle._adopt() : null;
}

/** Options of `connect` for a socket that has adopted a port, which is its own end. Throws where they say another one. */
export function fromPort(options: Record<string, unknown>, adopted: AdoptedPort | null): Record<string, unknown> {
  if (adopted === null) return options;
  if (options['localAddress'] !== undefined || options['localPort'] !== undefined) {
    throw invalidArgValue('options', options, 'localAddress and localPort cannot be used with an adopted bound socket');
  }
  const { address, port } = adopted.reservation.local;
  const isAny = address === anyAddress(4) || address === anyAddress(6);
  return { ...options, ...(isAny ? {} : { localAddress: address }), localPort: port, autoSelectFamily: false };
}

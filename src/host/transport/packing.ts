/**
 * Records of connections that a target runs: the host only needs them again when they come back, and has them packed until then.
 *
 * Promises: whoever asks an endpoint for its record finds it unpacked; it is packed again when the turn is over. Nothing of what a
 * connection is changes by that.
 */

import type { TcpConnection } from '../../tcp/connection.ts';
import { RecordStore } from '../../tcp/record-store.ts';
import { EndpointFlag } from './endpoint-flags.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';
import type { TcpTransport } from './tcp-transport.ts';

/** The packed records of one transport. */
export class Packing {
  readonly #transport: TcpTransport;
  readonly #store: RecordStore = new RecordStore();
  #waiting: HostEndpoint[] = [];
  readonly #packAll: () => void;

  constructor(transport: TcpTransport) {
    this.#transport = transport;
    this.#packAll = () => {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const endpoint of waiting) this.#pack(endpoint);
    };
  }

  /** Its record will not be used for a while. */
  soon(endpoint: HostEndpoint): void {
    if (this.#waiting.length === 0) this.#transport.runtime.defer(this.#packAll);
    this.#waiting.push(endpoint);
  }

  #pack(endpoint: HostEndpoint): void {
    if (endpoint.isPacked || endpoint.location !== 'target' || (endpoint.flags & EndpointFlag.RELEASED) !== 0) return;
    const { tcp } = endpoint;
    // What is not in the record itself went down with the connection, or is being looked at by somebody.
    if (tcp.sendQueue !== null || tcp.reassembly !== null || tcp.scoreboard !== null || tcp.transmissions !== null)
      return;
    const transport = this.#transport;
    transport.disarm(endpoint);
    transport.table.replace(tcp, tcp, endpoint);
    endpoint.tcp = this.#store.pack(tcp.words, tcp.base);
    transport.slab.free(tcp);
  }

  /** For `endpoint.tcp`. */
  unpack(endpoint: HostEndpoint, number: number): TcpConnection {
    const { slab, table } = this.#transport;
    const tcp = slab.take();
    this.#store.unpack(number, tcp.words, tcp.base);
    tcp.owner = endpoint;
    endpoint.tcp = tcp;
    table.replace(tcp, endpoint, tcp);
    this.soon(endpoint);
    return tcp;
  }
}

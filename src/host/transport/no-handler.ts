/**
 * The handler of an endpoint that nobody listens to: before one is set, and after the last call.
 *
 * It takes nothing, so what arrives before a handler is set waits for it within the receive window.
 */

import type { TcpHandler } from '../api.ts';

/** Takes nothing and does nothing. */
export const NO_HANDLER: TcpHandler = {
  connected(): void {},
  data(): number {
    return 0;
  },
  dataDone(): void {},
  end(): void {},
  closed(): void {},
};

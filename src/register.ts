/**
 * `node --import chimney/register app.js`: an unmodified program's net, http, https, tls and dgram on a stack of ours.
 *
 * The whole module is its side effect. Which stack: a module named by CHIMNEY_CONFIG, or the variables of
 * `register-options.ts`. Documented in docs/register.md.
 */

import { isMainThread } from 'node:worker_threads';
import { createStack } from './index.ts';
import { registration } from './register-options.ts';
import { routeThrough } from './register-patch.ts';

// A worker would need a stack, and a device, of its own; its sockets stay the kernel's.
if (isMainThread) {
  const { options, bypass, bypassListen } = await registration(process.env);
  routeThrough(createStack(options).net, { bypass, bypassListen });
}
